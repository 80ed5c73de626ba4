"""Data within data, laid out flat: objects of JSON and OTLP, and events of Windows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MAX_DEPTH = 6


def leaves_of(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a mapping under their dotted and their plain names, an event of Windows under those of its data."""
    windows = windows_event(value)
    return flat_windows(windows) if windows is not None else _flat(name, value)


def _flat(name: str, value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict) or depth >= MAX_DEPTH:
        yield name, value
        return
    for key, inner in value.items():
        yield from _flat(f"{name}.{key}", inner, depth + 1)
        if not isinstance(inner, dict):
            yield str(key), inner


def windows_event(value: Any) -> Mapping[str, Any] | None:
    """Return an event of Windows out of a value that is one, or wraps one as `Event`."""
    if not isinstance(value, dict):
        return None
    inner = value.get("Event", value)
    if isinstance(inner, dict) and isinstance(inner.get("System"), dict):
        return inner
    return None


def flat_windows(event: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what stands in `System`, `EventData` and `UserData` of an event of Windows."""
    for name, value in event["System"].items():
        if not isinstance(value, dict):
            yield name, value
            continue
        attributes = value.get("#attributes", value)
        if "#text" in value:
            yield name, value["#text"]
        if isinstance(attributes, dict):
            yield from ((f"{name}_{key}", inner) for key, inner in attributes.items() if not isinstance(inner, dict))
    for part in ("EventData", "UserData"):
        yield from _data(event.get(part))


def _data(value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict) or depth >= MAX_DEPTH:
        return
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _data(inner, depth + 1)
        elif name != "#attributes":
            yield name, inner
            if " " in name:
                yield name.replace(" ", ""), inner
