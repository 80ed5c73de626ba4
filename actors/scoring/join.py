"""Joining a batch with what the detectors say of it, without ever waiting long for one that does not answer.

Batches leave in the order in which they came. A batch waits for each detector that it was given to, at most until its
deadline. A detector that missed a deadline is late: nobody waits for it again until it has answered something. So a
detector that hangs delays the stream by one deadline, once. Pure: the clock comes in.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence

import msgspec

from protocol.columns import Scores
from protocol.messages import BatchKey, Events, Frame, Scored

DEADLINE_S = 0.25
MAX_EARLY = 1_024  # batches whose scores came before they did


class Joined(msgspec.Struct):
    """A batch with the scores that were there in time."""

    message: Events
    frames: Sequence[Frame]
    deadline_s: float
    scores: dict[str, Scores]
    units: dict[str, str]


class Join:
    """See the module. State: the batches that wait (bounded by credit) and at most `MAX_EARLY` early scores."""

    def __init__(self) -> None:
        self._waiting: deque[Joined] = deque()
        self._by_key: dict[BatchKey, Joined] = {}
        self._early: OrderedDict[BatchKey, list[tuple[Scored, Scores]]] = OrderedDict()
        self.late: set[str] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def add_batch(self, message: Events, frames: Sequence[Frame], now_s: float) -> None:
        joined = Joined(message, frames, now_s + DEADLINE_S, {}, {})
        self._waiting.append(joined)
        self._by_key[message.key] = joined
        for scored, scores in self._early.pop(message.key, ()):
            self._add(joined, scored, scores)

    def add_scores(self, scored: Scored, scores: Scores) -> None:
        self.late.discard(scored.detector)
        joined = self._by_key.get(scored.key)
        if joined is not None:
            self._add(joined, scored, scores)
        elif scored.key not in self._early and len(self._early) >= MAX_EARLY:
            self._early.popitem(last=False)
        if joined is None:
            self._early.setdefault(scored.key, []).append((scored, scores))

    @staticmethod
    def _add(joined: Joined, scored: Scored, scores: Scores) -> None:
        if len(scores.raw) == joined.message.key.count:
            joined.scores[scored.detector] = scores
            joined.units[scored.detector] = scored.unit

    def missing(self, joined: Joined) -> set[str]:
        return set(joined.message.detectors) - joined.scores.keys() - self.late

    def take(self, now_s: float) -> Iterator[Joined]:
        """Yield the batches that are complete or past their deadline, in order."""
        while self._waiting:
            joined = self._waiting[0]
            missing = self.missing(joined)
            if missing and now_s < joined.deadline_s:
                return
            self.late |= missing
            self._waiting.popleft()
            self._by_key.pop(joined.message.key, None)
            yield joined
