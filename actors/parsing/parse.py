"""Records in, events and their columns out. Pure: the present time comes with the record.

A record is read in this order: header (syslog, or whatever stands before the message), format of the message, template
of the message alone, entities, features. One that breaks the parser is an event all the same: its text is the message
and `parse_error` says what happened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Any

import msgspec

from actors.parsing.connections import Connections
from actors.parsing.defined import Library
from actors.parsing.drain import Drain
from actors.parsing.entities import find_entities
from actors.parsing.features import build_columns, content_features
from actors.parsing.formats import Formats
from actors.parsing.journald import read_journald
from actors.parsing.levels import DEFAULT, LEVELS
from actors.parsing.otlp import read_otlp
from actors.parsing.reading import Reading
from actors.parsing.syslog import DEFAULT_PRIORITY, FACILITIES, SEVERITY_NUMBERS, SyslogMessage, has_priority, parse_syslog
from actors.parsing.text import decode
from actors.parsing.times import Clock
from protocol.clock import NS_PER_MS, NS_PER_S
from protocol.columns import Columns
from protocol.identity import encode_ulid, event_number
from protocol.records import FOLDED, Event, Record

_LAST_NS = (1 << 63) - 1  # in the year 2262
_DAY_NS = 86_400 * NS_PER_S
_MAX_SOURCES = 4096
_REPEATED = re.compile(FOLDED + r"(\d{1,6}) times: \[")
CLIENT_FIELD = "tls_client"
_RARE_PARTS = ("msgid", "structured_data", "relay", "user", "src_ip")
_NO_PARTS = (None,) * 5
_Features = tuple[float, ...]


class Parser:
    """Makes events of records. Its only state that matters is the templates, in `drain`."""

    def __init__(
        self,
        zones: Mapping[str, tzinfo] | None = None,
        default: tzinfo = UTC,
        max_templates: int = 20_000,
        library: Library | None = None,
    ) -> None:
        """`zones`: the zone of a source whose times name none; `default` is for all others. `library`: formats of one's own."""
        self.drain = Drain(max_templates)
        self.errors_total = 0
        self._zones = dict(zones or {})
        self._default = default
        self._library = library or Library()
        self._connections = Connections()
        self._sources: dict[str, tuple[Clock, Formats]] = {}

    def parse(self, records: Sequence[Record], tag: int, first_sequence: int) -> tuple[list[Event], Columns]:
        """Return the events of records that stand in the spool `tag` from `first_sequence` on, and their columns."""
        events: list[Event] = []
        features: list[_Features] = []
        for sequence, record in enumerate(records, start=first_sequence):
            number = event_number(record.observed_ns // NS_PER_MS, tag, sequence)
            event, numbers = self._parse_safely(record, encode_ulid(number))
            events.append(event)
            features.append(numbers)
        return events, build_columns(events, features)

    def snapshot(self) -> dict[str, Any]:
        """Return the templates as plain data."""
        return self.drain.snapshot()

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the templates of a snapshot. Raises ValueError for a version that is not known."""
        self.drain.restore(state)

    def _parse_safely(self, record: Record, event_id: str) -> tuple[Event, _Features]:
        try:
            return self._parse_record(record, event_id)
        except Exception as error:
            self.errors_total += 1
            reading = Reading(decode(record.body), {"parse_error": f"{type(error).__name__}: {error}"})
            return self._finish(record, event_id, reading, DEFAULT, record.observed_ns, [])

    def _parse_record(self, record: Record, event_id: str) -> tuple[Event, _Features]:
        clock, formats = self._source(record.source)
        trace = b""
        if record.form == "line" and b"\n" in record.body:
            head, _, trace = record.body.partition(b"\n")
            record = msgspec.structs.replace(record, body=head)
        if record.form == "otlp":
            reading = read_otlp(record.body, formats, clock, record.observed_ns)
        elif record.form == "journal":
            reading = read_journald(record.body, formats, record.observed_ns)
        elif record.form == "syslog" or has_priority(record.body):
            reading = self._read_syslog(record, clock, formats)
        else:
            reading = formats.read_line(decode(record.body), record.observed_ns)
        severity = DEFAULT if reading.severity is None else reading.severity
        event_ns = record.observed_ns if reading.time_ns is None else reading.time_ns
        if not 0 <= event_ns <= _LAST_NS:
            event_ns = record.observed_ns  # a number that was taken for a time; no clock has ever shown it
        if trace:
            reading.fields["trace"] = decode(trace)
        if reading.message.startswith(FOLDED):
            _note_repeats(reading)
        _note_client(reading.fields, record)
        self._connections.note(record.source, reading.fields, reading.message, event_ns)
        entities = find_entities(reading.message, reading.fields, structured=reading.pattern is not None)
        return self._finish(record, event_id, reading, severity, event_ns, entities)

    def _finish(
        self, record: Record, event_id: str, reading: Reading, severity: int, event_ns: int, entities: list[Any]
    ) -> tuple[Event, _Features]:
        message = reading.message
        template = self.drain.learn(message if reading.pattern is None else reading.pattern)
        if record.cut:
            reading.fields["truncated"] = True
        event = Event(
            event_id, record.observed_ns, event_ns, record.source, severity, message,
            template.id, template.text, entities, reading.fields,
        )  # fmt: skip
        return event, content_features(message, template.variables_ratio, len(entities), severity)

    def _source(self, name: str) -> tuple[Clock, Formats]:
        known = self._sources.get(name)
        if known is None:
            if len(self._sources) >= _MAX_SOURCES:
                self._sources.clear()
            clock = Clock(self._zones.get(name, self._default))
            known = self._sources[name] = (clock, Formats(clock, self._library.table(name)))
        return known

    def _read_syslog(self, record: Record, clock: Clock, formats: Formats) -> Reading:
        """Read a syslog message and then its payload; what has no priority may be a line of any log."""
        observed_ns = record.observed_ns
        if not (record.body.startswith(b"<") or has_priority(record.body)):
            reading = formats.read_line(decode(record.body), observed_ns)
            if reading.severity is None and record.form == "syslog":
                reading.severity = SEVERITY_NUMBERS[DEFAULT_PRIORITY & 7]
            reading.fields.setdefault("facility", FACILITIES[DEFAULT_PRIORITY >> 3])
            return reading
        parsed = parse_syslog(record.body, clock, observed_ns)
        if parsed.time_ns is None and parsed.version is None and (defined := _read_defined(record, formats)):
            reading, parsed = defined, SyslogMessage(defined.message, parsed.priority)
        elif parsed.error is not None and parsed.host is None:
            reading = Reading(parsed.message, {})
        elif parsed.host is not None and parsed.host.lower() in LEVELS:
            text = decode(record.body)
            reading = formats.read_line(text[text.find(">") + 1 :], observed_ns)
            parsed = SyslogMessage(reading.message, parsed.priority)
        else:
            reading = formats.read_payload(parsed.message, observed_ns, parsed.app)
            if not parsed.message and parsed.structured_data:
                reading.message = parsed.structured_text  # there is no other
        if parsed.priority is not None:
            reading.state_severity(SEVERITY_NUMBERS[parsed.severity])
        if parsed.time_ns is not None and (reading.time_ns is None or not _is_more_exact(reading, parsed)):
            reading.time_ns = parsed.time_ns
        reading.fields = _header_fields(parsed, reading.fields)
        return reading


def _read_defined(record: Record, formats: Formats) -> Reading | None:
    """Read what stands behind the priority as a format that is data, header and all: a device's own header."""
    text = decode(record.body)
    return formats.read_defined(text[text.find(">") + 1 :], None, record.observed_ns)


def _note_repeats(reading: Reading) -> None:
    """Note how many messages `message repeated 2 times: [ ... ]` stands for, as rsyslog writes it."""
    if found := _REPEATED.match(reading.message):
        reading.fields["repeated"] = int(found[1])


def _note_client(fields: dict[str, Any], record: Record) -> None:
    """Note the sender that a certificate has proved; a record cannot name it itself."""
    fields.pop(CLIENT_FIELD, None)
    if record.form == "syslog":
        _, _, name = record.origin.partition(" ")
        if name:
            fields[CLIENT_FIELD] = name


def _is_more_exact(reading: Reading, parsed: SyslogMessage) -> bool:
    """Tell whether the message says the time of its header with the zone that the header leaves out."""
    if reading.time_ns is None or parsed.time_ns is None or reading.zoneless or not parsed.zoneless:
        return False
    return abs(reading.time_ns - parsed.time_ns) <= _DAY_NS


def _header_fields(parsed: SyslogMessage, inner: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the header, then those of the message that have other names."""
    fields: dict[str, Any] = {"facility": FACILITIES[parsed.facility]}
    if parsed.priority is not None:
        fields["priority"] = parsed.priority
    if parsed.version is not None:
        fields["version"] = parsed.version
    if parsed.host is not None:
        fields["host"] = parsed.host
    if parsed.app is not None:
        fields["app"] = parsed.app
    if parsed.procid is not None:
        fields["procid"] = parsed.procid
    rare = (parsed.version, parsed.relay, parsed.user, parsed.src_ip, parsed.msgid)
    if rare != _NO_PARTS:
        for name in _RARE_PARTS:
            if (value := getattr(parsed, name)) is not None:
                fields[name] = value
    if parsed.error is not None:
        fields["syslog_error"] = parsed.error
    return {**inner, **fields} if inner else fields
