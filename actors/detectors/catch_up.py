"""What a detector has not learnt although it is committed, out of the store, as the detector would have seen it live.

A detector that was killed comes back with a snapshot that is some seconds old, and batches that were on their way to it
are gone. Everything it has not learnt is, or is about to be, in the store, batch by batch and in the order in which the
parser sent it (the scorer keeps that order). So it learns that first, and then gives the scores that it would have
given had nothing happened.

Bound: the newest `MOST_EVENTS`; a detector that is new, or whose snapshot cannot be used, learns those and no more.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from actors.learnt import Learnt
from actors.parsing.features import columns_of
from actors.storage.reader import StoredBatch, StoreReader
from protocol.columns import Columns
from protocol.messages import BatchKey

MOST_EVENTS = 50_000
PAGE_EVENTS = 2_000


class Missed(msgspec.Struct, frozen=True):
    """A batch that is committed and not learnt."""

    key: BatchKey
    columns: Columns


class CatchUp:
    """Reads on from where it ended; state: a commit sequence."""

    def __init__(self, reader: StoreReader, learnt: Learnt) -> None:
        self._reader = reader
        self._learnt = learnt
        self._seq = reader.sequence_behind(learnt.last, most_events=MOST_EVENTS)

    def read(self) -> Iterator[Missed]:
        """Yield the missed batches of the next page, oldest first; nothing at the end of what is committed."""
        while batches := self._reader.batches(self._seq, limit=PAGE_EVENTS):
            self._seq = batches[-1].seq + len(batches[-1].events)
            missed = [batch for batch in batches if batch.last > self._learnt.last.get(batch.tag, 0)]
            for batch in missed:
                yield Missed(_key_of(batch), columns_of([one.event for one in batch.events]))
            if missed:
                return


def _key_of(batch: StoredBatch) -> BatchKey:
    return BatchKey("", batch.tag, batch.first - 1, batch.first, len(batch.events))
