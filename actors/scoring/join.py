"""Joining a batch with the answers of detectors and rules; a late answer is not waited for.

Batches leave in the order in which they came. A batch waits for each detector that it was given to, at most until its
deadline. A detector that missed a deadline is late: nobody waits for it again until it has answered something. So a
detector that hangs delays the stream by one deadline, once. Pure: the clock comes in.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence

import msgspec

from actors.following.cursor import Cursor
from protocol.columns import Scores
from protocol.messages import BatchKey, Frame, Matched, Parsed, Scored

DEADLINE_S = 0.25
MAX_EARLY = 1_024  # batches whose answers came before they did
SIGMA = "sigma"

Answer = tuple[Scored, Scores] | Matched


class Joined(msgspec.Struct):
    """A batch with the scores that were there in time."""

    message: Parsed
    frames: Sequence[Frame]
    deadline_s: float
    scores: dict[str, Scores]
    units: dict[str, str]
    matched: Matched | None = None
    waits: bool = True  # False: the batch was judged before, and needs no answers

    def answered(self) -> set[str]:
        return self.scores.keys() | ({SIGMA} if self.matched else set())


class Join:
    """See the module. State: the batches that wait (bounded by credit) and at most `MAX_EARLY` early answers."""

    def __init__(self) -> None:
        self._waiting: deque[Joined] = deque()
        self._by_key: dict[BatchKey, Joined] = {}
        self._early: OrderedDict[BatchKey, list[Answer]] = OrderedDict()
        self._gone = Cursor()  # what has left
        self.late: set[str] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def add_batch(self, message: Parsed, frames: Sequence[Frame], now_s: float, *, waits: bool = True) -> None:
        joined = Joined(message, frames, now_s + DEADLINE_S, {}, {}, waits=waits)
        self._waiting.append(joined)
        self._by_key[message.key] = joined
        for answer in self._early.pop(message.key, ()):
            self._add(joined, answer)

    def add_scores(self, scored: Scored, scores: Scores) -> None:
        self.late.discard(scored.detector)
        self._take(scored.key, (scored, scores))

    def add_matched(self, key: BatchKey, matched: Matched) -> bool:
        """Take what the rules say of a batch; False if it has left without them."""
        self.late.discard(SIGMA)
        if key not in self._by_key and self._gone.has(key.tag, key.last):
            return False
        self._take(key, matched)
        return True

    def _take(self, key: BatchKey, answer: Answer) -> None:
        joined = self._by_key.get(key)
        if joined is not None:
            self._add(joined, answer)
            return
        if key not in self._early and len(self._early) >= MAX_EARLY:
            self._early.popitem(last=False)
        self._early.setdefault(key, []).append(answer)

    @staticmethod
    def _add(joined: Joined, answer: Answer) -> None:
        if isinstance(answer, Matched):
            joined.matched = answer
            return
        scored, scores = answer
        if len(scores.raw) == joined.message.key.count:
            joined.scores[scored.detector] = scores
            joined.units[scored.detector] = scored.unit

    def missing(self, joined: Joined) -> set[str]:
        return set(joined.message.detectors) - joined.answered() - self.late if joined.waits else set()

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
            key = joined.message.key
            self._gone.take(key.tag, key.first, key.count)
            yield joined
