"""One follower as an actor: commits in, in commit order and without a gap; drafts out, to alerts.

It hears of each commit from the broadcaster. What is missing before it (lost on the way, left out at a full edge,
committed while this actor was dead) it reads from the store first. Its snapshot holds its state and how far that has
come, so a kill costs time and nothing else: it takes in the same once more from there, and drafts the same.

A follower without a snapshot begins with the first commit that it hears of and leaves history alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import trio

from actors.context import Context
from actors.files import SnapshotFile
from actors.following.cursor import ALERTS, EVENTS, Cursor, Stretch
from actors.following.follower import Follower
from actors.following.replay import Replay
from actors.loading import load_class
from actors.storage.errors import DamagedStore
from actors.storage.store import open_store_reader
from actors.unsettled import Unsettled
from protocol.findings import Alert
from protocol.messages import Committed, Drafted, Frame, JudgedEvent, decode_judged
from protocol.metrics import FollowerMetrics

log = logging.getLogger(__name__)


class FollowerActor:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._report = context.report
        self._metrics = self._report.measure(FollowerMetrics)
        self._class: type[Follower] = load_class(context.settings["class"], Follower)
        self._follower = self._class()
        self._cursor = Cursor()
        self._drafts: Unsettled[Alert] = Unsettled(Alert)
        self._snapshots = SnapshotFile(context, self._class.version)
        self._replay = Replay(open_store_reader(context.state_dir, quiet=True))

    # -- state

    def _state(self) -> dict[str, Any]:
        return {
            "follower": self._follower.snapshot(),
            "taken": self._cursor.last,
            "drafts": self._drafts.snapshot(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._follower.restore(state["follower"])
        self._cursor = Cursor(state["taken"])
        self._drafts.restore(state["drafts"])

    # -- what is committed

    async def _take(self, message: Committed, frames: Sequence[Frame]) -> None:
        await self._catch_up(EVENTS, message.first)
        first_alert = message.last_alert - len(message.alerts) + 1
        await self._catch_up(ALERTS, first_alert)
        if message.count:
            events = decode_judged(frames[0])
            await self._draft(self._take_events(events, message.first))
        await self._draft(self._take_alerts(message.alerts, first_alert))

    async def _catch_up(self, line: int, first: int) -> None:
        """Take in the commits that are missing before this one, from the store."""
        missing = self._cursor.missing_before(line, first, begin=first - 1)
        while missing:
            begin = missing.first
            if line == EVENTS:
                events, missing = await self._replay.events(missing)
                drafts = self._take_events(events, begin, upto=missing)
                self._metrics.caught_up_events += len(events)
            else:
                try:
                    alerts, missing = await self._replay.alerts(missing)
                except DamagedStore as error:
                    log.error("alerts are missed, for they cannot be read: %s", error)
                    return
                drafts = self._take_alerts(alerts, begin, upto=missing)
            await self._draft(drafts)

    def _take_events(self, events: Sequence[JudgedEvent], first: int, *, upto: Stretch | None = None) -> Sequence[Alert]:
        """Take in events and note it, with nothing in between: a snapshot has both or neither."""
        new = self._note(EVENTS, first, len(events), upto)
        self._metrics.followed_events += len(events) - new
        return self._follower.take_events(events[new:]) if events[new:] else ()

    def _take_alerts(self, alerts: Sequence[Alert], first: int, *, upto: Stretch | None = None) -> Sequence[Alert]:
        new = self._note(ALERTS, first, len(alerts), upto)
        others = [alert for alert in alerts[new:] if alert.rule_kind != self._class.rule_kind]
        self._metrics.followed_alerts += len(others)
        return self._follower.take_alerts(others) if others else ()

    def _note(self, line: int, first: int, count: int, upto: Stretch | None) -> int:
        """Note a stretch, leaps of the sequence within it included; return how many of its beginning were taken before."""
        count = upto.first - first if upto else count
        return count - len(self._cursor.take(line, first, count, begin=first - 1))

    async def _draft(self, drafts: Sequence[Alert]) -> None:
        if drafts:
            for draft in drafts:
                self._drafts.add(draft.id, draft)
            self._metrics.drafted_alerts += len(drafts)
            await self._context.emit(Drafted(tuple(drafts)))

    # -- life

    async def _show_statistics(self) -> None:
        while True:
            self._report.statistics = self._follower.statistics()
            await trio.sleep(1.0)

    async def run(self) -> None:
        if not self._snapshots.take_up(self._restore):
            self._follower, self._cursor = self._class(), Cursor()
        self._report.ready()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._snapshots.keep, self._state)
            nursery.start_soon(self._drafts.keep_sending, self._context, lambda drafts: Drafted(tuple(drafts)))
            nursery.start_soon(self._show_statistics)
            async for message, frames in self._context.messages():
                if isinstance(message, Committed):
                    await self._take(message, frames)
            nursery.cancel_scope.cancel()
        await self._snapshots.store(self._state())


async def run(context: Context) -> None:
    await FollowerActor(context).run()
