"""Isolation of records that kill an actor: each is sent alone, and the culprit goes into quarantine.

Should an actor die of a batch, the supervisor says so: its records are then sent each in a batch of its own. One that
proves to be the culprit is written to the quarantine (`quarantine.py`), and a word is sent in its place under its
sequence.

State: at most `MAX_ISOLATED` stretches of records that are sent alone, and what was put aside out of this spool.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator

import trio

from actors.context import Context
from actors.receivers.quarantine import QuarantinedRecord, QuarantineFolder
from actors.record_log import Entry, RecordLog
from protocol.messages import Isolate, Quarantine, decode_records, encode
from protocol.metrics import IntakeMetrics
from protocol.records import Record

MAX_ISOLATED = 64
RETRY_S = 0.5  # after the disk has refused

log = logging.getLogger(__name__)


class Isolation:
    """See the module. While `is_busy`, nothing may be sent: it would be the poison again."""

    def __init__(self, context: Context, record_log: RecordLog, metrics: IntakeMetrics) -> None:
        self._context = context
        self._log = record_log
        self._metrics = metrics
        self._folder = QuarantineFolder(context.state_dir)
        self._aside = self._folder.of_spool(record_log.tag)  # {sequence: what is not sent as it is}
        self._isolated: deque[Isolate] = deque(maxlen=MAX_ISOLATED)
        self.is_busy = False

    def pieces(self, entry: Entry, packed: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield first sequence, count and packed records of what is sent for an entry: the whole, or each record alone."""
        isolated = any(each.first <= entry.last and entry.first <= each.last for each in self._isolated)
        if not isolated and not any(entry.first <= sequence <= entry.last for sequence in self._aside):
            yield entry.first, entry.count, packed
            return
        for sequence, record in enumerate(decode_records(packed), entry.first):
            aside = self._aside.get(sequence)
            yield sequence, 1, encode([record if aside is None else aside.stand_in()])

    async def take(self, verdict: Isolate | Quarantine) -> bool:
        """Carry out a verdict of the supervisor; tell whether everything has to be sent again for it."""
        if verdict.tag != self._log.tag:
            return False
        if isinstance(verdict, Isolate):
            self._isolated.append(verdict)
            return False
        self.is_busy = True
        await self.put_aside(verdict)
        self.is_busy = False
        return True

    async def put_aside(self, verdict: Quarantine) -> None:
        """Take records out of what is sent. One that is gone from the log was committed, and is nobody's poison."""
        for entry in self._log.entries():
            if entry.last < verdict.first or entry.first > verdict.last:
                continue
            for sequence, record in enumerate(decode_records(self._log.read(entry)), entry.first):
                if verdict.first <= sequence <= verdict.last and sequence not in self._aside:
                    self._aside[sequence] = await self._write(verdict, sequence, record)
                    self._metrics.quarantined_records += 1

    async def _write(self, verdict: Quarantine, sequence: int, record: Record) -> QuarantinedRecord:
        """Put one record aside, for as long as it takes: on a full disk the stream waits, and the record is not lost."""
        report = self._context.report
        while True:
            try:
                aside = self._folder.put(self._context.name, self._log.tag, sequence, verdict.actor, verdict.reason, record)
            except OSError as error:
                if report.set("quarantine", f"cannot write the quarantine ({error.strerror})"):
                    log.error("cannot put a record aside, and sends nothing until it is: %s", error)
                await trio.sleep(RETRY_S)
            else:
                report.clear("quarantine")
                await trio.lowlevel.checkpoint()  # many records, each forced to disk, are no reason to look hung
                return aside
