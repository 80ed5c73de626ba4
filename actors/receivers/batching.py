"""Records become batches, and batches stand in the log: from there on they are accepted.

A batch is closed when it has `batch_records` or `MAX_BATCH_BYTES`, or is `LINGER_S` old. When the log refuses, what can
wait is held, and its reader waits with it; what cannot (datagrams) is dropped and counted.

State: the open batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import trio

from actors.context import Report
from actors.record_log import Entry, LogFull, RecordLog
from actors.signal import Signal
from protocol.messages import encode
from protocol.metrics import DropReason, IntakeMetrics
from protocol.records import Record

LINGER_S = 0.005
RETRY_S = 0.5  # after the log has refused
MAX_BATCH_BYTES = 1 << 20

Spooled = Callable[[Entry, bytes], None]


def parts(records: Sequence[Record], most: int) -> Iterator[Sequence[Record]]:
    """Yield consecutive parts of at most `most` records, and of `MAX_BATCH_BYTES` if they have more than one."""
    start = size = 0
    for index, record in enumerate(records):
        size += len(record.body)
        if index > start and (index - start == most or size > MAX_BATCH_BYTES):
            yield records[start:index]
            start, size = index, len(record.body)
    if records:
        yield records[start:]


def _refusal(error: LogFull | OSError) -> tuple[DropReason, str]:
    """Return the reason for counters and the note for people."""
    if isinstance(error, OSError):
        return "spool_error", f"cannot write the spool ({error.strerror})"
    return "spool_full", "the spool is full"


class Batcher:
    """See the module. `spooled` is told of each entry and its packed records; `changed` is set when anything moves."""

    def __init__(
        self, record_log: RecordLog, report: Report, metrics: IntakeMetrics, batch_records: int, changed: Signal, spooled: Spooled
    ) -> None:
        self.batch_records = batch_records
        self._log = record_log
        self._report = report
        self._metrics = metrics
        self._changed = changed
        self._spooled = spooled
        self._pending: list[Record] = []
        self._pending_bytes = 0
        self._can_wait = False  # something pending has a reader that waits: it is not to be dropped
        self.is_holding = False  # what is pending waits for the log
        self._refusal: tuple[DropReason, str] = ("spool_full", "")  # the last one

    def __len__(self) -> int:
        """Return how many records are pending."""
        return len(self._pending)

    def collect(self, records: Sequence[Record], *, can_wait: bool) -> None:
        """Take records into the open batch. While the log refuses, those that cannot wait are dropped."""
        if self.is_holding and not can_wait:
            self._drop(len(records), *self._refusal)
            return
        self._can_wait = self._can_wait or can_wait
        self._pending.extend(records)
        self._pending_bytes += sum([len(record.body) for record in records])
        if len(self._pending) >= self.batch_records or self._pending_bytes >= MAX_BATCH_BYTES:
            self.flush()
        else:
            self._changed.set()

    def flush(self) -> None:
        """Spool the open batch; hold or drop it if the log refuses."""
        if not self._pending:
            return
        try:
            self.append([self._pending], None)
        except (LogFull, OSError) as error:
            reason, note = _refusal(error)
            self.is_holding = self.is_holding or self._can_wait
            if self.is_holding:
                self._report.set("spool", f"{note}: reading waits")
                return
            self._drop(len(self._pending), reason, note)
        else:
            self._report.clear("spool")
        self._pending, self._pending_bytes = [], 0
        self._can_wait = self.is_holding = False
        self._changed.set()

    def _drop(self, count: int, reason: DropReason, note: str) -> None:
        self._report.drop(reason, count)
        self._report.set("spool", f"{note}: records are dropped")
        self._changed.set()  # whoever waits for the window or for the end of a drain has less to wait for

    def append(self, batches: Sequence[Sequence[Record]], cursor: dict[str, Any] | None) -> int:
        """Spool batches as they are; return the last sequence. Raises LogFull or OSError; then none is spooled."""
        packed = [(encode(batch), len(batch)) for batch in batches]
        try:
            entries = self._log.append(packed, cursor)
        except (LogFull, OSError) as error:
            self._refusal = _refusal(error)
            raise
        for entry, (records, count) in zip(entries, packed, strict=True):
            self._spooled(entry, records)
            self._metrics.accepted_records += count
            self._metrics.accepted_bytes += len(records)
        if not self.is_holding:
            self._report.clear("spool")
        self._changed.set()
        return entries[-1].last

    async def close_batches(self) -> None:
        """Close what has lingered; try again what the log refused; until cancelled."""
        while True:
            while not self._pending:
                await self._changed.wait()
            await trio.sleep(RETRY_S if self.is_holding else LINGER_S)
            self.flush()

    async def watch_for_room(self) -> None:
        """See by itself when a disk that has refused takes again: perhaps nothing comes for a long time."""
        while True:
            await trio.sleep(RETRY_S)
            is_dropping = self._report.has("spool") and not self.is_holding and self._refusal[0] == "spool_error"
            if is_dropping and self._log.has_room():
                self._report.clear("spool")
