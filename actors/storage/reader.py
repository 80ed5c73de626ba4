"""Reading the store: keyset pages in commit order, across day files. Opens read-only, holds nothing open between calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from actors.storage import batches, events, schema
from actors.storage.day_reader import DayReader
from actors.storage.main_reader import MainReader
from actors.storage.queries import AlertQuery, EventQuery, StoredAction, StoredBatch, Template, UnknownId
from protocol.findings import Alert, AlertState
from protocol.messages import JudgedEvent

__all__ = ["AlertQuery", "EventQuery", "StoreReader", "StoredBatch", "UnknownId"]


class StoreReader:
    """Read-only view of a store that is being written to. Whatever reads raises NewerStore where a newer program wrote.

    A damaged day is left out, from the damage on. A damaged main file raises DamagedStore.
    """

    def __init__(self, folder: Path, *, quiet: bool = False) -> None:
        """`quiet`: say nothing of damage, nor of a newer layout: someone else does. What cannot be read is left out."""
        self._folder = folder
        self._days = DayReader(folder, quiet=quiet)
        self._main = MainReader(folder, quiet=quiet)

    def check_layout(self) -> None:
        """Raise NewerStore if a newer program wrote any file of the store."""
        schema.refuse_newer(self._folder)

    def damaged_days(self) -> list[str]:
        """Return the days of which something could not be read; those that retention has deleted no more."""
        return self._days.damaged()

    # -- events

    def events(self, query: EventQuery) -> tuple[list[JudgedEvent], int | None]:
        """Return a page in commit order and the cursor of the next, or None if this is the last. Raises UnknownId."""
        return events.read_page(self._days, query)

    def event(self, event_id: str) -> JudgedEvent:
        """Return one event. Raises UnknownId, and ValueError if the id is malformed."""
        return events.read_event(self._days, event_id)

    def receiver(self, event_id: str) -> str:
        """Return the receiver that took an event in, "" if that is not known any more. Raises UnknownId."""
        return events.read_receiver(self._days, event_id)

    def entity(self, uuid: str) -> dict[str, Any]:
        """Return an entity: type, value, events, first and last seen. Raises UnknownId."""
        return events.read_entity(self._days, uuid)

    # -- following

    def sequences(self) -> tuple[int, int]:
        """Return the commit sequences of the newest event and the newest alert. Raises DamagedStore."""
        return batches.newest_sequence(self._days), self._main.last_alert()

    def positions(self) -> dict[int, int]:
        """Return the committed positions, as {spool tag: last sequence}."""
        return batches.read_positions(self._days)

    def sequence_behind(self, learned: Mapping[int, int], *, max_events: int) -> int:
        """Return the commit sequence from which on batches may be committed that are not `learned`, {spool tag: sequence}."""
        return batches.sequence_behind(self._days, learned, max_events=max_events)

    def batches(self, from_seq: int, *, limit: int) -> list[StoredBatch]:
        """Return batches from a commit sequence on, in the order of their commit, at least one if there is any."""
        return batches.read_batches(self._days, from_seq, limit=limit)

    def batches_of(self, tag: int, first: int, last: int, *, limit: int) -> list[StoredBatch]:
        """Return the batches of a spool that hold any of these sequences, oldest first, at least one if there is any."""
        return batches.read_batches_of(self._days, tag, first, last, limit=limit)

    # -- the main file

    def alerts(self, query: AlertQuery) -> tuple[list[Alert], int | None]:
        """Return a page in commit order and the cursor of the next. Raises UnknownId."""
        return self._main.alerts(query)

    def alert(self, alert_id: str) -> Alert:
        """Return one alert. Raises UnknownId."""
        return self._main.alert(alert_id)

    def alert_states(self, alerts: Sequence[Alert]) -> dict[str, AlertState]:
        """Return the states of these alerts, by id."""
        return self._main.alert_states(alerts)

    def actions(self, after: int, *, limit: int) -> list[StoredAction]:
        """Return the actions after a sequence of their log, oldest first."""
        return self._main.actions(after, limit)

    def templates(self, *, cursor: int | None, limit: int) -> tuple[list[Template], int | None]:
        """Return rows of id, template, events, first and last event time, by id; and the cursor of the next page."""
        return self._main.templates(cursor=cursor, limit=limit)
