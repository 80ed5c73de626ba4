"""The wall clock, held against one that never jumps. Pure, but for the two functions that read the clocks.

A wall clock is set: by a person, by a time server after the boot, by a battery that is empty. What must not follow at once
is told here: by how much it jumped, whether it has been steady since, and what it would show had it not.
"""

from __future__ import annotations

import time

from protocol.clock import NS_PER_S

JUMP_NS = 5 * NS_PER_S  # more than a time server slews between two looks
STEADY_NS = 600 * NS_PER_S  # without a jump: then it is believed


def wall_ns() -> int:
    """Return what the wall clock shows."""
    return time.time_ns()


def elapsed_ns() -> int:
    """Return what passed since the boot, in which the machine slept included: sleep is no jump."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class SteadyClock:
    """State: two differences between the clocks, and when they last jumped against each other."""

    def __init__(self, wall: int, elapsed: int) -> None:
        self._offset = self._believed = wall - elapsed
        self._since = elapsed

    def look(self, wall: int, elapsed: int) -> int:
        """Take in both clocks, at least once a minute; return by how much the wall clock jumped since the last time, else 0."""
        offset = wall - elapsed
        jumped = offset - self._offset
        self._offset = offset
        if abs(jumped) > JUMP_NS:
            self._since = elapsed
            return jumped
        if self._believed_is_near() or self.is_steady(elapsed):
            self._believed = offset
        return 0

    def _believed_is_near(self) -> bool:
        return abs(self._offset - self._believed) <= JUMP_NS

    def is_steady(self, elapsed: int) -> bool:
        """Tell whether nothing has jumped for `STEADY_NS`, since the start or since the last jump."""
        return elapsed - self._since >= STEADY_NS

    def believed(self, elapsed: int) -> int:
        """Return the time: what the wall clock shows, or, until it is steady again, what it would without its last jump."""
        return elapsed + self._believed
