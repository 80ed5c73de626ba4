"""The sigma actor with a real store and a real loader process: no alert is lost, whatever it was not given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from actors.following.cursor import Stretch
from actors.parsing.features import columns_of
from actors.sigma import actor
from actors.sigma.actor import SigmaActor
from actors.storage.writer import StoreWriter
from protocol.findings import Alert
from protocol.messages import BatchKey, Drafted, Events, JudgedEvent, Matched, encode
from protocol.records import Attack, Event
from tests.actors.living import Living, wait_until
from tests.actors.living import run_in_nursery as run
from tests.actors.sigma.test_engine import RULES, events, failures
from tests.fake_context import FakeContext


class Site:
    """A state directory with a store, rules, and batches of two failures each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rules = folder / "rules"
        self.rules.mkdir()
        (self.rules / "ssh.yml").write_text(RULES)
        self.events = events(*failures(20))
        self._store = StoreWriter(folder / "store")

    def context(self, **settings: Any) -> FakeContext:
        sources = {"paths": [str(self.rules)], "own": False}
        return FakeContext(self.folder, "sigma", sources=sources, **settings)

    def batches(self, first: int, last: int) -> Iterator[tuple[BatchKey, list[Event]]]:
        for number in range(first, last + 1, 2):
            yield BatchKey("syslog", 7, 0, number, 2), self.events[number - 1 : number + 1]

    def commit(self, first: int, last: int) -> None:
        for key, those in self.batches(first, last):
            self._store.commit(key, [JudgedEvent(each, 0.0, 1.0, None) for each in those], [], those[-1].observed_ns)

    def deliver(self, context: FakeContext, first: int, last: int) -> None:
        for key, those in self.batches(first, last):
            columns = columns_of(those)
            context.deliver(Events(key, columns.sources), [*columns.pack(), encode(those)])

    def close(self) -> None:
        self._store.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def alerts(context: FakeContext) -> list[Alert]:
    return [alert for _, header, _ in context.sent if isinstance(header, Matched | Drafted) for alert in header.alerts]


async def wait_for(context: FakeContext, count: int) -> None:
    with trio.fail_after(20):
        while len(alerts(context)) < count:
            await context.changed.wait()


Running = Living[SigmaActor]


async def start(nursery: trio.Nursery, context: FakeContext) -> Running:
    """Return an actor that has read its rules."""
    running = Running(context, SigmaActor(context), nursery)
    await wait_until(lambda: context.report.state == "ok")
    return running


def test_each_batch_is_answered_and_the_example_rings(site: Site) -> None:
    async def test(nursery: trio.Nursery) -> None:
        running = await start(nursery, site.context())
        site.deliver(running.context, 1, 6)
        await wait_for(running.context, 1)
        await running.drain()
        answers = [header for to, header, _ in running.context.sent if to == "scorer" and isinstance(header, Matched)]
        assert [answer.key.first for answer in answers] == [1, 3, 5]
        assert [len(answer.alerts) for answer in answers] == [0, 0, 1]
        assert answers[0].attacks == dict.fromkeys((0, 1), Attack("credential-access", "T1110"))
        assert alerts(running.context)[0].event_ids == [event.id for event in site.events[:5]]

    run(test)


def test_what_it_was_not_given_it_reads_once_it_is_committed(site: Site) -> None:
    async def test(nursery: trio.Nursery) -> None:
        running = await start(nursery, site.context())
        site.deliver(running.context, 1, 2)
        site.deliver(running.context, 7, 8)  # 3 to 6 found its edge full
        await wait_until(lambda: running.actor._taken.gaps() == [Stretch(7, 3, 6)])
        site.commit(1, 8)
        await wait_for(running.context, 1)
        await wait_until(lambda: running.actor._taken.gaps() == [])
        assert running.context.report.counters["caught_up_events"] == 4
        await running.drain()

    run(test)


@pytest.mark.parametrize("dies", ["kill", "drain"])
def test_one_that_died_goes_on_where_its_snapshot_was(site: Site, dies: str) -> None:
    async def test(nursery: trio.Nursery) -> None:
        running = await start(nursery, site.context())
        site.deliver(running.context, 1, 2)
        await wait_until(lambda: running.actor._taken.last.get(7) == 2)
        await running.actor._store()
        site.deliver(running.context, 3, 4)
        await wait_until(lambda: running.actor._taken.last.get(7) == 4)
        await getattr(running, dies)()
        site.commit(1, 6)
        again = await start(nursery, site.context())
        await wait_for(again.context, 1)
        assert alerts(again.context)[0].event_ids == [event.id for event in site.events[:5]]
        await again.drain()

    run(test)


