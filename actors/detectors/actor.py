"""One detector as an actor: batches in, scores out, time on a timer, state in a snapshot.

A batch that is sent again after something downstream died gets the scores that it got before (`actors/answers.py`), and
findings are sent again too, with the same alerts' ids as before (`actors/unsettled.py`). At the start
what the snapshot does not know is learned from the store (`catch_up.py`). Batches that were on their way when the one
before died are committed a little later; for them it looks again for a while, and where they are missing before the first
that comes, it waits for them, `GAP_S` at most: meanwhile the scorer goes on without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import trio

from actors.answers import Answers
from actors.clock import SteadyClock, elapsed_ns, wall_ns
from actors.context import Context
from actors.detectors.catch_up import CatchUp
from actors.detectors.detector import Detector
from actors.files import SnapshotFile
from actors.following.cursor import Cursor
from actors.following.replay import Replay
from actors.loading import load_class
from actors.storage.store import open_store_reader
from actors.unsettled import Unsettled
from protocol.clock import NS_PER_S
from protocol.columns import COLUMN_FRAMES, Columns, Scores
from protocol.findings import Finding
from protocol.messages import BatchKey, Events, Findings, Frame, Scored
from protocol.metrics import DetectorMetrics

TICK_S = 1.0
MAX_TICKS = 600  # made up for at once; a longer time that nobody watched is passed over
SETTLED_S = 10.0  # after the start: what is missing from now on was left out because this detector is too slow for it
CATCH_UP_S = 30.0  # at most, at the start: one that learns more slowly than events come would never end
GAP_S = 1.0
GAP_CHECK_S = 0.02


class Answer(msgspec.Struct, frozen=True):
    """A detector's answer to a batch."""

    scores: Scores
    warm: bool

    def cut(self, start: int, end: int) -> Answer:
        return Answer(self.scores.cut(start, end), self.warm)

    def pack(self) -> list[Any]:
        return [self.warm, *self.scores.pack()]

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> Answer:
        return cls(Scores.unpack(packed[1:]), packed[0])


