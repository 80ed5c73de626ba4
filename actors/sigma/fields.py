"""An event's fields by the names that rules use. Pure.

What the parser found stands under its own names. Besides, nested data (bodies and attributes of OTLP, structured data,
JSON lines) is laid out flat, under dotted and under plain names; events of Windows as JSON (`System`, `EventData`,
`UserData`) under the names of their data, which is what rules for Windows expect, and names with blanks without them too.
Where two say the same name, the outer one is believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from protocol.records import Event

MAX_DEPTH = 6
MAX_FIELDS = 512  # of one event that rules see

_SOURCE_ADDRESS = ("ipv4", "ipv6")


def fields_of(event: Event) -> dict[str, Any]:
    """Return what rules see of an event."""
    fields: dict[str, Any] = {}
    for name, value in event.fields.items():
        windows = _windows_event(value)
        for path, leaf in _flat_windows(windows) if windows is not None else _flat(name, value):
            if len(fields) >= MAX_FIELDS:
                return fields
            fields.setdefault(path, leaf)
    if (windows := _windows_event(event.fields)) is not None:
        fields = dict(_flat_windows(windows)) | fields
    fields.setdefault("message", event.message)
    for entity in event.entities:
        fields.setdefault("src_ip" if entity.type in _SOURCE_ADDRESS else entity.type, entity.value)
    return fields


def _flat(name: str, value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a value under their dotted names, those of a mapping under their plain names too."""
    if not isinstance(value, Mapping) or depth >= MAX_DEPTH:
        yield name, value
        return
    for key, inner in value.items():
        yield from _flat(f"{name}.{key}", inner, depth + 1)
        if not isinstance(inner, Mapping):
            yield str(key), inner


def _windows_event(value: Any) -> Mapping[str, Any] | None:
    """Return an event of Windows out of a value that is one, or wraps one as `Event`."""
    if not isinstance(value, Mapping):
        return None
    inner = value.get("Event", value)
    if isinstance(inner, Mapping) and isinstance(inner.get("System"), Mapping):
        return inner
    return None


def _flat_windows(event: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in event["System"].items():
        if not isinstance(value, Mapping):
            yield name, value
            continue
        attributes = value.get("#attributes", value)
        if "#text" in value:
            yield name, value["#text"]
        if isinstance(attributes, Mapping):
            yield from ((f"{name}_{key}", inner) for key, inner in attributes.items() if not isinstance(inner, Mapping))
    for part in ("EventData", "UserData"):
        yield from _leaves(event.get(part))


def _leaves(value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping) or depth >= MAX_DEPTH:
        return
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _leaves(inner, depth + 1)
        elif name != "#attributes":
            yield name, inner
            if " " in name:
                yield name.replace(" ", ""), inner
