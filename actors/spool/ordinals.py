"""Sequences name records, ordinals count them. Pure.

A spool gives out sequences without a gap, but some never name a record that is handed on: those it leaps over after a
loss, and those whose records were damaged on disk. The ordinal of a sequence is how many records were accepted before
it, all these left out; it goes with every batch, so that the store can tell whether it holds as many.

State: at most `MAX_PASSED` places; what lies before them was committed long ago, and is not told apart any more.
"""

from __future__ import annotations

MAX_PASSED = 32


class Ordinals:
    """`passed` is (sequence, how many before it never named a record), rising; `damaged` how many records were lost."""

    def __init__(self, passed: list[tuple[int, int]] | None = None, damaged: int = 0) -> None:
        self.passed = passed or []
        self.damaged = damaged

    def of(self, sequence: int) -> int:
        """Return how many records were accepted before the one of this sequence."""
        return sequence - 1 - self._passed_before(sequence)

    def pass_over(self, sequence: int, count: int) -> None:
        """Note that `count` sequences right before `sequence` name no record that will ever be handed on."""
        earlier = [entry for entry in self.passed if entry[0] < sequence]
        later = [(other, total + count) for other, total in self.passed if other >= sequence]
        if not later or later[0][0] != sequence:
            later.insert(0, (sequence, (earlier[-1][1] if earlier else 0) + count))
        self.passed = [*earlier, *later][-MAX_PASSED:]

    def note_missing(self, first: int, end: int) -> None:
        """Count what is missing from `first` up to before `end` as damaged, but for what a leap passed over."""
        missing = end - first - (self._passed_before(end) - self._passed_before(first))
        if missing > 0:
            self.damaged += missing
            self.pass_over(end, missing)

    @property
    def end_of_passed(self) -> int:
        """The first sequence behind everything that was passed over; 0 if nothing was."""
        return self.passed[-1][0] if self.passed else 0

    def _passed_before(self, sequence: int) -> int:
        return max((total for other, total in self.passed if other <= sequence), default=0)
