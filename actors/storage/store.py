"""The store as the other actors know it: append, query, follow, act. Its engine is known in this folder alone.

Another engine stands in for SQLite by fulfilling these protocols; `tests/actors/storage/conformance.py` says what they
promise, and every store has to pass it. `actors/storage/queries.py` has what goes in and out, `errors.py` what is raised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from actors.storage import schema
from actors.storage.queries import AlertQuery, EventQuery, StoredAction, StoredBatch, Template
from actors.storage.reader import StoreReader
from actors.storage.writer import Stored, StoreWriter
from protocol.findings import Alert, AlertState, Folded
from protocol.messages import Action, ActionDone, BatchKey, JudgedEvent


class ReadableStore(Protocol):
    """The committed data. Every call reads a moment of it, may block, and may be made in any thread.

    Raises what is in `errors.STORE_ERRORS`, and UnknownId for an id under which nothing is stored.
    """

    # -- query

    def events(self, query: EventQuery) -> tuple[list[JudgedEvent], int | None]:
        """Return a page in commit order, and the cursor of the next one, or None if this is the last."""
        ...

    def event(self, event_id: str) -> JudgedEvent:
        """Return one event. Raises ValueError if the id is malformed."""
        ...

    def receiver(self, event_id: str) -> str:
        """Return the receiver that took an event in, "" if that is not known any more."""
        ...

    def entity(self, uuid: str) -> dict[str, Any]:
        """Return `entity`, its number of `events`, and the event times `first` and `last`, of the first and last committed."""
        ...

    def alerts(self, query: AlertQuery) -> tuple[list[Alert], int | None]:
        """Return a page in commit order, and the cursor of the next one, or None if this is the last."""
        ...

    def alert(self, alert_id: str) -> Alert:
        """Return one alert."""
        ...

    def alert_states(self, alerts: Sequence[Alert]) -> dict[str, AlertState]:
        """Return the states of these alerts, by id."""
        ...

    def templates(self, *, cursor: int | None, limit: int) -> tuple[list[Template], int | None]:
        """Return a page of templates by id, and the cursor of the next one, or None if this is the last."""
        ...

    # -- follow

    def sequences(self) -> tuple[int, int]:
        """Return the commit sequences of the newest event and the newest alert."""
        ...

    def positions(self) -> dict[int, int]:
        """Return the committed positions, as {spool tag: last sequence}."""
        ...

    def sequence_behind(self, learned: Mapping[int, int], *, max_events: int) -> int:
        """Return the commit sequence of the first batch that is not learned, at most `max_events` before the newest event.

        `learned` is {spool tag: last sequence learned}. With all learned, it is the sequence after the newest event.
        """
        ...

    def batches(self, from_seq: int, *, limit: int) -> list[StoredBatch]:
        """Return batches from a commit sequence on, at least one if there is any; never a part of one.

        Not more than hold `limit` events. A batch within which `from_seq` lies is left out.
        """
        ...

    def batches_of(self, tag: int, first: int, last: int, *, limit: int) -> list[StoredBatch]:
        """Return the batches of a spool that hold any of these sequences, in the same way."""
        ...

    def actions(self, after: int, *, limit: int) -> list[StoredAction]:
        """Return the actions after a sequence of their log, oldest first."""
        ...

    # -- its own health

    def check_layout(self) -> None:
        """Raise NewerStore if a newer program wrote any of it."""
        ...

    def damaged_days(self) -> list[str]:
        """Return the days of which something could not be read."""
        ...


class WritableStore(Protocol):
    """The same store, for its one writer."""

    def commit(
        self,
        key: BatchKey | None,
        judged: Sequence[JudgedEvent],
        alerts: Sequence[Alert],
        now_ns: int,
        folded: Sequence[Folded] = (),
    ) -> Stored:
        """Append the new part: events by their place in the spool, alerts and folded drafts by their ids.

        Events get commit sequences without a gap, in the order of their coming; so do alerts. Raises OutOfOrder for a
        batch that lies ahead of what is committed. Whatever else is raised, the same may be committed again.
        """
        ...

    def act(self, action: Action, now_ns: int) -> ActionDone:
        """Append an action, once by its id; return its place, the same at each attempt, or why it is refused."""
        ...

    def position(self, key: BatchKey) -> int:
        """Return the last committed sequence of the batch's spool; a spool seen for the first time begins at its base."""
        ...

    def sequences(self) -> tuple[int, int]:
        """Return the same as the reader's, without a look at the disk."""
        ...

    def close(self) -> None: ...


class Store(WritableStore, ReadableStore, Protocol):
    """Both sides in one process."""


def store_folder(state_dir: Path) -> Path:
    """Return where the store of a state directory lies."""
    return state_dir / "store"


def has_store(state_dir: Path) -> bool:
    """Tell whether anything is stored."""
    folder = store_folder(state_dir)
    return schema.main_path(folder).exists() or bool(schema.day_files(folder))


def open_store_reader(state_dir: Path, *, quiet: bool = False) -> ReadableStore:
    """Return the store of a state directory, which may not be there yet; then it is empty.

    `quiet`: say nothing of damage, nor of a newer layout: someone else does. What cannot be read is left out.
    """
    return StoreReader(store_folder(state_dir), quiet=quiet)


def open_store_writer(state_dir: Path, *, full: bool = False) -> StoreWriter:
    """Open the store of a state directory for its one writer; it is made if it is not there.

    `full`: a commit survives a loss of power. Raises what is in `errors.STORE_ERRORS`, and OSError.
    """
    return StoreWriter(store_folder(state_dir), full=full)
