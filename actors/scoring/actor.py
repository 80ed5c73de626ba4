"""The scorer: joins a batch with its scores and with what rules say, blends, and drafts an alert for what breaches."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import trio

from actors.context import Context
from actors.files import SNAPSHOT_EVERY_S, SnapshotFile
from actors.learnt import Learnt
from actors.scoring.alerts import alert_of_event, alert_of_finding
from actors.scoring.blend import Blended, Blender
from actors.scoring.join import Join, Joined
from actors.signal import Signal
from protocol.columns import COLUMN_FRAMES, Columns, Scores
from protocol.findings import Alert, Finding
from protocol.messages import Findings, Frame, Judged, Matched, Parsed, Scored, decode_events

VERSION = 1
DEADLINE_CHECK_S = 0.05
NOTHING_MATCHED = Matched(None)


class Settings(msgspec.Struct, frozen=True):
    alerts_per_day: float


class Scorer:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._report = context.report
        self._join = Join()
        self._learnt = Learnt()
        self._settings = msgspec.convert(context.settings, Settings)
        self._blender = self._make_blender()
        self._snapshots = SnapshotFile(context, VERSION)
        self._judging = trio.StrictFIFOLock()
        self._waits = Signal()  # a batch waits for its detectors
        self._restore()

    def _make_blender(self) -> Blender:
        return Blender(alerts_per_day=self._settings.alerts_per_day)

    def _restore(self) -> None:
        if (state := self._snapshots.load()) is None:
            return
        try:
            self._blender.restore(state["blender"])
            self._learnt = Learnt(state["learnt"])
        except (ValueError, KeyError, TypeError) as error:
            self._snapshots.refuse(error)
            self._blender = self._make_blender()

    async def _store(self) -> None:
        await self._snapshots.store({"blender": self._blender.snapshot(), "learnt": self._learnt.last})

    async def _judge(self, joined: Joined) -> None:
        self._context.begin(joined.message.key)
        columns = Columns.unpack(joined.message.sources, joined.frames[:COLUMN_FRAMES])
        learn = self._learnt.take(joined.message.key)
        self._blender.units |= joined.units
        blended = self._blender.blend(columns, joined.scores, learn=learn)
        packed_events = joined.frames[COLUMN_FRAMES]
        matched = joined.matched or NOTHING_MATCHED
        alerts = [*matched.alerts, *(self._draft(blended, packed_events) if blended.breach.any() else ())]
        self._report.counters["judged_events"] += len(columns)
        frames = [packed_events, blended.score.tobytes(), blended.threshold.tobytes()]
        await self._context.emit(Judged(joined.message.key, tuple(alerts), matched.attacks), frames)

    def _draft(self, blended: Blended, packed_events: Frame) -> list[Alert]:
        breaches = blended.breach.nonzero()[0].tolist()
        self._report.counters["breaches"] += len(breaches)
        events = decode_events(packed_events)
        return [alert_of_event(events[i], blended, i) for i in breaches]

    async def _take_joined(self) -> None:
        """Judge what is complete or overdue; one task at a time, so that batches leave in order."""
        async with self._judging:
            for joined in self._join.take(trio.current_time()):
                await self._judge(joined)
        self._report.gauges["waiting_batches"] = len(self._join)
        self._report.gauges["late_detectors"] = len(self._join.late)

    async def _take_findings(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            if finding.kind == "silence":  # a gap in the log has to be in the log
                _, _, span = finding.unit.partition(" in ")
                text = f"source {finding.source} fell silent: no event in {span}, where {finding.expected:.0f} are its habit"
                self._context.tell("silence", text, silent_source=finding.source)
        await self._context.emit(Judged(None, tuple(alert_of_finding(finding) for finding in findings)))

    async def _take_matched(self, matched: Matched) -> None:
        """Keep what the rules say for its batch; what has left without it sends its alerts after it."""
        if matched.key is not None and self._join.add_matched(matched.key, matched):
            return
        if matched.alerts:
            self._report.counters["late_alerts"] += len(matched.alerts)
            await self._context.emit(Judged(None, matched.alerts))

    async def _receive(self) -> None:
        async for message, frames in self._context.messages():
            if isinstance(message, Scored):
                self._join.add_scores(message, Scores.unpack(frames))
            elif isinstance(message, Parsed):
                self._join.add_batch(message, frames, trio.current_time())
                self._waits.set()
            elif isinstance(message, Matched):
                await self._take_matched(message)
            elif isinstance(message, Findings):
                await self._take_findings(message.findings)
            await self._take_joined()

    async def _watch_deadlines(self) -> None:
        while True:
            while not self._join:
                await self._waits.wait()
            await trio.sleep(DEADLINE_CHECK_S)
            await self._take_joined()

    async def _keep_snapshots(self) -> None:
        while True:
            await trio.sleep(SNAPSHOT_EVERY_S)
            await self._store()

    async def run(self) -> None:
        self._report.ok()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_deadlines)
            nursery.start_soon(self._keep_snapshots)
            await self._receive()
            nursery.cancel_scope.cancel()
        await self._store()


async def run(context: Context) -> None:
    await Scorer(context).run()
