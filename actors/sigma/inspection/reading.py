"""How a line is read, step by step: header, format, time, severity, message, template, entities, logsource, fields.

The command line and REST use it alike. REST has it done by a process of its own, `python -m actors.sigma.inspection.reading`: an
order comes in as JSON, an answer goes out.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from actors.parsing.parse import Parser
from actors.parsing.settings import ParserSettings
from actors.sigma.matching.fields import fields_of
from actors.sigma.matching.logsource import LogSource, logsource_of
from protocol.clock import format_time
from protocol.records import Event, Form, Record

MAX_LINE_BYTES = 65_536
MAX_LINES = 1_000  # that are read at once
NICE = 10
# A field that only one format has, and what that format is called.
_SIGNS = (
    ("audit_id", "Linux audit"), ("cef_version", "CEF"), ("leef_version", "LEEF"), ("EventID", "event of Windows"),
    ("status", "access log"), ("trace", "several lines"),
)  # fmt: skip


class LineReading(msgspec.Struct, frozen=True):
    """How one line is read."""

    header: str
    format: str
    time: str  # RFC 3339
    time_is_of: str  # `the record` or `arrival`
    severity: int  # 1 to 24
    message: str
    template: str
    entities: list[str]  # type and value
    logsource: str
    fields: dict[str, object]


def read_line(parser: Parser, line: bytes, source: str, number: int, now_ns: int) -> LineReading:
    """Return how a line is read that arrives at a source; "": at that which its beginning suggests. `number`: of the line."""
    form: Form = "syslog" if line.startswith(b"<") or source == "syslog" else "line"
    record = Record(now_ns, source or ("syslog" if form == "syslog" else "file"), form, "", line[:MAX_LINE_BYTES])
    (event,), _ = parser.parse([record], 1, number)
    return LineReading(
        _header(event),
        _format(event, line),
        format_time(event.event_ns),
        "arrival" if event.event_ns == now_ns else "the record",
        event.severity,
        event.message,
        event.template,
        [f"{entity.type} {entity.value}" for entity in event.entities],
        _logsource(logsource_of(event, fields_of(event))),
        event.fields,
    )


def _header(event: Event) -> str:
    fields = event.fields
    if "version" in fields and "facility" in fields:
        return "syslog, RFC 5424"
    if "facility" in fields:
        return "syslog, RFC 3164"
    return "of a log file" if {"host", "app", "level", "component", "thread", "pid"} & fields.keys() else "none"


def _format(event: Event, line: bytes) -> str:
    fields = event.fields
    if type(fields.get("format")) is str:
        return str(fields["format"])
    for sign, name in _SIGNS:
        if sign in fields:
            return name
    if b"{" in line and line.rstrip().endswith(b"}"):
        return "JSON"
    return "pairs" if "=" in event.message and len(fields) > 4 else "text"


def _logsource(origin: LogSource) -> str:
    parts = [f"product {', '.join(sorted({origin.product, *origin.products} if len(origin.products) < 4 else {origin.product}))}"]
    for name, values in (("category", origin.categories), ("service", origin.services)):
        if values:
            parts.append(f"{name} {', '.join(sorted(values))}")
    return "; ".join(parts)


# -- the process of its own


class Order(msgspec.Struct):
    """What the process is to read."""

    state_dir: str
    source: str
    lines: list[bytes]


class Answer(msgspec.Struct):
    lines: Sequence[LineReading]


def main() -> int:
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    os.nice(NICE)
    parser, now_ns = ParserSettings.of_daemon(Path(order.state_dir)).parser(), time.time_ns()
    readings = [read_line(parser, line, order.source, number, now_ns) for number, line in enumerate(order.lines, 1)]
    sys.stdout.buffer.write(msgspec.json.encode(Answer(readings)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
