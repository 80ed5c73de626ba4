"""A follower as an actor, with a real store: it takes in each commit once, in order, whatever is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from actors.following.actor import FollowerActor
from actors.storage.writer import StoreWriter
from protocol.findings import Alert
from protocol.messages import BatchKey, Committed, Drafted, encode
from tests.actors.following.test_laws import judged
from tests.actors.living import Living, wait_until
from tests.actors.living import run_in_nursery as run
from tests.fake_context import FakeContext
from tests.trial.follower import TrialFollower

LOCATION = "tests.trial.follower:TrialFollower"
SIZE = 15  # events a commit


def other_alert(number: int, kind: Any = "sigma") -> Alert:
    return Alert(f"alr_{number:026d}", number, "rule", kind, "low", "title", [], None, f"{kind}:rule:{number}")


class Site:
    """A store, and the commits that were made to it; each brings an alert of another kind and one of the follower's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._store = StoreWriter(folder / "store")
        self.commits: list[tuple[Committed, list[bytes]]] = []

    def commit(self, count: int) -> None:
        for _ in range(count):
            number = len(self.commits)
            first = number * SIZE + 1
            events = judged(first, first + SIZE - 1)
            alerts = (other_alert(2 * number + 1), other_alert(2 * number + 2, TrialFollower.rule_kind))
            key = BatchKey("syslog", 7, 0, first, SIZE, 0, first - 1)
            self._store.commit(key, events, alerts, events[-1].event.observed_ns)
            self.commits.append((Committed(first, SIZE, alerts, 2 * number + 2), [encode(events)]))

    def context(self) -> FakeContext:
        return FakeContext(self.folder, "trial_follower", kind="follower", **{"class": LOCATION})

    def deliver(self, context: FakeContext, *numbers: int) -> None:
        for number in numbers:
            context.deliver(*self.commits[number])

    def close(self) -> None:
        self._store.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def drafts(context: FakeContext) -> list[Alert]:
    return [alert for to, header, _ in context.sent if to == "alerts" and isinstance(header, Drafted) for alert in header.alerts]


def undisturbed(site: Site) -> tuple[list[Alert], dict[str, Any]]:
    """Return drafts and state of a follower that was given everything."""
    follower = TrialFollower()
    expected = list(follower.take_events(judged(1, SIZE * len(site.commits))))
    follower.take_alerts([each for header, _ in site.commits for each in header.alerts if each.rule_kind == "sigma"])
    return expected, follower.snapshot()


class Running(Living[FollowerActor]):
    """A follower's actor at work."""

    def __init__(self, context: FakeContext, nursery: trio.Nursery) -> None:
        super().__init__(context, FollowerActor(context), nursery)

    async def taken(self, events: int) -> None:
        """Return when it has taken events up to a commit sequence, and their alerts."""
        await wait_until(lambda: self.actor._cursor.last == {0: events, 1: events // SIZE * 2})


@pytest.mark.parametrize(
    "heard", [[0, 1, 2, 3, 4, 5], [0, 5], [0, 0, 1, 3, 2, 3, 5, 5], [0, 2, 1, 4, 3, 5]], ids=["all", "gap", "twice", "late"]
)
def test_each_commit_is_taken_once_and_in_order(site: Site, heard: list[int]) -> None:
    async def test(nursery: trio.Nursery) -> None:
        site.commit(6)
        running = Running(site.context(), nursery)
        site.deliver(running.context, *heard)
        await running.taken(6 * SIZE)
        await running.drain()
        expected, state = undisturbed(site)
        assert drafts(running.context) == expected and len(expected) == 9
        assert running.actor._follower.snapshot() == state

    run(test)


def test_without_a_snapshot_it_leaves_history_alone(site: Site) -> None:
    async def test(nursery: trio.Nursery) -> None:
        site.commit(4)
        running = Running(site.context(), nursery)
        site.deliver(running.context, 2, 3)
        await running.taken(4 * SIZE)
        await running.drain()
        assert running.context.report.counters["followed_events"] == 2 * SIZE
        assert running.context.report.counters["followed_alerts"] == 2

    run(test)


def test_killed_it_drafts_the_same_once_more_from_its_snapshot(site: Site) -> None:
    async def test(nursery: trio.Nursery) -> None:
        site.commit(2)
        running = Running(site.context(), nursery)
        site.deliver(running.context, 0, 1)
        await running.taken(2 * SIZE)
        await running.actor._snapshots.store(running.actor._state())
        site.commit(2)
        site.deliver(running.context, 2, 3)
        await running.taken(4 * SIZE)
        await running.kill()
        site.commit(2)
        again = Running(site.context(), nursery)
        site.deliver(again.context, 5)  # 2 and 3 were taken after the snapshot, 4 came while it was dead
        await again.taken(6 * SIZE)
        await again.drain()
        expected, state = undisturbed(site)
        first, second = drafts(running.context), drafts(again.context)
        known = len([draft for draft in expected if draft.ts_ns <= judged(2 * SIZE, 2 * SIZE)[0].event.event_ns])
        assert first == expected[: len(first)]
        assert second == expected  # those that may have been on their way, then the same as before, then the rest
        assert 0 < known < len(first) < len(expected)
        assert again.actor._follower.snapshot() == state

    run(test)


def test_drafts_are_sent_again_when_something_downstream_was_lost(site: Site) -> None:
    async def test(nursery: trio.Nursery) -> None:
        site.commit(3)
        running = Running(site.context(), nursery)
        site.deliver(running.context, 0, 1, 2)
        await running.taken(3 * SIZE)
        before = drafts(running.context)
        running.context.announce_loss()
        with trio.fail_after(20):
            while len(drafts(running.context)) < 2 * len(before):
                await running.context.changed.wait()
        assert drafts(running.context) == before * 2
        await running.drain()

    run(test)
