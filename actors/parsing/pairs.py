"""Pairs in text: JSON objects, logfmt, and `key=value` in the middle of a message."""

from __future__ import annotations

import re
from operator import itemgetter
from typing import Any

import msgspec

from actors.parsing.levels import DEFAULT, WARNING, dialect, severity_of_field, severity_of_windows
from actors.parsing.names import ROLES, plain, role_of
from actors.parsing.reading import Reading
from actors.parsing.text import decode
from actors.parsing.times import Clock, Time
from actors.parsing.windows import flatten_windows, is_audit_failure, read_xml

_MAX_PAIRS = 64
_MAX_VALUE = 1024
_MAX_DEPTH = 32
_MAX_ROLE_DEPTH = 4  # of objects in objects in which roles are looked for
_MAX_OBJECTS = 64  # of one depth
_MAX_NAME = 255
_MAX_KIND, _MAX_NAMES = 64, 24
_KINDS = (
    "event_type", "eventSource", "eventName", "operationName", "EventID", "Channel", "verb", "kind", "type", "action",
    "category", "logtype", "name",
)  # fmt: skip
_LAUREL = re.compile(r"(\d{9,11}\.\d{1,6}):\d{1,18}$")  # time and serial of an audit record
_BY_RANK = itemgetter(1, 0)
_MIN_TIME = 8  # characters of a text that is meant as a time; shorter ones are durations
_MAY_BE_NO_TIME = frozenset(("t", "epoch", "starttime", "instant"))
_LONG_NUMBER = re.compile(r"\d{19}")

_PAIR = re.compile(
    r'(?<![\w.@&?/=-])([A-Za-z_@][\w.@-]{0,63})=(?:"((?:[^"\\]|\\.){0,1024})"|\'([^\']{0,1024})\'|([^\s"\',;]{0,1024}))'
)
_LOGFMT = re.compile(
    r'(?:[A-Za-z_@][\w.@/-]{0,63}=(?:"(?:[^"\\]|\\.)*"|[^\s"]*)(?:[ \t]+|$)){2,}(?:[A-Za-z_][\w.-]{0,63}(?:[ \t]+|$))*$'
)
_LISTED = re.compile(r"(?:[A-Za-z_@][\w.@/-]{0,63}=(?:\"(?:[^\"\\]|\\.)*\"|[^\s\",]*)(?:, ?|$)){3,}$")  # set off by commas
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
    """Find message, level, time, host and program among the pairs of an object, and of the objects in it.

    The message is `text` if no name says it. A time that cannot be read is noted under `time_error`.
    """
    windows = flatten_windows(pairs)
    found = _find_roles(pairs)
    message = next((text for _, value in found["message"] if (text := _message(value))), "")
    reading = Reading(message or text, pairs, pattern=None if message else _pattern(pairs))
    for name, value in found["level"]:
        is_level = plain(name) == "level"
        severity = severity_of_windows(value) if windows and is_level else severity_of_field(dialect(pairs) or name, value)
        if severity is not None:
            reading.severity = severity
            break
    if windows and reading.severity in (None, DEFAULT) and is_audit_failure(pairs):
        reading.severity = WARNING
    _read_time(reading, found["time"], pairs, clock, observed_ns)
    for role in ("host", "app", "procid"):
        known = next((value for _, value in found[role] if _is_name(value)), None)
        if known is not None and type(nested := pairs.get(role)) is dict:  # ECS: {"host": {"name": "web"}}
            pairs.update({f"{role}.{key}": value for key, value in nested.items() if isinstance(key, str)})
            del pairs[role]
        if known is not None and role not in pairs:
            pairs[role] = str(known)
    return reading


def read_windows_xml(text: str, clock: Clock, observed_ns: int) -> Reading | None:
    """Read an event of Windows in XML; None if it is not one. The message is its own, or the XML."""
    fields = read_xml(text)
    return None if fields is None else read_object(fields, text, clock, observed_ns)


def _pattern(pairs: dict[str, Any]) -> str:
    """Return what the template of an object without a message is learned from: what it calls its kind, and its names."""
    kinds = [str(pairs[name])[:_MAX_KIND] for name in _KINDS if type(pairs.get(name)) in (str, int)]
    return " ".join([*kinds, *list(pairs)[:_MAX_NAMES]])


