"""`tocsin parse`: how a line is read, without a daemon: header, format, time, severity, entities, template, logsource, fields."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator

import msgspec

from actors.parsing.settings import ParserSettings
from actors.sigma.inspection.reading import LineReading, read_line
from daemon.configuration import Configuration
from daemon.logs import escape_controls


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("line", metavar="LINE", help="the line as it arrives; -: read lines from standard input")
    parser.add_argument("--source", default="", help="read it as this source, in its time zone and by its formats")
    parser.add_argument("--json", action="store_true", help="print each reading as a line of JSON")


def run_command(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Print how each line is read; return 0, or 1 if one could not be read."""
    parser, failed = ParserSettings(configuration.zones(), configuration.parsing.texts()).parser(), False
    lines = sys.stdin.buffer if arguments.line == "-" else [arguments.line.encode("utf-8", "surrogateescape")]
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip(b"\r\n")
        if not line:
            continue
        reading = read_line(parser, line, arguments.source, number, time.time_ns())
        failed = failed or "parse_error" in reading.fields
        print(msgspec.json.encode(reading).decode() if arguments.json else "\n".join(text_lines(reading)))
    return int(failed)


def text_lines(reading: LineReading) -> Iterator[str]:
    """Yield a reading for people; a blank line stands behind it."""
    for name, value in (
        ("header", reading.header),
        ("format", reading.format),
        ("time", f"{reading.time} (of {reading.time_is_of})"),
        ("severity", f"{reading.severity} ({severity_name(reading.severity)})"),
        ("message", reading.message),
        ("template", reading.template),
        ("entities", ", ".join(reading.entities) or "none"),
        ("logsource", reading.logsource),
    ):
        yield f"{name:<10} {escape_controls(value)}"
    for name, field in reading.fields.items():
        shown = field if isinstance(field, str) else json.dumps(field, ensure_ascii=False, default=str)
        yield f"  {escape_controls(str(name)):<24} {escape_controls(shown)}"
    yield ""


def severity_name(number: int) -> str:
    """Return the short name of an OpenTelemetry SeverityNumber, 1 to 24."""
    return ("trace", "debug", "info", "warn", "error", "fatal")[(number - 1) // 4]
