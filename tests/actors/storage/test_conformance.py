"""One suite for every store: SQLite's, one in memory, and some that break a promise, which it has to find."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, find, given, settings
from hypothesis.errors import NoSuchExample

from actors.storage.queries import EventQuery, StoredBatch
from actors.storage.store import ReadableStore, Store, WritableStore, open_store_reader, open_store_writer
from actors.storage.writer import Stored
from protocol.findings import AlertState
from protocol.messages import Action, ActionDone, JudgedEvent
from tests.actors.storage.conformance import STORIES, Act, Batch, Opened, Restart, Step, conform
from tests.actors.storage.memory_store import MemoryStore


class OnDisk:
    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self.writer: WritableStore = open_store_writer(state_dir)
        self.reader: ReadableStore = open_store_reader(state_dir)

    def restart(self) -> None:
        self.writer.close()
        self.writer, self.reader = open_store_writer(self._state_dir), open_store_reader(self._state_dir)


class InMemory:
    def __init__(self, store: Store) -> None:
        self.writer: WritableStore = store
        self.reader: ReadableStore = store

    def restart(self) -> None:
        pass


EVERYTHING: list[Step] = [
    Batch(1, 0, 5, (1, 2), (5, 6)), Batch(2, 0, 6, (2, 3), (5, 9)), Act(1, ""), Batch(1, 3, 6, (), (1, 0)), Act(1, "other"),
    Restart(1), Batch(1, 6, 4), Batch(3, -1, 2, (7,)), Act(1, ""), Batch(2, 0, 6, (0,), (4, 8)), Restart(2), Act(2, ""),
    Batch(1, 0, 6), Batch(2, 2, 1, (1,)),
]  # fmt: skip


@settings(deadline=None, max_examples=25)
@given(STORIES)
@example(EVERYTHING)
def test_the_store_on_disk_keeps_every_promise(story: list[Step]) -> None:
    folder = Path(tempfile.mkdtemp())
    opened = OnDisk(folder)
    try:
        conform(opened, story)
    finally:
        opened.writer.close()
        shutil.rmtree(folder)


@settings(deadline=None, max_examples=50)
@given(STORIES)
@example(EVERYTHING)
def test_a_store_in_memory_keeps_every_promise(story: list[Step]) -> None:
    conform(InMemory(MemoryStore()), story)


class Doubles(MemoryStore):
    """Forgets what is committed of a spool."""

    def position(self, key: object) -> int:
        return key.base  # type: ignore[attr-defined]


class ForgetsAlerts(MemoryStore):
    def commit(self, key: object, judged: object, alerts: object, now_ns: int, folded: object = ()) -> Stored:
        return super().commit(key, judged, [], now_ns, folded)  # type: ignore[arg-type]


class CountsAgain(MemoryStore):
    def alert_states(self, alerts: object) -> dict[str, AlertState]:
        states = super().alert_states(alerts)  # type: ignore[arg-type]
        return {id: AlertState(2 * state.count - 1, state.first_ns, state.last_ns, []) for id, state in states.items()}


class ActsTwice(MemoryStore):
    def act(self, action: Action, now_ns: int) -> ActionDone:
        done = super().act(action, now_ns)
        return ActionDone(action.id, done.sequence, now_ns, done.refusal)


class HidesTheLast(MemoryStore):
    def events(self, query: EventQuery) -> tuple[list[JudgedEvent], int | None]:
        page, cursor = super().events(query)
        return (page[:-1], cursor) if query.order == "desc" else (page, cursor)


class SplitsBatches(MemoryStore):
    def batches(self, from_seq: int, *, limit: int) -> list[StoredBatch]:
        found = super().batches(from_seq, limit=limit)
        return [StoredBatch(each.seq, each.tag, each.first, each.events[:3]) for each in found]


class ForgetsAtRestart(InMemory):
    def restart(self) -> None:
        self.writer = self.reader = MemoryStore()


KINDS = (Doubles, ForgetsAlerts, CountsAgain, ActsTwice, HidesTheLast, SplitsBatches)
BROKEN: list[Callable[[], Opened]] = [
    *((lambda kind=kind: InMemory(kind())) for kind in KINDS),
    lambda: ForgetsAtRestart(MemoryStore()),
]


@pytest.mark.parametrize("begin", BROKEN)
def test_a_store_that_breaks_a_promise_is_found_out(begin: Callable[[], Opened]) -> None:
    def breaks(story: list[Step]) -> bool:
        try:
            conform(begin(), story)
        except (AssertionError, pytest.fail.Exception):
            return True
        return False

    assert breaks(EVERYTHING)
    try:
        shortest = find(STORIES, breaks, settings=settings(max_examples=300, deadline=None, database=None))
    except NoSuchExample:
        pytest.fail("no story that Hypothesis tells finds it out")
    assert len(shortest) <= 3


def test_nothing_stored_is_an_empty_store(tmp_path: Path) -> None:
    reader = open_store_reader(tmp_path / "not there")
    assert reader.events(EventQuery()) == ([], None) and reader.positions() == {}
    assert reader.actions(0, limit=5) == [] and reader.sequence_behind({}, max_events=5) == 1
