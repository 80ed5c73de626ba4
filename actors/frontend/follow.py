"""How far the stream has been framed, and what is missing. Pure.

What the recorder hands on may be lost with the broadcaster, or with the recorder itself after its commit. Commit
sequences have no gaps, so whoever follows them sees what is missing: at once, when a later commit comes; and from the
heartbeat, when none does. What is missing is read from the store and framed before what came after it.
"""

from __future__ import annotations

import msgspec


class Missing(msgspec.Struct, frozen=True):
    """A stretch of the commit sequence, both ends included; empty if `last` < `first`."""

    first: int
    last: int

    def __len__(self) -> int:
        return max(0, self.last - self.first + 1)


class Follower:
    """Follows one commit sequence (there is one of events and one of alerts). Begins with the first that it hears of."""

    def __init__(self) -> None:
        self._framed: int | None = None  # the last
        self._seen_ahead = 0  # what the heartbeat before showed

    def take(self, first: int, count: int) -> tuple[Missing, int]:
        """Note that `count` from `first` on are framed now; return what is missing before them, and how many to skip."""
        last = first + count - 1
        framed = first - 1 if self._framed is None else self._framed
        self._framed = max(framed, last)
        return Missing(framed + 1, first - 1), min(max(0, framed - first + 1), count)

    def take_heartbeat(self, newest: int) -> Missing:
        """Return what is missing although it was committed before the heartbeat before; note it as framed."""
        if self._framed is None:
            self._framed = newest
        ahead, self._seen_ahead = self._seen_ahead, newest
        missing = Missing(self._framed + 1, min(ahead, newest))
        self._framed = max(self._framed, missing.last)
        return missing
