"""Queries of a store and their answers. Data only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from protocol.messages import Action, JudgedEvent

_MAX_NAME = 256

Order = Literal["asc", "desc"]
Template = tuple[int, str, int, int, int]  # id, template, events, first and last event time


class EventQuery(msgspec.Struct, frozen=True):
    """Which events. Everything None is not asked for."""

    since_ns: int | None = None  # event_ns at least
    until_ns: int | None = None  # event_ns below
    after_id: str | None = None  # committed after this event
    source: str | None = None
    stream: int | None = None  # key; days before layout 2 of their file know of none
    severity: int | None = None  # at least
    template_id: int | None = None
    entity: str | None = None  # UUID
    min_score: float | None = None
    text: str | None = None  # all these words are in the message
    fields: tuple[tuple[str, str], ...] = ()  # names, dotted where nested, and what their values read as
    cursor: int | None = None  # commit sequence that the page before ended with
    order: Order = "asc"
    limit: int = 100


def has_fields(fields: Mapping[str, Any], wanted: Iterable[tuple[str, str]]) -> bool:
    """Tell whether fields have all these values, by their names; of a list any value counts."""
    return all(_has(fields, name, value) for name, value in wanted)


def _has(fields: Mapping[str, Any], name: str, value: str) -> bool:
    if name in fields:
        found = fields[name]
        return value in map(_written, found) if isinstance(found, list) else value == _written(found)
    return any(
        isinstance(inner := fields.get(name[:dot]), Mapping) and _has(inner, name[dot + 1 :], value)
        for dot, letter in enumerate(name[:_MAX_NAME])
        if letter == "."
    )


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class AlertQuery(msgspec.Struct, frozen=True):
    since_ns: int | None = None
    until_ns: int | None = None
    after_id: str | None = None
    source: str | None = None
    entity: str | None = None
    cursor: int | None = None
    order: Order = "asc"
    limit: int = 100


class StoredBatch(msgspec.Struct, frozen=True):
    """Events that were committed as one batch, and where they stand in their receiver's spool."""

    seq: int  # commit sequence of the first
    tag: int
    first: int
    events: list[JudgedEvent]

    @property
    def last(self) -> int:
        return self.first + len(self.events) - 1


class StoredAction(msgspec.Struct, frozen=True):
    """An action of a person, and the time of its commit."""

    sequence: int
    time_ns: int
    action: Action


class OutOfOrder(Exception):
    """A batch that lies ahead of what is committed; its receiver will send again what is missing."""


class UnknownId(LookupError):
    """No event or alert of this id is stored."""
