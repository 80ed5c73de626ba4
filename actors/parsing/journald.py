"""Entries of the systemd journal as readings: nothing that the journal has is lost, and the message is read like any other.

Host, program, process id, facility and priority have the names that they have for syslog, and `unit` is the unit; every
other field keeps the journal's own name (systemd.journal-fields(7)). What journald has seen itself (an underscore) goes
before what the program said of itself, but for its name, where the program knows better.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec

from actors.parsing.formats import Formats
from actors.parsing.reading import Reading
from actors.parsing.syslog import FACILITIES, SEVERITY_NUMBERS
from actors.parsing.text import decode
from protocol.clock import NS_PER_US
from protocol.records import JournalRecord

# Our name for the first of these fields that is there; that one is then not repeated under its own.
_NAMES = (
    ("host", ("_HOSTNAME",)),
    ("app", ("SYSLOG_IDENTIFIER", "_COMM")),
    ("procid", ("_PID", "SYSLOG_PID")),
    ("unit", ("_SYSTEMD_USER_UNIT", "_SYSTEMD_UNIT")),
)
_TIMES = ("_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP")  # microseconds; when it was said, when it was received

_decode = msgspec.msgpack.Decoder(JournalRecord).decode


def read_journald(body: bytes, formats: Formats, observed_ns: int) -> Reading:
    """Read one packed JournalRecord. Raises msgspec.DecodeError if it is not one."""
    record = _decode(body)
    values: dict[str, list[str]] = defaultdict(list)
    for name, value in record.fields:
        values[name].append(decode(value))
    message = values.get("MESSAGE", [""]).pop(0)
    program = [*values.get("SYSLOG_IDENTIFIER", ()), *values.get("_COMM", ()), ""]
    reading = formats.read_payload(message, observed_ns, program[0])
    severity = _number(values, "PRIORITY", 7)
    if severity is not None:
        reading.state_severity(SEVERITY_NUMBERS[severity])
    for name in _TIMES:
        time_us = _number(values, name, 1 << 53)
        if time_us:
            reading.time_ns = time_us * NS_PER_US
            break
    reading.fields = {**reading.fields, **_fields(values, severity)}
    if record.cut:
        reading.fields["cut_fields"] = record.cut
    return reading


def _number(values: dict[str, list[str]], name: str, most: int) -> int | None:
    text = values[name][0] if values.get(name) else ""
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        return None
    number = int(text)
    return number if number <= most else None


def _fields(values: dict[str, list[str]], severity: int | None) -> dict[str, Any]:
    """Return the fields under our names, then all others under the journal's."""
    fields: dict[str, Any] = {}
    facility = _number(values, "SYSLOG_FACILITY", len(FACILITIES) - 1)
    if facility is not None:
        fields["facility"] = FACILITIES[facility]
        if severity is not None:
            fields["priority"] = facility << 3 | severity
    for ours, theirs in _NAMES:
        name = next((name for name in theirs if values.get(name)), None)
        if name is not None:
            fields[ours] = values[name].pop(0)
    for name, given in values.items():
        if given:
            fields[name] = given[0] if len(given) == 1 else given
    return fields
