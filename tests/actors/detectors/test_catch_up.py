"""A detector that was killed gives the scores that it would have given, out of its snapshot and the store."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import pytest
import trio
import trio.testing

from actors import files
from actors.detectors import actor as detector_actor
from actors.detectors import catch_up
from actors.detectors.registry import DETECTORS
from actors.following.cursor import Cursor
from actors.following.replay import Replay
from actors.parsing.features import columns_of
from actors.parsing.parse import Parser
from actors.storage import batches
from actors.storage.reader import StoreReader
from actors.storage.writer import StoreWriter
from protocol.messages import BatchKey, Events, JudgedEvent, Scored, encode
from protocol.records import Event, Record
from tests.fake_context import FakeContext

START_NS = 1_790_000_000_000_000_000
TAGS = {7: "syslog", 9: "file"}
Batch = tuple[BatchKey, list[Event]]
T = TypeVar("T")


def make_batches(count: int, size: int = 40) -> list[Batch]:
    """Return batches of two spools, alternating, as the parser makes them."""
    parser, batches, sent = Parser(), list[Batch](), dict.fromkeys(TAGS, 0)
    for number in range(count):
        tag = (7, 9)[number % 2]
        records = [
            Record(
                START_NS + (number * size + i) * 2_000_000_000, TAGS[tag], "line", "here",
                f"user {i % 5} asked for page {number * i % 17}{' and failed' * (i % 9 == 0)}".encode(),
            )
            for i in range(size)
        ]  # fmt: skip
        first = sent[tag] + 1
        events, _ = parser.parse(records, tag, first)
        sent[tag] += size
        batches.append((BatchKey(TAGS[tag], tag, first - 1, first, size, 0, first - 1), events))
    return batches


def commit(folder: Path, batches: list[Batch]) -> None:
    store = StoreWriter(folder / "store")
    for key, events in batches:
        store.commit(key, [JudgedEvent(event, 0.0, 1.0, None) for event in events], [], events[-1].observed_ns)
    store.close()


def test_a_page_of_large_events_is_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(tmp_path, make_batches(10))
    store = StoreReader(tmp_path / "store")
    assert len(store.batches(1, limit=1_000)) == 10
    monkeypatch.setattr(batches, "MAX_BYTES", 1)
    assert len(store.batches(1, limit=1_000)) == 1
    assert len(caught_up(tmp_path)) == 10


def caught_up(folder: Path) -> list[catch_up.Missed]:
    """Return what a detector without a snapshot reads."""

    async def main() -> list[catch_up.Missed]:
        missed, catching = list[catch_up.Missed](), catch_up.CatchUp(Replay(StoreReader(folder / "store")), Cursor())
        while page := await catching.read():
            missed += page
        return missed

    return trio.run(main)


class EventClock:
    """The wall clock of the events: it goes with Trio's virtual one."""

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns - int(trio.current_time() * 1e9)

    def time_ns(self) -> int:
        return self._start_ns + int(trio.current_time() * 1e9)

    async def wait(self, time_ns: int) -> None:
        await trio.sleep(max(0.0, (time_ns - self.time_ns()) / 1e9))


async def live(
    context: FakeContext, batches: list[Batch], monkeypatch: pytest.MonkeyPatch, *, kill: bool
) -> list[bytes]:
    """Give batches to an actor as they come in time, until it is killed or drains; return what it said of each."""
    clock = EventClock(batches[0][1][0].observed_ns)
    monkeypatch.setattr(detector_actor, "wall_ns", clock.time_ns)
    monkeypatch.setattr(detector_actor, "elapsed_ns", clock.time_ns)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(detector_actor.run, context)
        for number, (key, events) in enumerate(batches, 1):
            await clock.wait(events[-1].observed_ns)
            columns = columns_of(events)
            context.deliver(Events(key, columns.sources), columns.pack())
            while sum(isinstance(header, Scored) for _, header, _ in context.sent) < number:
                await trio.sleep(0.001)
        if kill:
            nursery.cancel_scope.cancel()
        context.drain()
    return [encode([header.key.first, *frames]) for _, header, frames in context.sent if isinstance(header, Scored)]


