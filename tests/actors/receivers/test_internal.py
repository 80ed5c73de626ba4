from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from actors.parsing.parse import Parser
from actors.receivers import internal
from actors.receivers.intake import Intake, IntakeSettings
from protocol.messages import Notice
from tests.fake_context import FakeContext

NOW_NS = 1_778_673_600_123_000_000


def test_a_notice_becomes_an_event_with_all_that_it_says() -> None:
    notice = Notice("dropped", "syslog dropped 3 records: kernel udp", NOW_NS, 17, {"reason": "kernel_udp", "records": 3})
    events, _ = Parser().parse([internal.record_of(notice, "tocsin")], 1, 1)
    event = events[0]
    assert (event.source, event.severity, event.message, event.event_ns) == ("tocsin", 17, notice.text, NOW_NS)
    assert event.fields["event_name"] == "dropped" and event.fields["app"] == "tocsin"
    assert event.fields["attributes"] == {"reason": "kernel_udp", "records": 3}


async def drive(context: FakeContext) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(internal.run, context)
        with trio.fail_after(5):
            for number in range(3):
                context.deliver(Notice("retention", f"day {number} is gone", NOW_NS))
            while len(context.bodies()) < 3:
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


def test_notices_are_spooled_like_any_record(tmp_path: Path) -> None:
    context = FakeContext(tmp_path, "internal")
    trio.run(drive, context)
    intake = Intake(FakeContext(tmp_path, "internal"), IntakeSettings(window=100, spool_bytes=1 << 20))
    assert intake._log.waiting == 3, "nothing was acknowledged, so all of it waits for the next incarnation"


def test_what_a_receiver_drops_is_told_once(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    context = FakeContext(tmp_path)

    async def main() -> None:
        intake = Intake(context, IntakeSettings(window=100, spool_bytes=1 << 20))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(intake.run)
            context.report.drop("spool_full", 5)
            await trio.sleep(25)
            context.report.drop("spool_full", 2)
            await trio.sleep(25)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=autojump_clock)
    assert context.told == [
        ("dropped", "syslog dropped 5 records: spool full"),
        ("dropped", "syslog dropped 2 records: spool full"),
    ]


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0)
