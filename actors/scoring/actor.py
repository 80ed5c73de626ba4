"""The scorer: joins a batch with its scores and the matches of rules, blends, and drafts an alert for each breach.

A batch that is sent again is judged as it was the first time (`actors/answers.py`). Every batch that is learned is written
down before it is handed on (`actors/journal.py`), so that this holds after a death of the scorer too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import trio

from actors.answers import Answers
from actors.context import Context
from actors.files import SNAPSHOT_EVERY_S, SnapshotFile
from actors.following.cursor import Cursor
from actors.journal import Journal
from actors.scoring.alerts import alert_of_event, alert_of_finding
from actors.scoring.blend import Blended, Blender
from actors.scoring.join import Join, Joined
from actors.scoring.learning import Learning, pack_blended, unpack_blended
from actors.signal import Signal
from protocol.columns import COLUMN_FRAMES, Columns, Scores
from protocol.findings import Alert, Finding
from protocol.messages import BatchKey, Drafted, Findings, Frame, Judged, Matched, Parsed, Scored, decode_events
from protocol.metrics import ScorerMetrics

VERSION = 1
DEADLINE_CHECK_S = 0.05


class Settings(msgspec.Struct, frozen=True):
    alerts_per_day: float


class Judgement(msgspec.Struct, frozen=True):
    """The judgement of a batch."""

    blended: Blended
    matched: Matched | None = None  # of rules; the journal has none: they answer again

    def cut(self, start: int, end: int) -> Judgement:
        """Return the same of the events from `start` to before `end`; rules are asked again."""
        return Judgement(self.blended.cut(start, end))


class Scorer:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._report = context.report
        self._metrics = self._report.measure(ScorerMetrics)
        self._join = Join()
        self._learned = Cursor()
        self._settings = msgspec.convert(context.settings, Settings)
        self._blender = self._make_blender()
        self._answers: Answers[Judgement] = Answers(Judgement.cut)
        self._snapshots = SnapshotFile(context, VERSION)
        self._journal = Journal(context.state_dir / "snapshots", context.name)
        self._journal_from = 0  # the first file that holds what the snapshot does not
        self._judging = trio.StrictFIFOLock()
        self._waits = Signal()  # a batch waits for its detectors

    def _make_blender(self) -> Blender:
        return Blender(alerts_per_day=self._settings.alerts_per_day)

    async def _restore(self) -> None:
        """Take up snapshot and journal: the state of the last batch that was handed on."""
        if not (self._snapshots.take_up(self._take_up) and await self._take_up_journal()):
            self._blender, self._learned, self._answers = self._make_blender(), Cursor(), Answers(Judgement.cut)

    async def _take_up_journal(self) -> bool:
        """Learn again from the journal what came after the snapshot; tell whether the journal could be read."""
        try:
            for packed in self._journal.read(self._journal_from):
                self._learn_again(Learning.unpack(packed))
                await trio.lowlevel.checkpoint()
        except (ValueError, KeyError, TypeError) as error:
            self._snapshots.refuse(error)
            return False
        return True

    def _take_up(self, state: dict[str, Any]) -> None:
        self._blender.restore(state["blender"])
        self._learned = Cursor(state["learnt"])
        self._answers.restore(state.get("answers", ()), lambda packed: Judgement(unpack_blended(packed)))
        self._journal_from = state.get("journal", 0)

    def _learn_again(self, learning: Learning) -> None:
        """Learn what a dead scorer had learned, as it did, and say of it what that one said."""
        self._blender.units |= learning.units
        blended = self._blender.blend(learning.columns(), learning.scores, learn=self._is_new(learning.key))
        self._answers.keep(learning.key, Judgement(blended))
        self._metrics.learnt_again_events += learning.key.count

    async def _store(self) -> None:
        number = self._journal.turn()
        state = {
            "blender": self._blender.snapshot(),
            "learnt": self._learned.last,
            "answers": self._answers.snapshot(lambda judgement: pack_blended(judgement.blended)),
            "journal": number,
        }
        if await self._snapshots.store(state):
            self._journal.forget(number)
        self._metrics.failed_journal_writes = self._journal.failed_writes

    async def _judge(self, joined: Joined) -> None:
        key = joined.message.key
        self._context.begin(key)
        judgement = self._answers.recall(key) or self._blend(joined)
        packed_events, blended = joined.frames[COLUMN_FRAMES], judgement.blended
        matched = joined.matched or judgement.matched or Matched(key)
        alerts = [*matched.alerts, *(self._draft(blended, packed_events) if blended.breach.any() else ())]
        frames = [packed_events, blended.score.tobytes(), blended.threshold.tobytes()]
        await self._context.emit(Judged(key, tuple(alerts), matched.attacks), frames)

    def _is_new(self, key: BatchKey) -> bool:
        """Tell whether a batch was not learned yet, and note that it is learned now."""
        return bool(self._learned.take(key.tag, key.first, key.count))

    def _blend(self, joined: Joined) -> Judgement:
        """Judge a batch that comes for the first time, learn it, and keep the answer."""
        key = joined.message.key
        columns = Columns.unpack(joined.message.sources, joined.frames[:COLUMN_FRAMES])
        self._blender.units |= joined.units
        blended = self._blender.blend(columns, joined.scores, learn=self._is_new(key))
        self._metrics.judged_events += len(columns)
        self._journal.append(Learning.of(key, columns, joined.scores, joined.units).pack())
        judgement = Judgement(blended, joined.matched)
        self._answers.keep(key, judgement)
        self._metrics.answers_given_up = self._answers.given_up
        return judgement

    def _draft(self, blended: Blended, packed_events: Frame) -> list[Alert]:
        breaches = blended.breach.nonzero()[0].tolist()
        self._metrics.breaches += len(breaches)
        events = decode_events(packed_events)
        return [alert_of_event(events[i], blended, i) for i in breaches]

    async def _take_joined(self) -> None:
        """Judge what is complete or overdue; one task at a time, so that batches leave in order."""
        async with self._judging:
            for joined in self._join.take(trio.current_time()):
                await self._judge(joined)
        self._metrics.waiting_batches = len(self._join)
        self._metrics.late_detectors = len(self._join.late)

    async def _take_findings(self, findings: Sequence[Finding]) -> None:
        await self._context.emit(Drafted(tuple(alert_of_finding(finding) for finding in findings)))

    async def _take_matched(self, matched: Matched) -> None:
        """Keep the matches for their batch; if the batch has left, its alerts follow without it."""
        if not self._join.add_matched(matched.key, matched) and matched.alerts:
            self._metrics.late_alerts += len(matched.alerts)
            await self._context.emit(Drafted(matched.alerts))

    async def _receive(self) -> None:
        async for message, frames in self._context.messages():
            if isinstance(message, Scored):
                self._join.add_scores(message, Scores.unpack(frames))
            elif isinstance(message, Parsed):
                judged_before = self._answers.recall(message.key) is not None
                self._join.add_batch(message, frames, trio.current_time(), waits=not judged_before)
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
        await self._restore()
        await self._store()
        self._report.ready()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_deadlines)
            nursery.start_soon(self._keep_snapshots)
            await self._receive()
            nursery.cancel_scope.cancel()
        await self._store()


async def run(context: Context) -> None:
    await Scorer(context).run()
