"""One suite for every log of records: the spool, one in memory, and some that break a promise, which it has to find."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, find, given, settings
from hypothesis.errors import NoSuchExample

from actors.record_log import Batch, LogFull, RecordLog
from actors.spool.spool import Spool
from actors.syncing import sync_all
from tests.actors.spool.conformance import STORIES, Acknowledge, Append, Opened, Restart, SetCursors, Step, conform
from tests.actors.spool.memory_log import MemoryEntry, MemoryLog


class OnDisk:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.log: RecordLog = self._open()

    def _open(self) -> Spool:
        return Spool(self._folder, max_bytes=1_500, segment_bytes=200)

    def restart(self, *, killed: bool) -> None:
        if killed:
            assert isinstance(self.log, Spool)
            self.log.segments.close()  # as the kernel does, and nothing more is written
            sync_all(self.log.segments.unsynced.take())
        else:
            self.log.close()
        self.log = self._open()


class InMemory:
    def __init__(self, log: RecordLog) -> None:
        self.log = log

    def restart(self, *, killed: bool) -> None:
        self.log.close()


EVERYTHING: list[Step] = [
    Append(((b"a" * 60, 3), (b"b" * 40, 1)), {"a": 1}), Acknowledge(1), Restart(killed=True), Append(((b"c", 5),), None),
    SetCursors({"b": 2}), Restart(killed=False), Acknowledge(2), Acknowledge(0), Append(((b"x", 2),), None),
    *[Append(((b"d" * 70, 2),) * 3, {"a": 9})] * 8, Acknowledge(4), Acknowledge(2), Restart(killed=True),
    Append(((b"e", 1),), {"b": 3}), Acknowledge(99), Append(((b"f" * 80, 4),), None),
]  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(STORIES)
@example(EVERYTHING)
def test_the_spool_keeps_every_promise(story: list[Step]) -> None:
    folder = Path(tempfile.mkdtemp())
    opened = OnDisk(folder)
    try:
        conform(opened, story)
    finally:
        opened.log.close()
        shutil.rmtree(folder)


@settings(deadline=None)
@given(STORIES)
@example(EVERYTHING)
def test_a_log_in_memory_keeps_every_promise(story: list[Step]) -> None:
    conform(InMemory(MemoryLog()), story)


class TakesAPart(MemoryLog):
    """Keeps the first batches of an append for which there is no room."""

    def append(self, batches: Sequence[Batch], cursor: dict[str, Any] | None = None) -> list[MemoryEntry]:
        try:
            return super().append(batches, cursor)
        except LogFull:
            super().append(batches[:1], None)
            raise


class NeverEmpty(MemoryLog):
    """Takes nothing more once it was full."""

    is_full = False

    def append(self, batches: Sequence[Batch], cursor: dict[str, Any] | None = None) -> list[MemoryEntry]:
        try:
            if self.is_full:
                raise LogFull
            return super().append(batches, cursor)
        except LogFull:
            self.is_full = True
            raise


class ForgetsTooMuch(MemoryLog):
    def acknowledge(self, sequence: int) -> None:
        super().acknowledge(sequence + 1)


class GoesBack(MemoryLog):
    def acknowledge(self, sequence: int) -> None:
        super().acknowledge(sequence)
        self.acknowledged = sequence
        self.next = max([1 + sequence, *(entry.last + 1 for entry in self._entries)])


class AddsCursors(MemoryLog):
    def set_cursors(self, cursors: dict[str, Any]) -> None:
        self.cursors.update(cursors)


class ForgetsCursors(MemoryLog):
    def close(self) -> None:
        self.cursors = {}


class CountsEntries(MemoryLog):
    @property
    def waiting(self) -> int:
        return len(self._entries)


class LosesTheLast(MemoryLog):
    def close(self) -> None:
        self._entries = self._entries[:-1]


class BeginsAnew(MemoryLog):
    def close(self) -> None:
        self.__init__()  # type: ignore[misc]


BROKEN: list[Callable[[], MemoryLog]] = [
    TakesAPart, ForgetsTooMuch, GoesBack, AddsCursors, ForgetsCursors, CountsEntries, LosesTheLast, BeginsAnew,
]  # fmt: skip


@pytest.mark.parametrize("broken", [*BROKEN, NeverEmpty])
def test_a_log_that_breaks_a_promise_is_found_out(broken: Callable[[], MemoryLog]) -> None:
    def breaks(story: list[Step]) -> bool:
        opened: Opened = InMemory(broken())
        try:
            conform(opened, story)
        except AssertionError:
            return True
        return False

    assert breaks(EVERYTHING)


@pytest.mark.parametrize("broken", BROKEN[1:])
def test_hypothesis_finds_it_too(broken: Callable[[], MemoryLog]) -> None:
    def breaks(story: list[Step]) -> bool:
        try:
            conform(InMemory(broken()), story)
        except AssertionError:
            return True
        return False

    try:
        shortest = find(STORIES, breaks, settings=settings(max_examples=300, deadline=None, database=None))
    except NoSuchExample:
        pytest.fail("no story that Hypothesis tells finds it out")
    assert len(shortest) <= 5
