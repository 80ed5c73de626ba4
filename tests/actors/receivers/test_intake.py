from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from actors.receivers.intake import Intake, IntakeSettings
from actors.receivers.sending import STALL_S
from actors.record_log import LogFull
from actors.spool.spool import Spool
from protocol.messages import Acknowledged
from protocol.records import Record
from tests.fake_context import FakeContext, FakeRecorder


def make_records(start: int, count: int, size: int = 8) -> list[Record]:
    return [Record(1, "syslog", "syslog", "peer", b"%0*d" % (size, number)) for number in range(start, start + count)]


def numbers(bodies: list[bytes]) -> list[int]:
    return [int(body) for body in bodies]


@asynccontextmanager
async def running(context: FakeContext, **settings: Any) -> AsyncIterator[Intake]:
    intake = Intake(context, IntakeSettings(**({"window": 100, "spool_bytes": 1 << 20, "batch_records": 10} | settings)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(intake.run)
        yield intake
        nursery.cancel_scope.cancel()


def spool_of(intake: Intake) -> Spool:
    """Return the log of an intake, for a test that damages or hurries it."""
    assert isinstance(intake._log, Spool)
    return intake._log


def run(test: Callable[[], Awaitable[None]]) -> None:
    trio.run(test, clock=trio.testing.MockClock(autojump_threshold=0))


def test_the_window_bounds_what_is_in_flight(tmp_path: Path) -> None:
    async def test() -> None:
        context = FakeContext(tmp_path)
        async with running(context) as intake:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(intake.put, make_records(0, 250))
                await trio.sleep(1)
                assert len(context.bodies()) == 100 == intake.queue_depth
                assert not intake.has_credit()
                recorder = FakeRecorder(context)
                nursery.start_soon(recorder.run)
                await trio.sleep(1)
                nursery.cancel_scope.cancel()
            assert numbers(recorder.bodies) == list(range(250))
            assert intake.queue_depth == 0 and intake.has_credit(100) and intake.has_credit(1_000)
            assert context.report.gauges["queue_depth"] == 0

    run(test)


def test_a_loss_downstream_sends_everything_again_in_order(tmp_path: Path) -> None:
    async def test() -> None:
        context = FakeContext(tmp_path)
        async with running(context) as intake:
            intake.put_nowait(make_records(0, 35))
            await trio.sleep(1)
            first = context.batches()
            tag = intake._log.tag
            context.deliver(Acknowledged(tag, 10))
            await trio.sleep(0.1)
            context.announce_loss()
            await trio.sleep(0.1)
            again = context.batches()[len(first) :]
            assert [(key.first, key.count) for key, _ in again] == [(11, 10), (21, 10), (31, 5)]
            assert {key.attempt for key, _ in first} == {0} and {key.attempt for key, _ in again} == {1}
            assert [records for _, records in again] == [records for _, records in first[1:]]
            assert context.report.counters["resent_records"] == 25

    run(test)


def test_a_stall_is_noticed_and_its_patience_doubles(tmp_path: Path) -> None:
    async def test() -> None:
        context = FakeContext(tmp_path)
        async with running(context) as intake:
            await trio.sleep(3 * STALL_S + 0.1)
            assert context.report.counters["stalls"] == 0, "nothing in flight is no stall"
            intake.put_nowait(make_records(0, 10))
            await trio.sleep(2 * STALL_S)
            assert context.report.counters["stalls"] == 1
            await trio.sleep(2 * STALL_S)
            assert context.report.counters["stalls"] == 2
            assert [key.attempt for key, _ in context.batches()] == [0, 1, 2]
            FakeRecorder(context).take_all()
            await trio.sleep(100)
            assert context.report.counters["stalls"] == 2

    run(test)


def test_what_cannot_wait_goes_to_disk_and_is_sent_later(tmp_path: Path) -> None:
    async def test() -> None:
        context = FakeContext(tmp_path)
        async with running(context) as intake:
            intake.put_nowait(make_records(0, 1_000))
            await trio.sleep(1)
            assert len(context.bodies()) == 100 and intake.queue_depth == 1_000
            assert sum(packed is not None for _, packed in intake._sender._unsent) <= 20, "payloads wait on disk, not in memory"
            recorder = FakeRecorder(context)
            while intake.queue_depth:
                recorder.take_all()
                await trio.sleep(0.01)
            assert numbers(recorder.bodies) == list(range(1_000)) == numbers(context.bodies())

    run(test)


def test_drops_are_counted_when_the_spool_is_full_and_end_with_it(tmp_path: Path) -> None:
    async def test() -> None:
        context = FakeContext(tmp_path)
        async with running(context, spool_bytes=6_000) as intake:
            intake.put_nowait(make_records(0, 300))
            await trio.sleep(1)
            accepted, dropped = (context.report.counters[name] for name in ("accepted_records", "dropped_spool_full"))
            assert accepted + dropped == 300 and dropped > 0 and accepted > 0
            assert context.report.state == "degraded"
            recorder = FakeRecorder(context)
            while intake.queue_depth:
                recorder.take_all()
                await trio.sleep(0.01)
            assert len(recorder.bodies) == accepted

    run(test)


def test_a_batch_that_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    """Whoever is refused tries again with all of it: what had got in would be doubled."""

    async def test() -> None:
        context = FakeContext(tmp_path)
        async with running(context, spool_bytes=1_000) as intake:
            with pytest.raises(LogFull):
                intake.put_batch(make_records(0, 90), {"file": 90})
            assert intake.queue_depth == 0 and intake._log.cursors == {}
            assert intake.put_batch(make_records(0, 20), {"file": 20}) == 20
            await trio.sleep(1)
            assert numbers(context.bodies()) == list(range(20))

    run(test)


def test_what_waits_for_room_is_said_although_something_smaller_fits(tmp_path: Path) -> None:
    async def test() -> None:
        context = FakeContext(tmp_path)
        async with running(context, spool_bytes=1_000) as intake:
            await intake.put(make_records(0, 9, size=200))
            await trio.sleep(0.1)
            assert (context.report.state, context.report.note) == ("degraded", "the spool is full: reading waits")
            intake.put_batch(make_records(9, 1))
            assert context.report.state == "degraded"

    run(test)


def test_acknowledgements_out_of_order_old_and_foreign(tmp_path: Path) -> None:
    async def test() -> None:
        context = FakeContext(tmp_path)
        async with running(context) as intake:
            intake.put_nowait(make_records(0, 50))
            await trio.sleep(1)
            tag = intake._log.tag
            for acknowledged, left in (
                (Acknowledged(tag + 1, 50), 50),
                (Acknowledged(tag, 30), 20),
                (Acknowledged(tag, 10), 20),
                (Acknowledged(tag, 0), 20),
                (Acknowledged(tag, -5), 20),
                (Acknowledged(tag, 40), 10),
                (Acknowledged(tag, 40), 10),
                (Acknowledged(tag, 1 << 40), 0),
            ):
                context.deliver(acknowledged)
                await trio.sleep(0.01)
                assert intake.queue_depth == left
            assert await intake.wait_acknowledged(50) is None

    run(test)


def test_a_small_batch_closes_after_a_moment(tmp_path: Path) -> None:
    async def test() -> None:
        context = FakeContext(tmp_path)
        async with running(context) as intake:
            await intake.put(make_records(0, 3))
            await intake.put(make_records(3, 3))
            assert context.bodies() == []
            await trio.sleep(0.006)
            assert [key.count for key, _ in context.batches()] == [6]

    run(test)


def test_a_drain_waits_for_the_last_commit_however_slow(tmp_path: Path) -> None:
    async def test() -> None:
        context = FakeContext(tmp_path)
        async with running(context) as intake:
            intake.put_nowait(make_records(0, 35))
            await trio.sleep(0.1)
            context.drain()
            recorder = FakeRecorder(context)
            async with trio.open_nursery() as nursery:

                async def commit_slowly() -> None:
                    await trio.sleep(2)  # the inbox of a draining actor ends after 50 ms of silence
                    recorder.take_all()

                nursery.start_soon(commit_slowly)
                with trio.fail_after(3):
                    await intake.drain()

    run(test)


@pytest.mark.parametrize("accepted", [0, 7, 35])
def test_what_a_killed_receiver_had_accepted_is_sent_by_the_next_under_the_same_sequences(tmp_path: Path, accepted: int) -> None:
    async def test() -> None:
        before = FakeContext(tmp_path)
        async with running(before) as intake:
            if accepted:
                intake.put_batch(make_records(0, accepted))
            await trio.sleep(1)
            recorder = FakeRecorder(before)
            recorder.take_all(acknowledge=False)  # committed, but the receiver dies before it hears of it
            spool_of(intake)._store_position = lambda: True  # type: ignore[method-assign]
        after = FakeContext(tmp_path)
        async with running(after) as intake:
            intake.put_nowait(make_records(accepted, 20))
            recorder._context, recorder._seen = after, 0
            for _ in range(5):
                await trio.sleep(1)
                recorder.take_all()
        assert numbers(recorder.bodies) == list(range(accepted + 20))

    run(test)


def test_a_damaged_entry_costs_what_is_behind_it_and_the_stream_goes_on(tmp_path: Path) -> None:
    async def test() -> None:
        before = FakeContext(tmp_path)
        async with running(before) as intake:
            spool_of(intake).segments.segment_bytes = 500
            intake.put_nowait(make_records(0, 60))
            await trio.sleep(1)
            recorder = FakeRecorder(before)
            recorder.take_all(acknowledge=False)  # the recorder knows sequences that are lost here
            segments = sorted(spool_of(intake).folder.glob("*.segment"))
        assert len(segments) >= 3
        for damaged in (segments[1], segments[-1]):
            raw = damaged.read_bytes()
            damaged.write_bytes(raw[:20] + bytes([raw[20] ^ 1]) + raw[21:])
        after = FakeContext(tmp_path)
        async with running(after) as intake:
            assert after.report.counters["spool_torn_entries"] == 2
            recorder._context, recorder._seen = after, 0
            intake.put_nowait(make_records(100, 30))
            for _ in range(20):
                await trio.sleep(0.1)
                recorder.take_all()
            assert intake.queue_depth == 0
        assert recorder.out_of_order == 0
        assert numbers(recorder.bodies) == [*range(60), *range(100, 130)]

    run(test)


def test_a_parser_that_takes_nothing_holds_the_sender_not_the_receiver(tmp_path: Path) -> None:
    async def test() -> None:
        context = FakeContext(tmp_path)
        context.full.add("parser")
        async with running(context) as intake:
            intake.put_nowait(make_records(0, 30))
            await trio.sleep(1)
            assert context.bodies() == [] and intake.queue_depth == 30
            context.full.clear()
            context.changed.set()
            await trio.sleep(0.1)
            assert numbers(context.bodies()) == list(range(30))

    run(test)


def test_what_can_wait_is_held_while_the_spool_refuses_and_what_cannot_is_dropped(tmp_path: Path) -> None:
    async def test() -> None:
        context = FakeContext(tmp_path)
        async with running(context, spool_bytes=2_000) as intake:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(intake.put, make_records(0, 300))
                await trio.sleep(1)
                assert context.report.state == "degraded" and "reading waits" in context.report.note
                intake.put_nowait(make_records(1_000, 5))
                assert context.report.counters["dropped_spool_full"] == 5
                recorder = FakeRecorder(context)
                with trio.fail_after(60):
                    while len(recorder.bodies) < 300:
                        recorder.take_all()
                        await trio.sleep(0.01)
            assert numbers(recorder.bodies) == list(range(300))
            assert not context.report.has("spool")

    run(test)