def _find_roles(pairs: dict[str, Any]) -> dict[str, list[tuple[str, Any]]]:
    """Return what could have each role, as (name, value), the likeliest first; of nested objects what is less deep first."""
    found: dict[str, list[tuple[int, int, str, Any]]] = {role: [] for role in ROLES}
    level: list[tuple[str, dict[str, Any]]] = [("", pairs)]
    for depth in range(_MAX_ROLE_DEPTH):
        inner: list[tuple[str, dict[str, Any]]] = []
        for prefix, mapping in level:
            for key, value in mapping.items():
                name = f"{prefix}.{key}" if prefix else key
                role = role_of(name) if type(key) is str else None
                if role is not None:
                    found[role[0]].append((role[1], depth, name, value))
                if type(value) is dict and len(inner) < _MAX_OBJECTS:
                    inner.append((name, value))
        if not inner:
            break
        level = inner
    return {role: [each[2:] for each in sorted(values, key=_BY_RANK)] for role, values in found.items()}


def _message(value: Any) -> str:
    """Return a message that a value is: text, or the bytes that the journal exports where they are no text."""
    if isinstance(value, str):
        return value.rstrip("\r\n")
    if isinstance(value, list) and value and all(type(each) is int and 0 <= each < 256 for each in value):
        return decode(bytes(value))
    return ""


def _is_name(value: Any) -> bool:
    return type(value) in (str, int) and 0 < len(str(value)) <= _MAX_NAME


def _read_time(
    reading: Reading, found: list[tuple[str, Any]], pairs: dict[str, Any], clock: Clock, observed_ns: int
) -> None:
    unread = None
    for name, value in [*_date_and_time(pairs), *found, *_audit_time(pairs)]:
        time = read_time_value(value, clock, observed_ns)
        if time is not None:
            reading.time_ns, reading.zoneless = time.ns, time.zoneless
            return
        if unread is None and isinstance(value, str) and len(value) >= _MIN_TIME and plain(name) not in _MAY_BE_NO_TIME:
            unread = value
    if unread is not None:
        pairs["time_error"] = f"not a time that is known: {unread[:64]}"


def _audit_time(pairs: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the time that laurel keeps in the id of a record."""
    number = pairs.get("ID")
    found = _LAUREL.match(number) if isinstance(number, str) else None
    return [("ID", found[1])] if found else []


def _date_and_time(pairs: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what stands in two fields, date and time, and perhaps in a third, the zone."""
    date, time = pairs.get("date"), pairs.get("time")
    if not (isinstance(date, str) and isinstance(time, str)):
        return []
    zone = pairs.get("tz") or pairs.get("timezone") or ""
    return [("date", f"{date} {time}{' ' if isinstance(zone, str) and zone[:1].isalpha() else ''}{zone}")]


def read_logfmt(text: str, clock: Clock, observed_ns: int) -> Reading | None:
    """Read a line that is nothing but `key=value`; None if it is not one."""
    if _LOGFMT.match(text) is None and ("," not in text or _LISTED.match(text) is None):
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


def read_time_value(value: object, clock: Clock, observed_ns: int) -> Time | None:
    """Return the time of a JSON value: text in any known form, a number of s, ms, us or ns since 1970, or an object of both."""
    if isinstance(value, str):
        text = value.strip("[] ")
        if _NUMBER.match(text) and len(text) < 32:
            return _time_of_number(float(text)) if "." in text else _time_of_number(int(text))
        return clock.read(text, 0, observed_ns)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _time_of_number(value)
    if isinstance(value, dict):
        return _time_of_object(value, clock, observed_ns)
    return None


def _time_of_object(value: dict[str, Any], clock: Clock, observed_ns: int) -> Time | None:
    """Read the time of MongoDB, of protocol buffers and of log4j."""
    for name in ("$date", "SystemTime", "#text"):
        if name in value:
            return read_time_value(value[name], clock, observed_ns)
    for seconds, nanos in (("seconds", "nanos"), ("epochSecond", "nanoOfSecond")):
        if type(value.get(seconds)) is int:
            time = _time_of_number(value[seconds])
            extra = value.get(nanos, 0)
            return time._replace(ns=time.ns + extra) if time and type(extra) is int and 0 <= extra < 10**9 else time
    return None


def _time_of_number(value: float) -> Time | None:
    for least, unit_ns in ((10**18, 1), (10**15, 10**3), (10**12, 10**6), (10**8, 10**9)):
        if least <= value < 10**19:
            if isinstance(value, int):
                return Time(value * unit_ns, 0, False, False)
            fraction_ns = int(round((value - int(value)) * 10**6) * unit_ns // 10**6)
            return Time(int(value) * unit_ns + fraction_ns, 0, False, False)
    return None
