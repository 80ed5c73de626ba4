"""Events of Windows as their shippers write them, under the names that they have in Windows itself, which Sigma's rules use.

Winlogbeat nests them under `winlog`, the OpenTelemetry Collector has names of its own, Fluent Bit and NXLog write them flat,
others keep `Event`, `System` and `EventData` of the XML. `EventID`, `Channel`, `Provider_Name`, `Computer` and the names of
the event's own data are added beside what there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import unescape
from typing import Any

_MAX_KEYWORDS = 18  # characters: 64 bits
_AUDIT_FAILURE = 0x10_0000_0000_0000  # of Keywords (winmeta.xml)
_MAX_DATA = 128
_MAX_DIGITS = 9  # of an event id
_SYSTEM = re.compile(r"<(EventID|Level|Task|Opcode|Keywords|EventRecordID|Channel|Computer)(?: [^<>]{0,128})?>([^<>]{0,512})</")
_PROVIDER = re.compile(r"<Provider Name=['\"]([^'\"<>]{1,256})")
_TIME = re.compile(r"<TimeCreated SystemTime=['\"]([^'\"<>]{1,64})")
_NAMED_DATA = re.compile(r"<Data Name=['\"]([^'\"<>]{1,128})['\"](?:/>|>([^<>]{0,8192})</Data>)")
_MESSAGE = re.compile(r"<Message>([^<>]{1,16384})</Message>")
_NAMES = {
    "event_id": "EventID", "EventId": "EventID", "eventID": "EventID", "channel": "Channel", "log_name": "Channel",
    "provider_name": "Provider_Name", "ProviderName": "Provider_Name", "SourceName": "Provider_Name",
    "computer_name": "Computer", "computer": "Computer", "record_id": "EventRecordID", "keywords": "Keywords",
}  # fmt: skip
_DATA = ("event_data", "EventData", "user_data", "UserData", "eventdata")


def read_xml(text: str) -> dict[str, Any] | None:
    """Return the fields of an event of Windows in XML, as `wevtutil` and forwarders write it; None if it is not one."""
    if not text.startswith("<Event") or "<System>" not in text:
        return None
    fields: dict[str, Any] = {name: unescape(value) for name, value in _SYSTEM.findall(text)}
    number = fields.get("EventID", "")
    if not number.isdecimal() or len(number) > _MAX_DIGITS or "Channel" not in fields:
        return None
    fields["EventID"] = int(number)
    for name, pattern in (("Provider_Name", _PROVIDER), ("TimeCreated", _TIME), ("Message", _MESSAGE)):
        if found := pattern.search(text):
            fields[name] = unescape(found[1])
    for name, value in _NAMED_DATA.findall(text)[:_MAX_DATA]:
        fields.setdefault(name, unescape(value))
    return fields


def flatten_windows(pairs: dict[str, Any]) -> bool:
    """Add the names of Windows to an object that is an event of Windows; tell whether it is one."""
    inner = pairs.get("winlog")
    event = inner if isinstance(inner, dict) else pairs
    if not any(name in event for name in ("event_id", "EventID", "EventId", "eventID")):
        return False
    if not any(name in event for name in ("channel", "Channel", "log_name")):
        return False
    for name, value in [*_head(event), *_data(event)]:
        pairs.setdefault(name, value)
    return True


def is_audit_failure(pairs: Mapping[str, Any]) -> bool:
    """Tell whether an event of Windows is of an audit that failed, as its keywords or its shipper's words have it."""
    keywords = pairs.get("Keywords")
    if isinstance(keywords, str) and keywords.lower().startswith("0x") and len(keywords) <= _MAX_KEYWORDS:
        try:
            keywords = int(keywords, 16)
        except ValueError:
            return False
    if isinstance(keywords, int):
        return bool(keywords & _AUDIT_FAILURE)
    event = pairs.get("event")
    words = (keywords, pairs.get("EventType"), event.get("outcome") if isinstance(event, dict) else None)
    return any("failure" in str(word).lower() for word in words)


def _head(event: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for theirs, ours in _NAMES.items():
        value = event.get(theirs)
        if isinstance(value, dict):
            value = value.get("id", value.get("name"))
        if ours == "EventID" and isinstance(value, str) and value.isdecimal() and len(value) <= _MAX_DIGITS:
            value = int(value)
        if isinstance(value, (str, int, list)):
            yield ours, value
    provider = event.get("provider")
    if isinstance(provider, dict) and isinstance(provider.get("name"), str):
        yield "Provider_Name", provider["name"]


def _data(event: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the event's own data: an object of names and values, or a list of such."""
    for name in _DATA:
        value = event.get(name)
        if not isinstance(value, dict):
            continue
        inner = value.get("data", value.get("Data"))
        if isinstance(inner, list):
            value = {key: each for part in inner[:_MAX_DATA] if isinstance(part, dict) for key, each in _named(part)}
        yield from list(value.items())[:_MAX_DATA]


def _named(part: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    name = part.get("Name", part.get("name", part.get("@Name")))
    if isinstance(name, str):
        yield name, part.get("value", part.get("#text", part.get("Value")))
    else:
        yield from part.items()
