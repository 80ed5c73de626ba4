"""OTLP log records as readings: nothing that the exporter said is lost, and a text body is read like any other line."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.parsing.formats import Formats
from actors.parsing.levels import severity_of_field
from actors.parsing.pairs import read_object, read_time_value
from actors.parsing.reading import Reading
from actors.parsing.times import Clock
from protocol.records import OtlpRecord

_decode = msgspec.msgpack.Decoder(OtlpRecord).decode


def read_otlp(body: bytes, formats: Formats, clock: Clock, observed_ns: int) -> Reading:
    """Read one packed OtlpRecord. Raises msgspec.DecodeError if it is not one."""
    record = _decode(body)
    reading = _read_body(record.body, formats, clock, observed_ns)
    attribute_time = read_time_value(record.attributes.get("time"), clock, observed_ns)
    for time_ns in (record.time_ns, reading.time_ns, attribute_time and attribute_time.ns, record.observed_ns):
        if time_ns:
            reading.time_ns = time_ns
            break
    if 1 <= record.severity <= 24:
        reading.severity = record.severity
    else:
        word = severity_of_field("severityText", record.severity_text)
        reading.severity = reading.severity if word is None else word
    reading.fields = {**reading.fields, **_fields(record)}
    return reading


def _read_body(body: Any, formats: Formats, clock: Clock, observed_ns: int) -> Reading:
    if isinstance(body, str):
        return formats.read_line(body, observed_ns)
    if isinstance(body, bytes):
        return formats.read_line(body.decode("utf-8", "backslashreplace"), observed_ns)
    if body is None:
        return Reading("", {})
    text = msgspec.json.encode(body).decode("utf-8", "backslashreplace")
    if not isinstance(body, dict):
        return Reading(text, {"body": body})
    reading = read_object(dict(body), text, clock, observed_ns)
    added = {name: value for name, value in reading.fields.items() if name not in body}
    reading.fields = {"body": body, **added}
    return reading


def _fields(record: OtlpRecord) -> dict[str, Any]:
    """Return attributes and resource under their own names, host and service under the names that all events use."""
    fields: dict[str, Any] = {}
    for name, value in (
        ("attributes", record.attributes),
        ("resource", record.resource),
        ("scope", record.scope),
        ("trace_id", record.trace_id),
        ("span_id", record.span_id),
        ("event_name", record.event_name),
        ("severity_text", record.severity_text),
        ("host", record.resource.get("host.name") or record.attributes.get("host.name")),
        ("app", record.resource.get("service.name") or record.attributes.get("service.name")),
    ):
        if value:
            fields[name] = value
    return fields
