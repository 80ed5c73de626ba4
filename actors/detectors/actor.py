"""One detector as an actor: batches in, scores out, time on a timer, state in a snapshot.

A batch that was learnt already (it is sent again after something downstream died) is scored, not learnt.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import trio

from actors.context import Context
from actors.detectors.registry import detector_class
from actors.files import SNAPSHOT_EVERY_S, SnapshotFile
from actors.learnt import Learnt
from protocol.columns import COLUMN_FRAMES, Columns
from protocol.messages import Events, Findings, Frame, Scored

TICK_S = 1.0


class DetectorActor:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._detector = detector_class(context.name)()
        self._learnt = Learnt()
        self._snapshots = SnapshotFile(context, self._detector.version)
        self._restore()

    def _restore(self) -> None:
        if (state := self._snapshots.load()) is None:
            return
        try:
            self._detector.restore(state["detector"])
            self._learnt = Learnt(state["learnt"])
        except (ValueError, KeyError, TypeError) as error:
            self._snapshots.refuse(error)
            self._detector = detector_class(self._context.name)()

    async def _store(self) -> None:
        await self._snapshots.store({"detector": self._detector.snapshot(), "learnt": self._learnt.last})

    async def _take(self, message: Events, frames: Sequence[Frame]) -> None:
        columns = Columns.unpack(message.sources, frames[:COLUMN_FRAMES])
        scores = self._detector.score(columns, learn=self._learnt.take(message.key))
        self._context.report.counters["scored_events"] += len(columns)
        header = Scored(message.key, self._detector.name, self._detector.unit, self._detector.is_warm())
        await self._context.send("scorer", header, scores.pack())

    async def _tick(self) -> None:
        gauges = self._context.report.gauges
        while True:
            await trio.sleep(TICK_S)
            if findings := self._detector.tick(time.time_ns()):
                await self._context.send("scorer", Findings(tuple(findings)))
            gauges.update(self._detector.statistics())
            gauges["warm"] = int(self._detector.is_warm())

    async def _keep_snapshots(self) -> None:
        while True:
            await trio.sleep(SNAPSHOT_EVERY_S)
            await self._store()

    async def run(self) -> None:
        self._context.report.ok()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tick)
            nursery.start_soon(self._keep_snapshots)
            async for message, frames in self._context.messages():
                if isinstance(message, Events):
                    await self._take(message, frames)
            nursery.cancel_scope.cancel()
        await self._store()


async def run(context: Context) -> None:
    await DetectorActor(context).run()
