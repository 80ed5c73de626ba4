"""Forcing a spool to disk once a second, and what follows when the disk refuses.

What a failed write-back may have taken is what was accepted and is not committed yet. It cannot be proved to be on disk
any more, so the receiver is `degraded` until the recorder has committed all of it; new records go to a new segment.
"""

from __future__ import annotations

import logging

import trio

from actors.context import Report
from actors.receivers.spool import Spool
from actors.syncing import SYNC_S, sync_all

NOTE = "cannot force the spool to disk"  # how the receiver's note begins

log = logging.getLogger(__name__)


async def keep_synced(spool: Spool, report: Report) -> None:
    """Force what was appended, in a thread, until cancelled."""
    doubtful = 0  # up to this sequence the disk may lack something
    while True:
        await trio.sleep(SYNC_S)
        descriptors = spool.unsynced.take()
        error = await trio.to_thread.run_sync(sync_all, descriptors) if descriptors else None
        if error is not None:
            report.counters["failed_syncs"] += 1
            log.error("%s (%s): a power loss may take what is accepted and not yet committed", NOTE, error.strerror)
            spool.begin_segment()
            doubtful = spool.next - 1
        if spool.acknowledged < doubtful:
            report.degraded(f"{NOTE}: a power loss may take records that are not committed yet")
        elif report.note.startswith(NOTE):
            report.ok()
