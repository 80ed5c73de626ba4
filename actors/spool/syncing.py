"""Forcing a spool to disk once a second, and the condition that is set while the disk refuses.

What a failed write-back may have taken is what was accepted and is not committed yet. It cannot be proved to be on disk
any more, so the receiver is `degraded` until the recorder has committed all of it; new records go to a new segment.
"""

from __future__ import annotations

import logging
from typing import Protocol

import trio

from actors.context import Report
from actors.spool.segments import Segments
from actors.syncing import SYNC_S, sync_all
from protocol.metrics import SyncMetrics

log = logging.getLogger(__name__)


class Synced(Protocol):
    """A log in segments."""

    segments: Segments
    next: int
    acknowledged: int


async def keep_synced(spool: Synced, report: Report) -> None:
    """Force appended entries to disk, in a thread, until cancelled."""
    metrics = report.measure(SyncMetrics)
    doubtful = 0  # up to this sequence the disk may lack something
    while True:
        await trio.sleep(SYNC_S)
        descriptors = spool.segments.unsynced.take()
        error = await trio.to_thread.run_sync(sync_all, descriptors) if descriptors else None
        if error is not None:
            metrics.failed_syncs += 1
            log.error("cannot force the spool to disk (%s): a loss of power may take what is not committed yet", error.strerror)
            spool.segments.begin()
            doubtful = spool.next - 1
        if spool.acknowledged < doubtful:
            report.set("sync", "cannot force the spool to disk: a loss of power may take records that are not committed yet")
        else:
            report.clear("sync")
