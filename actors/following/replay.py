"""Commits read from the store in commit order, page by page, in a thread, for an actor that missed them.

Reading never holds up the loop of the actor that asks: a store that is busy, or a slow disk, is not an actor that hangs.
Cancelled, a read goes on in its thread to the end of its page, and what it has read is thrown away.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import trio

from actors.following.cursor import ALERTS, EVENTS, Cursor, Stretch
from actors.storage.queries import AlertQuery, EventQuery, StoredBatch
from actors.storage.store import ReadableStore
from protocol.findings import Alert
from protocol.messages import JudgedEvent

PAGE_EVENTS = 2_000
PAGE_FRAMES = 1_000

T = TypeVar("T")


class Replay:
    """Reads from a store for one actor, one page at a time."""

    def __init__(self, reader: ReadableStore) -> None:
        self._reader = reader
        self._one_at_a_time = trio.CapacityLimiter(1)

    async def _read(self, query: Callable[..., T], *arguments: Any, **named: Any) -> T:
        call = partial(query, *arguments, **named)
        return await trio.to_thread.run_sync(call, limiter=self._one_at_a_time, abandon_on_cancel=True)

    # -- by commit sequence

    async def committed(self) -> dict[int, int]:
        """Return how far both lines of the store are committed. Raises DamagedStore."""
        events, alerts = await self._read(self._reader.sequences)
        return {EVENTS: events, ALERTS: alerts}

    async def events(self, missing: Stretch) -> tuple[list[JudgedEvent], Stretch]:
        """Return the first events of a stretch of commit sequences, and the rest of the stretch."""
        count = min(PAGE_FRAMES, len(missing))
        events, _ = await self._read(self._reader.events, EventQuery(cursor=missing.first - 1, limit=count))
        return events, Stretch(missing.line, missing.first + count, missing.last)

    async def alerts(self, missing: Stretch) -> tuple[list[Alert], Stretch]:
        """Do the same for alerts. Raises DamagedStore."""
        count = min(PAGE_FRAMES, len(missing))
        alerts, _ = await self._read(self._reader.alerts, AlertQuery(cursor=missing.first - 1, limit=count))
        return alerts, Stretch(missing.line, missing.first + count, missing.last)

    # -- by the sequences of spools

    async def positions(self) -> dict[int, int]:
        """Return the committed positions, as {spool tag: last sequence}."""
        return await self._read(self._reader.positions)

    async def batches_of(self, gap: Stretch) -> list[StoredBatch]:
        """Return batches of a spool that hold any of these sequences, oldest first, those of one page at most."""
        return await self._read(self._reader.batches_of, gap.line, gap.first, gap.last, limit=PAGE_EVENTS)

    async def sequence_behind(self, cursor: Cursor, *, max_events: int) -> int:
        """Return the commit sequence from which on batches may be committed that the cursor has not taken."""
        return await self._read(self._reader.sequence_behind, dict(cursor.last), max_events=max_events)

    async def batches(self, from_sequence: int) -> list[StoredBatch]:
        """Return the batches of one page from a commit sequence on; none at the end of what is committed."""
        return await self._read(self._reader.batches, from_sequence, limit=PAGE_EVENTS)
