"""Formats that are data, tried on their own samples. `python -m actors.parsing.checking` does so in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

import msgspec

from actors.parsing.defined import Format, Library, read_formats
from actors.parsing.definitions import Fault, Sample, line_of_sample
from actors.parsing.levels import severity_of
from actors.parsing.parse import Parser
from protocol.clock import NS_PER_S, format_time, parse_time
from protocol.records import Event, Form, Record

_READ_NS = 1_800_000_000 * NS_PER_S  # when a sample without a time is read
_LATER_NS = 60 * NS_PER_S  # when one with a time is read


def check_formats(texts: Mapping[str, str]) -> list[Fault]:
    """Return what is wrong with the files of formats, {path: text}: what cannot be read, and samples that come out otherwise."""
    formats, faults = read_formats(texts)
    library = Library(formats)
    readable = [path for path in sorted(texts) if path not in {fault.path for fault in faults}]
    for path, each in zip(readable, formats, strict=True):
        faults += _faults_of_samples(path, texts[path], each, library)
    return faults


def _faults_of_samples(path: str, text: str, each: Format, library: Library) -> Iterator[Fault]:
    for number, sample in enumerate(each.definition.sample):
        for reason in _differences(each, sample, library):
            yield Fault(path, line_of_sample(text, number), f"sample {number + 1}: {reason}")


def _differences(each: Format, sample: Sample, library: Library) -> Iterator[str]:
    event = _read(each, sample, library)
    found = event.fields.get("format")
    if found != each.definition.format:
        yield f"is not recognised as {each.definition.format!r}" + (f" but as {found!r}" if found else "")
        return
    wanted_severity = severity_of(sample.severity) if isinstance(sample.severity, str) and sample.severity else sample.severity
    comparisons = [
        ("event_ts", sample.event_ts or None, format_time(event.event_ns)),
        ("severity", wanted_severity or None, event.severity),
        ("message", sample.message, event.message),
        ("entities", sample.entities, [f"{entity.type} {entity.value}" for entity in event.entities]),
        *((f"fields.{name}", value, event.fields.get(name)) for name, value in sample.fields.items()),
    ]
    for name, wanted, got in comparisons:
        if wanted is not None and wanted != got:
            yield f"{name} is {got!r}, not {wanted!r}"


def _read(each: Format, sample: Sample, library: Library) -> Event:
    try:
        observed_ns = parse_time(sample.event_ts) + _LATER_NS if sample.event_ts else _READ_NS
    except ValueError:
        observed_ns = _READ_NS
    form: Form = "syslog" if sample.receiver == "syslog" else "line"
    source = next(iter(each.definition.sources), sample.receiver)
    record = Record(observed_ns, source, form, "", sample.line.encode())
    (event,), _ = Parser(library=library).parse([record], 1, 1)
    return event


def main() -> int:
    """Read {path: text} as JSON; write what is wrong as a list of texts."""
    texts = msgspec.json.decode(sys.stdin.buffer.read(), type=dict[str, str])
    sys.stdout.buffer.write(msgspec.json.encode([str(fault) for fault in check_formats(texts)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
