"""The recorder under a clock that jumps: no crash, no day of the far future for good, no good day deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import trio
import trio.testing

from actors.storage import schema
from actors.storage.reader import EventQuery, StoreReader
from actors.storage.recorder import EXPIRE_EVERY_S, Recorder
from actors.storage.schema import day_of
from actors.storage.writer import StoreWriter
from protocol.clock import NS_PER_S
from protocol.messages import Acknowledged, Judged, encode
from tests.actors.storage.events import DAY_NS, NOON_NS, make_batch
from tests.fake_context import FakeContext

YEAR_NS = 365 * DAY_NS
DECADES_NS = 20 * YEAR_NS  # beyond 2038


class Clocks:
    """Both clocks, moved by the test."""

    def __init__(self, now_ns: int) -> None:
        self.wall_ns, self.elapsed_ns = now_ns, 1_000 * NS_PER_S

    def pass_time(self, seconds: float) -> None:
        self.wall_ns += int(seconds * NS_PER_S)
        self.elapsed_ns += int(seconds * NS_PER_S)


class Life:
    """A recorder at work."""

    def __init__(self, folder: Path, clocks: Clocks) -> None:
        self.context = FakeContext(folder, "recorder", retention_days=30, max_bytes=1 << 40)
        self.clocks = clocks
        self.recorder = Recorder(self.context, wall=lambda: clocks.wall_ns, elapsed=lambda: clocks.elapsed_ns)

    async def commit(self, first: int) -> None:
        key, events = make_batch(1, first, 10)
        scores = np.zeros(10, np.float32).tobytes()
        taken = len(self.acknowledged())
        self.context.deliver(Judged(key, (), {}), [encode([one.event for one in events]), scores, scores])
        while len(self.acknowledged()) == taken:
            await self.wait_for_store()

    def acknowledged(self) -> list[int]:
        return [message.sequence for _, message, _ in self.context.sent if isinstance(message, Acknowledged)]

    async def wait_for_store(self) -> None:
        """Return when what is to be done in the store's thread is done."""
        for _ in range(3):
            await trio.to_thread.run_sync(lambda: None, limiter=self.recorder._one_at_a_time)
            await trio.lowlevel.checkpoint()

    async def pass_minutes(self, minutes: int) -> None:
        for _ in range(minutes):
            self.clocks.pass_time(60)
            await trio.sleep(EXPIRE_EVERY_S + 1)
            await self.wait_for_store()


@asynccontextmanager
async def living(folder: Path, clocks: Clocks) -> AsyncIterator[Life]:
    life = Life(folder, clocks)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.recorder.run)
        while life.context.report.state != "ok":
            await life.wait_for_store()
        yield life
        life.context.drain()


def days(folder: Path) -> list[str]:
    return [day_of(path) for path in schema.day_files(folder / "store")]


def fill(folder: Path, count: int) -> None:
    """Store ten events on each of the days up to the one before `NOON_NS`."""
    writer = StoreWriter(folder / "store")
    for day in range(count):
        writer.commit(*make_batch(1, 1 + 10 * day, 10), [], NOON_NS - (count - day) * DAY_NS)
    writer.close()


def run(folder: Path, story: object, clocks: Clocks) -> None:
    async def main() -> None:
        async with living(folder, clocks) as life:
            await story(life)  # type: ignore[operator]

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_jump_ahead_and_back_deletes_nothing_and_begins_no_day(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    before = days(tmp_path)

    async def story(life: Life) -> None:
        await life.commit(31)
        for number, jump_ns in enumerate((DAY_NS, DECADES_NS, -YEAR_NS)):
            await life.pass_minutes(11)
            life.clocks.wall_ns += jump_ns
            await life.commit(41 + 20 * number)
            await life.pass_minutes(5)
            life.clocks.wall_ns -= jump_ns
            await life.commit(51 + 20 * number)
        assert life.context.report.counters["clock_jumps"] == 6
        assert [kind for kind, _ in life.context.told] == ["clock_jumped"] * 6
        assert life.context.told[0][1].startswith("tocsin: the clock jumped forwards by 86400 s and shows 2026-05-14T")

    run(tmp_path, story, Clocks(NOON_NS))
    assert days(tmp_path) == [*before, "2026-05-13"]
    events, _ = StoreReader(tmp_path / "store").events(EventQuery(limit=1_000))
    assert len(events) == 100


def test_a_clock_that_stays_where_it_jumped_is_believed_after_a_while(tmp_path: Path) -> None:
    fill(tmp_path, 3)

    async def story(life: Life) -> None:
        await life.pass_minutes(11)
        life.clocks.wall_ns += 29 * DAY_NS
        await life.pass_minutes(9)
        await life.commit(31)
        assert days(tmp_path) == ["2026-05-10", "2026-05-11", "2026-05-12", "2026-05-13"]
        await life.pass_minutes(3)
        await life.commit(41)
        assert days(tmp_path) == ["2026-05-12", "2026-05-13", "2026-06-11"]

    run(tmp_path, story, Clocks(NOON_NS))


def test_days_of_a_future_that_never_came_are_filed_under_the_present(tmp_path: Path) -> None:
    fill(tmp_path, 3)
    writer = StoreWriter(tmp_path / "store")
    writer.commit(*make_batch(1, 31, 10), [], NOON_NS + YEAR_NS)
    writer.commit(*make_batch(1, 41, 10), [], NOON_NS + DECADES_NS)
    writer.close()

    async def story(life: Life) -> None:
        await life.commit(51)
        await life.pass_minutes(5)
        assert days(tmp_path)[-1] > "2040", "the clock is not believed yet"
        await life.pass_minutes(7)
        await life.commit(61)
        assert days(tmp_path) == ["2026-05-10", "2026-05-11", "2026-05-12", "2026-05-13", "2026-05-14"]

    run(tmp_path, story, Clocks(NOON_NS))
    reader = StoreReader(tmp_path / "store")
    events, _ = reader.events(EventQuery(limit=1_000))
    assert [one.event.message for one in events] == [f"request {number} of 1" for number in range(1, 71)]
    assert len(reader.events(EventQuery(since_ns=NOON_NS + 51 * 1_000_000, limit=1_000))[0]) == 20


def test_after_a_start_nothing_is_deleted_for_its_age_until_the_clock_was_steady(tmp_path: Path) -> None:
    fill(tmp_path, 3)

    async def story(life: Life) -> None:
        await life.commit(31)
        await life.pass_minutes(9)
        assert len(days(tmp_path)) == 4
        await life.pass_minutes(3)
        assert days(tmp_path) == ["2027-05-13"]

    run(tmp_path, story, Clocks(NOON_NS + YEAR_NS))
