"""`tocsin parse`: how a line is read, without a daemon: header, format, time, severity, entities, template, logsource, fields."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

from actors.parsing.parse import Parser
from actors.sigma.matching.fields import fields_of
from actors.sigma.matching.logsource import LogSource, logsource_of
from daemon.configuration import Configuration
from daemon.logs import escape_controls
from protocol.clock import format_time
from protocol.records import Event, Form, Record

MAX_LINE_BYTES = 65_536
# A field that only one format has, and what that format is called.
_SIGNS = (
    ("audit_id", "Linux audit"), ("cef_version", "CEF"), ("leef_version", "LEEF"), ("EventID", "event of Windows"),
    ("status", "access log"), ("trace", "several lines"),
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("line", metavar="LINE", help="the line as it arrives; -: read lines from standard input")
    parser.add_argument("--source", default="", help="read it as this source, in its time zone")
    parser.add_argument("--json", action="store_true", help="print each reading as a line of JSON")


def run_command(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Print how each line is read; return 0, or 1 if one could not be read."""
    zones = {name: ZoneInfo(zone) for name, zone in configuration.zones().items()}
    parser, failed = Parser(zones), False
    lines = sys.stdin.buffer if arguments.line == "-" else [arguments.line.encode("utf-8", "surrogateescape")]
    for number, raw in enumerate(lines, 1):
        body = raw.rstrip(b"\r\n")[:MAX_LINE_BYTES]
        if not body:
            continue
        reading = read(parser, body, arguments.source, number)
        failed = failed or "parse_error" in reading["fields"]
        print(json.dumps(reading, ensure_ascii=False) if arguments.json else "\n".join(text_lines(reading)))
    return int(failed)


def read(parser: Parser, body: bytes, source: str, number: int) -> dict[str, Any]:
    """Return how a line is read, as plain data."""
    form: Form = "syslog" if body.startswith(b"<") or source == "syslog" else "line"
    now_ns = time.time_ns()
    record = Record(now_ns, source or ("syslog" if form == "syslog" else "file"), form, "", body)
    (event,), _ = parser.parse([record], 1, number)
    origin = logsource_of(event, fields_of(event))
    return {
        "header": _header(event),
        "format": _format(event, body),
        "time": format_time(event.event_ns),
        "time_is_of": "arrival" if event.event_ns == now_ns else "the record",
        "severity": event.severity,
        "message": event.message,
        "template": event.template,
        "entities": [f"{entity.type} {entity.value}" for entity in event.entities],
        "logsource": _logsource(origin),
        "fields": event.fields,
    }


def text_lines(reading: dict[str, Any]) -> Iterator[str]:
    """Yield a reading for people; a blank line stands behind it."""
    severity = reading["severity"]
    for name, value in (
        ("header", reading["header"]),
        ("format", reading["format"]),
        ("time", f"{reading['time']} (of {reading['time_is_of']})"),
        ("severity", f"{severity} ({severity_name(severity)})"),
        ("message", reading["message"]),
        ("template", reading["template"]),
        ("entities", ", ".join(reading["entities"]) or "none"),
        ("logsource", reading["logsource"]),
    ):
        yield f"{name:<10} {escape_controls(str(value))}"
    for name, value in reading["fields"].items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        yield f"  {escape_controls(str(name)):<24} {escape_controls(shown)}"
    yield ""


def severity_name(number: int) -> str:
    """Return the short name of an OpenTelemetry SeverityNumber, 1 to 24."""
    return ("trace", "debug", "info", "warn", "error", "fatal")[(number - 1) // 4]


def _header(event: Event) -> str:
    fields = event.fields
    if "version" in fields and "facility" in fields:
        return "syslog, RFC 5424"
    if "facility" in fields:
        return "syslog, RFC 3164"
    return "of a log file" if {"host", "app", "level", "component", "thread", "pid"} & fields.keys() else "none"


def _format(event: Event, body: bytes) -> str:
    for sign, name in _SIGNS:
        if sign in event.fields:
            return name
    if b"{" in body and body.rstrip().endswith(b"}"):
        return "JSON"
    return "pairs" if "=" in event.message and len(event.fields) > 4 else "text"


def _logsource(origin: LogSource) -> str:
    parts = [f"product {', '.join(sorted({origin.product, *origin.products} if len(origin.products) < 4 else {origin.product}))}"]
    for name, values in (("category", origin.categories), ("service", origin.services)):
        if values:
            parts.append(f"{name} {', '.join(sorted(values))}")
    return "; ".join(parts)