def test_an_alert_that_was_on_its_way_when_it_died_is_sent_all_the_same(site: Site) -> None:
    async def test(nursery: trio.Nursery) -> None:
        running = await start(nursery, site.context())
        site.deliver(running.context, 1, 4)
        await wait_until(lambda: len(running.context.sent) == 2)
        running.context.full.add("scorer")
        site.deliver(running.context, 5, 6)
        await wait_until(lambda: bool(running.actor._engine.remembered()))
        await running.actor._store()
        assert alerts(running.context) == []
        again = await start(nursery, site.context())
        await wait_for(again.context, 1)
        assert alerts(again.context) == running.actor._engine.remembered()
        running.context.full.clear()
        running.context.changed.set()
        await running.drain()
        await again.drain()

    run(test)


def test_one_that_knows_nothing_leaves_history_alone(site: Site) -> None:
    async def test(nursery: trio.Nursery) -> None:
        site.commit(1, 10)
        running = await start(nursery, site.context())
        site.deliver(running.context, 11, 14)
        await wait_until(lambda: running.actor._taken.last.get(7) == 14)
        assert alerts(running.context) == [] and running.actor._taken.gaps() == []
        await running.drain()

    run(test)


def test_what_is_committed_while_it_reads_its_rules_for_the_first_time_is_judged(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = SigmaActor._refresh

    async def commit_and_read(self: SigmaActor) -> bool:
        site.commit(3, 10)
        monkeypatch.setattr(SigmaActor, "_refresh", read)
        return await read(self)

    async def test(nursery: trio.Nursery) -> None:
        site.commit(1, 2)
        monkeypatch.setattr(SigmaActor, "_refresh", commit_and_read)
        running = await start(nursery, site.context())
        await wait_for(running.context, 1)
        assert alerts(running.context)[0].event_ids[0] == site.events[2].id
        await running.drain()

    run(test)


def test_its_last_alerts_are_sent_again_when_something_was_lost(site: Site) -> None:
    async def test(nursery: trio.Nursery) -> None:
        running = await start(nursery, site.context())
        site.deliver(running.context, 1, 6)
        await wait_for(running.context, 1)
        running.context.announce_loss()
        await wait_for(running.context, 2)
        one, two = alerts(running.context)
        assert one == two
        site.deliver(running.context, 1, 6)  # and so is the batch
        await wait_for(running.context, 3)
        assert alerts(running.context)[2] == one
        await running.drain()

    run(test)


def test_rules_are_read_anew_while_it_runs(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actor, "LOOK_EVERY_S", 0.05)

    async def test(nursery: trio.Nursery) -> None:
        running = await start(nursery, site.context())
        context = running.context
        site.deliver(context, 1, 4)
        await wait_until(lambda: running.actor._taken.last.get(7) == 4)
        (site.rules / "ssh.yml").write_text("title: [")
        await wait_until(lambda: context.report.gauges["refused_rules"] == 1)
        assert context.report.gauges["rules"] == 2  # what the file held before stays in force
        (site.rules / "ssh.yml").write_text(RULES.replace("title: Root", "title: The root"))
        await wait_until(lambda: context.report.gauges["refused_rules"] == 0)
        site.deliver(context, 5, 6)
        await wait_for(context, 1)  # what was counted is not forgotten
        assert [kind for kind, _ in context.told] == ["rules_read", "rules_read"]
        site.rules.rename(site.folder / "gone")
        await wait_until(lambda: "rules: No such file" in context.report.note and context.report.state == "degraded")
        (site.folder / "gone").rename(site.rules)
        await wait_until(lambda: context.report.state == "ok")
        await running.drain()

    run(test)


def test_what_cannot_be_read_at_the_start_does_not_keep_it_from_starting(site: Site) -> None:
    async def test(nursery: trio.Nursery) -> None:
        await (await start(nursery, site.context())).drain()
        site.rules.rename(site.folder / "gone")
        context = site.context()
        running = Running(context, SigmaActor(context), nursery)
        await wait_until(lambda: "No such file" in context.report.note)
        site.deliver(context, 1, 6)
        await wait_for(context, 1)
        await running.drain()

    run(test)


def test_rules_are_in_force_though_their_cache_cannot_be_written(site: Site) -> None:
    async def test(nursery: trio.Nursery) -> None:
        (site.folder / "rules.cache.new").mkdir()  # where it is written aside
        running = await start(nursery, site.context())
        site.deliver(running.context, 1, 6)
        await wait_for(running.context, 1)
        await running.drain()
        assert not (site.folder / "rules.cache").exists()

    run(test)


def test_a_batch_that_it_died_of_is_passed_over(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(nursery: trio.Nursery) -> None:
        context = site.context()
        monkeypatch.setattr(context, "is_poison", lambda key: key.first == 3)
        running = await start(nursery, context)
        site.deliver(context, 1, 8)
        await wait_until(lambda: running.actor._taken.last.get(7) == 8)
        await wait_for(context, 1)
        await running.drain()
        assert alerts(context)[0].event_ids[-1] == site.events[6].id

    run(test)
