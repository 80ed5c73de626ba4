"""Queries of a store and their answers. Data only."""

from __future__ import annotations

from typing import Literal

import msgspec

from protocol.messages import Action, JudgedEvent

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
    cursor: int | None = None  # commit sequence that the page before ended with
    order: Order = "asc"
    limit: int = 100


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
