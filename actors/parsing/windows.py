"""Events of Windows as their shippers write them, under the names that they have in Windows itself, which Sigma's rules use.

Winlogbeat nests them under `winlog`, the OpenTelemetry Collector has names of its own, Fluent Bit and NXLog write them flat,
others keep `Event`, `System` and `EventData` of the XML. `EventID`, `Channel`, `Provider_Name`, `Computer` and the names of
the event's own data are added beside what there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_AUDIT_FAILURE = 0x10_0000_0000_0000  # of Keywords (winmeta.xml)
_MAX_DATA = 128
_NAMES = {
    "event_id": "EventID", "EventId": "EventID", "eventID": "EventID", "channel": "Channel", "log_name": "Channel",
    "provider_name": "Provider_Name", "ProviderName": "Provider_Name", "SourceName": "Provider_Name",
    "computer_name": "Computer", "computer": "Computer", "record_id": "EventRecordID", "keywords": "Keywords",
}  # fmt: skip
_DATA = ("event_data", "EventData", "user_data", "UserData", "eventdata")


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
    if isinstance(keywords, str) and keywords.lower().startswith("0x"):
        try:
            keywords = int(keywords, 16)
        except ValueError:
            return False
    if isinstance(keywords, int):
        return bool(keywords & _AUDIT_FAILURE)
    words = (keywords, pairs.get("EventType"))
    return any("failure" in str(word).lower() for word in words)


def _head(event: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for theirs, ours in _NAMES.items():
        value = event.get(theirs)
        if isinstance(value, dict):
            value = value.get("id", value.get("name"))
        if ours == "EventID" and isinstance(value, str) and value.isdecimal():
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
