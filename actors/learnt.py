"""What an actor that learns has learnt already, so that a batch that is sent again is not learnt again."""

from __future__ import annotations

from protocol.messages import BatchKey

MAX_SPOOLS = 1_024


class Learnt:
    """{spool tag: last sequence learnt}, at most `MAX_SPOOLS`; a spool is new only when its files were deleted."""

    def __init__(self, last: dict[int, int] | None = None) -> None:
        self.last = dict(last or {})

    def has(self, key: BatchKey) -> bool:
        """Tell whether the batch is learnt."""
        return key.last <= self.last.get(key.tag, 0)

    def take(self, key: BatchKey) -> bool:
        """Tell whether the batch is new, and note that it is learnt now."""
        if self.has(key):
            return False
        self.last[key.tag] = key.last
        while len(self.last) > MAX_SPOOLS:
            del self.last[next(iter(self.last))]
        return True
