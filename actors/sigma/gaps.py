"""Which records of every spool have been seen, and which were passed by on the way. Pure.

Batches come in order, but not all of them: one that found its edge full is left out, and those that were on their way to a
process that died are gone. What is passed by is a gap; the store will have it, and what comes out of it later, or is sent
again, is new all the same.

State: the last sequence of at most `MAX_SPOOLS` spools and at most `MAX_GAPS` gaps, the oldest given up and counted.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from protocol.messages import BatchKey

MAX_SPOOLS = 1_024
MAX_GAPS = 1_024
PATIENCE = 5  # times that a gap is looked for in vain in a store that has passed it: what a spool leapt over never comes

Gap = tuple[int, int, int]  # spool tag, first and last sequence


class Gaps:
    def __init__(self, last: Mapping[int, int] | None = None, gaps: Iterable[Gap] = ()) -> None:
        self.last = dict(last or {})
        self._gaps: dict[Gap, int] = dict.fromkeys(gaps, 0)  # {gap: times looked for in vain}
        self.given_up = 0

    def open(self) -> list[Gap]:
        """Return the gaps, oldest first."""
        return list(self._gaps)

    def take(self, key: BatchKey) -> Container[int]:
        """Note a batch; return those of its sequences that were not seen before."""
        last = self.last.get(key.tag, key.base)
        if key.first > last:
            self._note(key.tag, key.first, last)
            self._advance(key.tag, key.last)
            return range(key.first, key.last + 1)
        new = self._fill(key.tag, key.first, key.last)
        new.update(range(last + 1, key.last + 1))
        self._advance(key.tag, max(last, key.last))
        return new

    def expect(self, positions: Mapping[int, int]) -> None:
        """Note what is committed, as {spool tag: last sequence}: all of it that was not seen is a gap."""
        for tag, position in positions.items():
            last = self.last.get(tag, 0)
            if position > last:
                self._note(tag, position + 1, last)
                self._advance(tag, position)

    def miss(self, gap: Gap) -> None:
        """Note that a gap was looked for in vain."""
        tries = self._gaps.get(gap, 0) + 1
        if tries >= PATIENCE:
            del self._gaps[gap]
        elif gap in self._gaps:
            self._gaps[gap] = tries

    def _note(self, tag: int, first: int, last: int) -> None:
        if first > last + 1:
            self._gaps[tag, last + 1, first - 1] = 0
        while len(self._gaps) > MAX_GAPS:
            del self._gaps[next(iter(self._gaps))]
            self.given_up += 1

    def _advance(self, tag: int, last: int) -> None:
        self.last.pop(tag, None)
        self.last[tag] = last
        while len(self.last) > MAX_SPOOLS:
            del self.last[next(iter(self.last))]

    def _fill(self, tag: int, first: int, last: int) -> set[int]:
        """Close what of the gaps lies between two sequences; return what that was."""
        filled: set[int] = set()
        for gap in [each for each in self._gaps if each[0] == tag and each[1] <= last and each[2] >= first]:
            tries = self._gaps.pop(gap)
            filled.update(range(max(first, gap[1]), min(last, gap[2]) + 1))
            if gap[1] < first:
                self._gaps[tag, gap[1], first - 1] = tries
            if gap[2] > last:
                self._gaps[tag, last + 1, gap[2]] = tries
        return filled
