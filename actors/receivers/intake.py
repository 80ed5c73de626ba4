"""The half that all receivers share: batches, credit, the log of records, and the hand-over to the parser.

A receiver reads its input and gives records to `put` (which waits for credit), `put_nowait` (for UDP, which cannot wait)
or `put_batch` (which spools them at once and tells their last sequence). They become batches (`batching.py`), stand in the
log, and go to the parser within a window (`sending.py`), but for those that an actor died of (`isolation.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import trio

from actors.context import Context
from actors.receivers.batching import Batcher, parts
from actors.receivers.isolation import Isolation
from actors.receivers.sending import Sender
from actors.record_log import Entry, RecordLog
from actors.signal import Signal
from actors.spool.spool import Spool
from actors.syncing import Fsync
from protocol.messages import Acknowledged, Header
from protocol.metrics import IntakeMetrics, SpoolMetrics
from protocol.records import Record

TELL_EVERY_S = 10.0  # what was dropped is told of in the stream itself, at most so often


class IntakeSettings(msgspec.Struct, frozen=True):
    """The part of a receiver's settings that the intake reads."""

    window: int  # records accepted and not yet committed, at most
    spool_bytes: int
    batch_records: int = 500
    fsync: Fsync = "interval"


class Intake:
    """See the module. `run` must be running for anything to move."""

    def __init__(
        self,
        context: Context,
        settings: IntakeSettings,
        *,
        take: Callable[[Header], None] | None = None,
        record_log: RecordLog | None = None,
    ) -> None:
        """`take` is given what comes into the actor's inbox and is not for the intake. `record_log`: else a spool."""
        self._context = context
        self._take = take
        self._window = settings.window
        self._log: RecordLog = record_log or Spool(
            context.state_dir / "spool" / context.name, max_bytes=settings.spool_bytes, fsync=settings.fsync
        )
        self._report = context.report
        self._metrics = self._report.measure(IntakeMetrics)
        self._changed = Signal()
        self._isolation = Isolation(context, self._log, self._metrics)
        self._sender = Sender(context, self._log, self._isolation, self._metrics, self._window, self._changed)
        batch_records = min(settings.batch_records, settings.window)
        self._batcher = Batcher(
            self._log, self._report, self._metrics, batch_records, self._changed, self._spooled
        )
        if isinstance(self._log, Spool):
            opened = self._report.measure(SpoolMetrics)
            opened.spool_torn_entries, opened.unusable_spool_positions = self._log.torn, int(self._log.unusable)
        self._measure()

    # -- records

    @property
    def batch_records(self) -> int:
        """Records that a batch has at most."""
        return self._batcher.batch_records

    async def put(self, records: Sequence[Record]) -> None:
        """Take records when there is credit for them; they share batches with what else arrives now.

        Cancelled while it waits, the parts before are taken, and what is left is not.
        """
        for part in parts(records, self.batch_records):
            await self.wait_credit()
            self._batcher.collect(part, can_wait=True)

    def put_nowait(self, records: Sequence[Record]) -> None:
        """Take records beyond the window too: they wait in the log, and are dropped and counted when that is full."""
        for part in parts(records, self.batch_records):
            self._batcher.collect(part, can_wait=False)

    def put_batch(self, records: Sequence[Record], cursor: dict[str, Any] | None = None) -> int:
        """Take records as batches of their own, with the cursor behind the last; return the last sequence.

        Does not wait: ask for credit first. Raises LogFull or OSError if they cannot all be spooled; then none is,
        and the caller may try again with all of them.
        """
        self._batcher.flush()
        return self._batcher.append(list(parts(records, self.batch_records)), cursor)

    def _spooled(self, entry: Entry, packed: bytes) -> None:
        self._sender.add(entry, packed)
        self._measure()

    # -- credit

    @property
    def queue_depth(self) -> int:
        """Records accepted and not yet committed."""
        return self._log.waiting + len(self._batcher)

    async def wait_credit(self) -> None:
        """Return when the window has room, and the log does not refuse. A hint: whoever runs next may take the room."""
        while self.queue_depth >= self._window or self._batcher.is_holding:
            await self._changed.wait()

    def has_credit(self, count: int = 1) -> bool:
        """Tell whether `count` more records fit the window; a batch larger than the window fits an empty one."""
        return self.queue_depth + count <= self._window or self.queue_depth == 0

    async def wait_room(self, count: int) -> None:
        """Return when `count` more records fit the window."""
        while not self.has_credit(count):
            await self._changed.wait()

    async def wait_acknowledged(self, sequence: int) -> None:
        """Return when everything up to `sequence` is committed. It may take for ever while the store refuses: set a deadline."""
        while self._log.acknowledged < sequence:
            await self._changed.wait()

    async def drain(self) -> None:
        """Flush, and return when everything accepted is committed. Cancelled, what is not waits in the log."""
        self._batcher.flush()
        while self.queue_depth:
            await self._changed.wait()

    # -- where the receiver stands in its inputs

    @property
    def cursors(self) -> Mapping[str, Any]:
        """The newest cursor by key."""
        return self._log.cursors

    def set_cursors(self, cursors: Mapping[str, Any]) -> None:
        """Put these cursors in the place of all others, on disk too."""
        self._log.set_cursors(dict(cursors))

    def forget_cursor(self, key: str) -> None:
        """Let a cursor go, with what is written next."""
        self._log.cursors.pop(key, None)

    @property
    def next_sequence(self) -> int:
        """What the next record that is spooled gets."""
        return self._log.next

    # -- to and from the others

    async def _receive(self) -> None:
        while True:  # while it drains too: the inbox may be empty for a moment although the recorder still works
            async for message, _ in self._context.messages():
                if isinstance(message, Acknowledged) and message.tag == self._log.tag:
                    self._log.acknowledge(message.sequence)
                    self._measure()
                    self._changed.set()
                elif self._take is not None:
                    self._take(message)
            await trio.lowlevel.checkpoint()

    async def _follow_verdicts(self) -> None:
        while True:
            if await self._isolation.take(await self._context.wait_verdict()):
                self._sender.go_back()

    async def _tell_of_drops(self) -> None:
        """Make an event of each drop, so that the history shows the gap."""
        told: Counter[str] = Counter()
        while True:
            await trio.sleep(TELL_EVERY_S)
            dropped = Counter[str](self._report.dropped)
            for reason, count in (dropped - told).items():
                text = f"{self._context.name} dropped {count} records: {reason.replace('_', ' ')}"
                self._context.tell("dropped", text, severity=17, reason=reason, records=count)
            told = dropped

    def _measure(self) -> None:
        metrics = self._metrics
        metrics.queue_depth = self.queue_depth
        metrics.in_flight_records = self._sender.in_flight
        metrics.spool_bytes = self._log.size
        self._report.spool = self._log.account()

    async def run(self) -> None:
        """Move records until cancelled; then let go of the log."""
        try:
            async with trio.open_nursery() as nursery:
                for task in (
                    self._batcher.close_batches,
                    self._batcher.watch_for_room,
                    self._sender.send,
                    self._sender.follow_losses,
                    self._sender.watch_for_stalls,
                    self._receive,
                    self._follow_verdicts,
                    self._tell_of_drops,
                ):
                    nursery.start_soon(task)
                nursery.start_soon(self._log.keep, self._report)
        finally:
            self._log.close()
