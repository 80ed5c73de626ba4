"""Committed batches that a detector has not learned, read from the store in the form in which it gets them live.

A detector that was killed comes back with a snapshot that is some seconds old, and batches that were on their way to it
are gone. Everything it has not learned is, or is about to be, in the store, batch by batch and in the order in which the
parser sent it (the scorer keeps that order). So it learns that first, and then gives the scores that it would have
given had nothing happened.

Bound: the newest `MAX_EVENTS`; a detector that is new, or whose snapshot cannot be used, learns those and no more.
"""

from __future__ import annotations

import msgspec

from actors.following.cursor import Cursor
from actors.following.replay import Replay
from actors.parsing.features import columns_of
from actors.storage.queries import StoredBatch
from protocol.columns import Columns
from protocol.messages import BatchKey

MAX_EVENTS = 50_000


class Missed(msgspec.Struct, frozen=True):
    """A batch that is committed and not learned."""

    key: BatchKey
    columns: Columns


class CatchUp:
    """Reads on from where it ended; state: a commit sequence."""

    def __init__(self, replay: Replay, learned: Cursor) -> None:
        self._replay = replay
        self._learned = learned
        self._sequence = 0  # not known yet

    async def read(self) -> list[Missed]:
        """Return the missed batches of the next page that has any, oldest first; none at the end of what is committed."""
        self._sequence = self._sequence or await self._replay.sequence_behind(self._learned, max_events=MAX_EVENTS)
        while batches := await self._replay.batches(self._sequence):
            self._sequence = batches[-1].seq + len(batches[-1].events)
            if missed := [batch for batch in batches if not self._learned.has(batch.tag, batch.last)]:
                return [Missed(_key_of(batch), columns_of([one.event for one in batch.events])) for batch in missed]
        return []


def _key_of(batch: StoredBatch) -> BatchKey:
    return BatchKey("", batch.tag, batch.first - 1, batch.first, len(batch.events))
