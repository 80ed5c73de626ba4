"""How far sequences have been taken, which were passed by on the way, and which are missing before the next. Pure.

A line is anything that is numbered without a gap: a receiver's spool, by its tag, or the commit sequences of the store.
What comes in is a stretch of a line. It may come again, in part too, and one before it may be lost: with a process that
died, or at an edge that was full. The store has what was lost, sooner or later.

An actor either fills what is missing at once, or passes on and fills it later; then the cursor keeps the gaps.

State: the last sequence of at most `MAX_LINES` lines, and at most `max_gaps` gaps, the oldest given up and counted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

MAX_LINES = 1_024
MAX_GAPS = 1_024
PATIENCE = 5  # times that a gap is looked for in vain in a store that has passed it: what a spool leapt over never comes

EVENTS, ALERTS = 0, 1  # the lines of the store; a spool's tag is greater


class Stretch(msgspec.Struct, frozen=True, array_like=True):
    """Sequences of a line, both ends included; empty if `last` < `first`."""

    line: int
    first: int
    last: int

    def __len__(self) -> int:
        return max(0, self.last - self.first + 1)


class Cursor:
    """See the module. `last` is {line: last sequence taken}."""

    def __init__(
        self, last: Mapping[int, int] | None = None, gaps: Iterable[Stretch] = (), *, max_gaps: int = 0
    ) -> None:
        self.last = dict(last or {})
        self.given_up = 0
        self._most_gaps = max_gaps
        self._gaps: dict[Stretch, int] = dict.fromkeys(gaps, 0)  # {gap: times looked for in vain}

    def gaps(self) -> list[Stretch]:
        """Return the gaps, oldest first."""
        return list(self._gaps)

    def has(self, line: int, last: int) -> bool:
        """Tell whether a line was taken up to a sequence."""
        return last <= self.last.get(line, 0)

    def missing_before(self, line: int, first: int, *, begin: int = 0) -> Stretch:
        """Return what is missing before a stretch. `begin`: up to where a line that is new counts as taken."""
        return Stretch(line, self.last.get(line, begin) + 1, first - 1)

    def take(self, line: int, first: int, count: int, *, begin: int = 0) -> Collection[int]:
        """Note a stretch; return those of its sequences that are new. `begin` as in `missing_before`."""
        before, last = self.last.get(line, begin), first + count - 1
        if first > before:
            self._note(Stretch(line, before + 1, first - 1))
            self._advance(line, last)
            return range(first, last + 1)
        new = self._fill(Stretch(line, first, last))
        self._advance(line, max(before, last))
        behind = range(before + 1, last + 1)
        return new.union(behind) if new else behind

    def expect(self, positions: Mapping[int, int]) -> None:
        """Note the committed positions, as {line: last sequence}: what was not taken of them is a gap."""
        for line, position in positions.items():
            before = self.last.get(line, 0)
            if position > before:
                self._note(Stretch(line, before + 1, position))
                self._advance(line, position)

    def miss(self, gap: Stretch) -> None:
        """Note that a gap was looked for in vain."""
        tries = self._gaps.get(gap, 0) + 1
        if tries >= PATIENCE:
            del self._gaps[gap]
        elif gap in self._gaps:
            self._gaps[gap] = tries

    def _note(self, gap: Stretch) -> None:
        if gap and self._most_gaps:
            self._gaps[gap] = 0
        while len(self._gaps) > self._most_gaps:
            del self._gaps[next(iter(self._gaps))]
            self.given_up += 1

    def _advance(self, line: int, last: int) -> None:
        self.last.pop(line, None)
        self.last[line] = last
        while len(self.last) > MAX_LINES:
            del self.last[next(iter(self.last))]

    def _fill(self, stretch: Stretch) -> set[int]:
        """Close what of the gaps lies within a stretch; return what that was."""
        line, first, last = stretch.line, stretch.first, stretch.last
        filled: set[int] = set()
        for gap in [each for each in self._gaps if each.line == line and each.first <= last and each.last >= first]:
            tries = self._gaps.pop(gap)
            filled.update(range(max(first, gap.first), min(last, gap.last) + 1))
            if gap.first < first:
                self._gaps[Stretch(line, gap.first, first - 1)] = tries
            if gap.last > last:
                self._gaps[Stretch(line, last + 1, gap.last)] = tries
        return filled