@pytest.fixture
def lives(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[bytes]]:
    """Lead a life in virtual time. That does not wait for threads, so the store is read without one."""

    async def read(_: Replay, query: Callable[..., T], *arguments: Any, **named: Any) -> T:
        await trio.lowlevel.checkpoint()
        return query(*arguments, **named)

    monkeypatch.setattr(Replay, "_read", read)
    monkeypatch.setattr(files, "SNAPSHOT_EVERY_S", 1e9)

    def lead(context: FakeContext, batches: list[Batch], *, kill: bool = True) -> list[bytes]:
        clock = trio.testing.MockClock(autojump_threshold=0)
        return trio.run(partial(live, kill=kill), context, batches, monkeypatch, clock=clock)

    return lead


@pytest.mark.parametrize("name", DETECTORS)
def test_the_scores_are_those_of_one_that_never_died(
    tmp_path: Path, name: str, lives: Callable[..., list[bytes]]
) -> None:
    batches = make_batches(120)
    before, missed, after = batches[:60], batches[60:110], batches[110:]
    wanted = lives(FakeContext(tmp_path / "never", name), batches)[110:]
    killed = tmp_path / "killed"
    lives(FakeContext(killed, name), before, kill=False)
    commit(killed, batches[:110])
    context = FakeContext(killed, name)
    got = lives(context, after)
    assert context.report.counters["caught_up_events"] == sum(key.count for key, _ in missed)
    assert len(wanted) == len(got) == 10
    assert got == wanted


@pytest.mark.parametrize("late", [True, False])
def test_a_batch_that_was_on_its_way_is_learned_once_it_is_committed(
    tmp_path: Path, late: bool, lives: Callable[..., list[bytes]]
) -> None:
    batches = make_batches(60)
    wanted = lives(FakeContext(tmp_path / "never", "markov"), batches)[-1]
    killed = tmp_path / "killed"
    commit(killed, batches[: 57 if late else 59])

    async def main() -> bytes:
        context = FakeContext(killed, "markov")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(detector_actor.run, context)
            key, events = batches[-1]
            key = msgspec.structs.replace(key, base=0)  # its receiver does not know yet that those before are committed
            context.deliver(Events(key, columns_of(events).sources), columns_of(events).pack())
            await trio.sleep(0.1)
            if late:
                commit(killed, batches[57:59])
            with trio.fail_after(10):
                while not context.sent:
                    await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
        (_, header, frames) = context.sent[0]
        assert isinstance(header, Scored)
        return encode([header.key.first, *frames])

    assert trio.run(main) == wanted


def test_poison_is_passed_over_and_all_else_is_learned(tmp_path: Path, lives: Callable[..., list[bytes]]) -> None:
    batches = make_batches(10)
    commit(tmp_path, batches[:9])
    context = FakeContext(tmp_path, "markov")
    context.is_poison = lambda key: (key.tag, key.first) == (batches[3][0].tag, batches[3][0].first)  # type: ignore[method-assign]
    lives(context, batches[9:])
    assert context.report.counters["caught_up_events"] == 9 * 40


def test_a_cold_detector_learns_the_newest_events_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "MAX_EVENTS", 100)
    batches = make_batches(20)
    commit(tmp_path, batches)
    caught = caught_up(tmp_path)
    assert [missed.key.first for missed in caught] == [key.first for key, _ in batches[-2:]]
    np.testing.assert_array_equal(caught[-1].columns.event_ns, columns_of(batches[-1][1]).event_ns)
    assert caught_up(tmp_path / "nothing") == []


def test_columns_of_stored_events_are_those_that_the_parser_made() -> None:
    parser = Parser()
    records = [Record(START_NS + i, "web", "line", "", f"a b {i} c={i} 10.0.0.{i} {'x' * i}".encode()) for i in range(50)]
    events, columns = parser.parse([*records, Record(START_NS, "web", "line", "", b"")], 1, 1)
    assert columns_of(events).pack() == columns.pack()
