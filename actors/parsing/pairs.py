"""Pairs in text: JSON objects, logfmt, and `key=value` in the middle of a message."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from actors.parsing.levels import severity_of
from actors.parsing.reading import Reading
from actors.parsing.times import Clock

_MAX_PAIRS = 64
_MAX_VALUE = 1024
_MAX_DEPTH = 32
_LONG_NUMBER = re.compile(r"\d{19}")

MESSAGE_KEYS = ("msg", "message", "log", "MESSAGE", "short_message", "text", "event.original", "Message", "@message")
LEVEL_KEYS = ("level", "severity", "lvl", "loglevel", "log.level", "levelname", "level_name", "Level", "PRIORITY", "s")
TIME_KEYS = (
    "ts", "time", "timestamp", "@timestamp", "datetime", "date", "eventTime", "asctime", "requestReceivedTimestamp",
    "StartUTC", "t", "Timestamp", "TimeCreated",
)  # fmt: skip

_PAIR = re.compile(
    r'(?<![\w.@&?/=-])([A-Za-z_@][\w.@-]{0,63})=(?:"((?:[^"\\]|\\.){0,1024})"|\'([^\']{0,1024})\'|([^\s"\',;]{0,1024}))'
)
_LOGFMT = re.compile(
    r'(?:[A-Za-z_@][\w.@/-]{0,63}=(?:"(?:[^"\\]|\\.)*"|[^\s"]*)(?:[ \t]+|$)){2,}(?:[A-Za-z_][\w.-]{0,63}(?:[ \t]+|$))*$'
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?$")
_decode_json = msgspec.json.Decoder().decode


def read_json(text: str, clock: Clock, observed_ns: int) -> Reading | None:
    """Read a JSON object (with or without the `@cee:` cookie); None if it is not one."""
    try:
        value = _decode_json(text.removeprefix("@cee:"))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    if _LONG_NUMBER.search(text) or text.count("{") + text.count("[") > _MAX_DEPTH:
        value = {key: _carry(inner, 1) for key, inner in value.items()}
    return read_object(value, text, clock, observed_ns)


def _carry(value: Any, depth: int) -> Any:
    """Return the value so that msgpack can carry it: integers of at most 64 bits, at most `_MAX_DEPTH` levels."""
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return str(value)
    if not isinstance(value, (dict, list)):
        return value
    if depth >= _MAX_DEPTH:
        return "..."
    if isinstance(value, list):
        return [_carry(inner, depth + 1) for inner in value]
    return {key: _carry(inner, depth + 1) for key, inner in value.items()}


def read_object(pairs: dict[str, Any], text: str, clock: Clock, observed_ns: int) -> Reading:
    """Find message, level and time among the pairs of an object; the message is `text` if no key says it."""
    message = text
    for key in MESSAGE_KEYS:
        value = pairs.get(key)
        if isinstance(value, str):
            message = value.rstrip("\r\n")
            break
    reading = Reading(message, pairs)
    for key in LEVEL_KEYS:
        if key in pairs and (severity := _severity(pairs[key])) is not None:
            reading.severity = severity
            break
    for key in TIME_KEYS:
        if key in pairs and (time_ns := read_time_value(pairs[key], clock, observed_ns)) is not None:
            reading.time_ns = time_ns
            break
    return reading


def read_logfmt(text: str, clock: Clock, observed_ns: int) -> Reading | None:
    """Read a line that is nothing but `key=value`; None if it is not one."""
    if _LOGFMT.match(text) is None:
        return None
    pairs: dict[str, Any] = dict(find_pairs(text))
    return read_object(pairs, text, clock, observed_ns) if len(pairs) > 1 else None


def find_pairs(text: str) -> list[tuple[str, str]]:
    """Return the first pairs `key=value` of a text; values in quotes without them."""
    pairs = []
    for found in _PAIR.finditer(text):
        key, quoted, single, bare = found.groups()
        if quoted is not None:
            pairs.append((key, _ESCAPE.sub(r"\1", quoted) if "\\" in quoted else quoted))
        elif single is not None:
            pairs.append((key, single))
        elif key == "COMMAND":  # sudo: the last, and not in quotes
            pairs.append((key, text[found.start(4) : found.start(4) + _MAX_VALUE]))
        else:
            pairs.append((key, bare if "(" in bare else bare.rstrip(")")))
        if len(pairs) == _MAX_PAIRS:
            break
    return pairs


def read_time_value(value: object, clock: Clock, observed_ns: int) -> int | None:
    """Return the time of a JSON value: text in any known form, or a number of s, ms, us or ns since 1970."""
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.match(text) and len(text) < 32:
            return _time_of_number(float(text)) if "." in text else _time_of_number(int(text))
        time = clock.read(text, 0, observed_ns)
        return time.ns if time else None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _time_of_number(value)
    if isinstance(value, dict) and "$date" in value:
        return read_time_value(value["$date"], clock, observed_ns)
    return None


def _time_of_number(value: float) -> int | None:
    for least, unit_ns in ((10**18, 1), (10**15, 10**3), (10**12, 10**6), (10**8, 10**9)):
        if least <= value < 10**19:
            if isinstance(value, int):
                return value * unit_ns
            return int(value) * unit_ns + int(round((value - int(value)) * 10**6) * unit_ns // 10**6)
    return None


def _severity(value: object) -> int | None:
    if isinstance(value, dict):
        value = value.get("level")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and len(value) == 1:
        return {"D": 5, "I": 9, "W": 13, "E": 17, "F": 21}.get(value) or severity_of(value)
    return severity_of(value)