class DetectorActor:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._report = context.report
        self._metrics = self._report.measure(DetectorMetrics)
        self._class: type[Detector] = load_class(context.settings["class"], Detector)
        self._detector = self._class()
        self._learned = Cursor()
        self._answers: Answers[Answer] = Answers(Answer.cut)
        self._unsettled: Unsettled[Finding] = Unsettled(Finding)
        self._snapshots = SnapshotFile(context, self._detector.version)
        self._ticked_ns = 0  # what the wall clock showed at the last tick
        if not self._snapshots.take_up(self._restore):
            self._detector, self._learned = self._class(), Cursor()
        self._replay = Replay(open_store_reader(context.state_dir, quiet=True))
        self._settled_s = trio.current_time() + SETTLED_S
        self._one_at_a_time = trio.Lock()
        self._clock = SteadyClock(wall_ns(), elapsed_ns())

    def _restore(self, state: dict[str, Any]) -> None:
        self._detector.restore(state["detector"])
        self._learned, self._ticked_ns = Cursor(state["learnt"]), state["ticked_ns"]
        self._answers.restore(state.get("answers", ()), Answer.unpack)
        self._unsettled.restore(state.get("findings", ()))

    def _state(self) -> dict[str, Any]:
        return {
            "detector": self._detector.snapshot(),
            "learnt": self._learned.last,
            "ticked_ns": self._ticked_ns,
            "answers": self._answers.snapshot(Answer.pack),
            "findings": self._unsettled.snapshot(),
        }

    # -- what it missed

    async def _catch_up(self) -> None:
        """Learn committed batches that are not learned."""
        catching = CatchUp(self._replay, self._learned)
        while missed := await catching.read():
            for batch in missed:
                self._context.begin(batch.key)
                if not self._context.is_poison(batch.key):
                    await self._pass_time(int(batch.columns.observed_ns[-1]))
                    self._detector.score(batch.columns)
                self._learned.take(batch.key.tag, batch.key.first, batch.key.count)
                self._metrics.caught_up_events += len(batch.columns)
                await trio.lowlevel.checkpoint()
        self._context.begin(None)

    async def _pass_time(self, now_ns: int) -> None:
        """Tick as the clock did before these events came."""
        step_ns = int(TICK_S * NS_PER_S)
        if now_ns - self._ticked_ns > MAX_TICKS * step_ns:
            self._ticked_ns = now_ns
        while self._ticked_ns + step_ns <= now_ns:
            await self._tick(self._ticked_ns + step_ns)

    async def _fill_gap(self, key: BatchKey) -> None:
        """Learn the batches that are missing before this one, once they are committed."""
        patience_s = trio.current_time() + GAP_S
        while self._is_ahead(key):
            await self._catch_up()
            if key.base + 1 >= key.first or trio.current_time() > patience_s:
                return
            await trio.sleep(GAP_CHECK_S)

    def _is_ahead(self, key: BatchKey) -> bool:
        return bool(self._learned.missing_before(key.tag, key.first))

    # -- what comes

    async def _take(self, message: Events, frames: Sequence[Frame]) -> None:
        async with self._one_at_a_time:
            await self._score(message, frames)

    async def _score(self, message: Events, frames: Sequence[Frame]) -> None:
        if self._is_ahead(message.key) and trio.current_time() < self._settled_s:
            await self._fill_gap(message.key)
            self._context.begin(message.key)
        if self._context.is_poison(message.key):
            self._learned.take(message.key.tag, message.key.first, message.key.count)
            return
        answer = self._answers.recall(message.key) or self._judge(message, frames)
        header = Scored(message.key, self._detector.name, self._detector.unit, answer.warm)
        await self._context.emit(header, answer.scores.pack())

    def _judge(self, message: Events, frames: Sequence[Frame]) -> Answer:
        """Score a batch that comes for the first time, learn it, and keep the answer."""
        columns = Columns.unpack(message.sources, frames[:COLUMN_FRAMES])
        self._look_at_clock()
        is_new = bool(self._learned.take(message.key.tag, message.key.first, message.key.count))
        scores = self._detector.score(columns, learn=is_new)
        self._metrics.scored_events += len(columns)
        answer = Answer(scores, self._detector.is_warm())
        self._answers.keep(message.key, answer)
        self._metrics.answers_given_up = self._answers.given_up
        return answer

    async def _tick(self, now_ns: int) -> None:
        self._ticked_ns = now_ns
        if findings := self._detector.tick(now_ns):
            for finding in findings:
                if self._unsettled.add(f"{finding.kind}:{finding.source}:{finding.template_id}:{finding.event_ns}", finding):
                    self._tell_of_silence(finding)
            await self._context.emit(Findings(tuple(findings)))

    def _tell_of_silence(self, finding: Finding) -> None:
        """Put a source that fell silent into the stream: a gap in the log has to be in the log."""
        if finding.kind == "silence":
            _, _, span = finding.unit.partition(" in ")
            text = f"source {finding.source} fell silent: no event in {span}, where {finding.expected:.0f} are its habit"
            self._context.tell("silence", text, silent_source=finding.source)

    def _look_at_clock(self) -> int:
        """Return what the wall clock shows, and let the detector go with it if it has been set."""
        now_ns = wall_ns()
        if jumped := self._clock.look(now_ns, elapsed_ns()):
            self._detector.jump(jumped, now_ns)
        return now_ns

    async def _keep_time(self) -> None:
        while True:
            await trio.sleep(TICK_S)
            async with self._one_at_a_time:
                if trio.current_time() < self._settled_s:
                    await self._catch_up()
                await self._tick(self._look_at_clock())
            self._report.statistics = self._detector.statistics()
            self._metrics.warm = int(self._detector.is_warm())

    async def run(self) -> None:
        with trio.move_on_after(CATCH_UP_S):
            await self._catch_up()
        self._context.begin(None)
        self._report.ready()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_time)
            nursery.start_soon(self._snapshots.keep, self._state)
            nursery.start_soon(self._unsettled.keep_sending, self._context, lambda kept: Findings(tuple(kept)))
            async for message, frames in self._context.messages():
                if isinstance(message, Events):
                    await self._take(message, frames)
            nursery.cancel_scope.cancel()
        await self._snapshots.store(self._state())


async def run(context: Context) -> None:
    await DetectorActor(context).run()
