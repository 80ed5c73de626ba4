"""The half that all receivers share: batches, credit, the spool, and the hand-over to the parser.

A receiver reads its input and gives records to `put` (which waits for credit), `put_nowait` (for UDP, which cannot wait)
or `put_batch` (which spools them at once and tells their last sequence). Records are collected into a
batch until it has `batch_records` or is `LINGER_S` old; the batch is appended to the spool; only then are its records
accepted. The sender task follows the spool and keeps at most `window` records in flight, that is sent and not yet
acknowledged by the recorder. What is beyond the window waits on disk, not in memory.

When something downstream was lost (the supervisor says so, or no acknowledgement came for a while), everything that is
not acknowledged is sent again, in order, under a new attempt number (go-back-N). The recorder ignores what it has.

Records of which an actor died are sent each in a batch of its own; one that proves to be the culprit is put aside, and a
word is sent in its place under its sequence (`aside.py`).
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import trio

from actors.context import Context
from actors.receivers.aside import PutAside, Quarantined
from actors.receivers.spool import Slot, Spool, SpoolFull
from actors.receivers.syncing import keep_synced
from actors.signal import Signal
from actors.syncing import Fsync
from protocol.messages import (
    Acknowledged,
    BatchKey,
    Header,
    Isolate,
    Quarantine,
    Records,
    decode_records,
    encode,
)
from protocol.records import Record

LINGER_S = 0.005
STALL_S = 5.0  # without an acknowledgement while records are in flight: send again
MAX_STALL_S = 60.0
MAX_BATCH_BYTES = 1 << 20
MAX_ISOLATED = 64  # stretches of records that are sent one by one
RETRY_S = 0.5  # after the spool has refused
TELL_EVERY_S = 10.0  # what was dropped is told of in the stream itself, at most so often


log = logging.getLogger(__name__)


class IntakeSettings(msgspec.Struct, frozen=True):
    """The part of a receiver's settings that the intake reads."""

    window: int  # records accepted and not yet committed, at most
    spool_bytes: int
    batch_records: int = 500
    fsync: Fsync = "interval"


def _refusal(error: SpoolFull | OSError) -> tuple[str, str]:
    """Return the reason for counters and the note for people."""
    if isinstance(error, OSError):
        return "spool_error", f"cannot write the spool ({error.strerror})"
    return "spool_full", "the spool is full"


def _parts(records: Sequence[Record], most: int) -> Iterator[Sequence[Record]]:
    """Yield consecutive parts of at most `most` records, and of `MAX_BATCH_BYTES` if they have more than one."""
    start = size = 0
    for index, record in enumerate(records):
        size += len(record.body)
        if index > start and (index - start == most or size > MAX_BATCH_BYTES):
            yield records[start:index]
            start, size = index, len(record.body)
    if records:
        yield records[start:]


class Intake:
    """See the module. `run` must be running for anything to move."""

    def __init__(
        self, context: Context, settings: IntakeSettings, *, take: Callable[[Header], None] | None = None
    ) -> None:
        """`take` is given what comes into the actor's inbox and is not for the intake."""
        self._context = context
        self._take = take
        self._window = settings.window
        self.batch_records = min(settings.batch_records, settings.window)
        folder = context.state_dir / "spool" / context.name
        self.spool = Spool(folder, max_bytes=settings.spool_bytes, fsync=settings.fsync)
        self._pending: list[Record] = []
        self._pending_bytes = 0
        self._unsent: deque[tuple[Slot, bytes | None]] = deque((slot, None) for slot in self.spool.slots)
        self._sent = self.spool.acknowledged  # last sequence handed to the parser in this attempt
        self._attempt = 0
        self._changed = Signal()
        self._report = context.report
        self._pending_can_wait = False  # something pending came by `put`: it is not to be dropped
        self._refused = False  # the spool did not take the last records
        self._holding = False  # what is pending waits for the spool
        self._last_refusal = ("spool_full", "")
        self._quarantined = Quarantined(context.state_dir)
        self._aside = self._quarantined.of_spool(self.spool.tag)  # {sequence: what is not sent as it is}
        self._isolated: deque[Isolate] = deque(maxlen=MAX_ISOLATED)
        self._putting_aside = False  # meanwhile nothing is sent: it would be the poison again
        if self.spool.torn:
            self._report.counters["spool_torn_entries"] += self.spool.torn
        if self.spool.unusable:
            self._report.counters["unusable_spool_positions"] += 1
        self._gauge()

    # -- what a receiver calls

    @property
    def queue_depth(self) -> int:
        """Records accepted and not yet committed."""
        return self.spool.waiting + len(self._pending)

    async def wait_credit(self) -> None:
        """Return when the window has room, and the spool does not refuse."""
        while self.queue_depth >= self._window or self._holding:
            await self._changed.wait()

    def has_credit(self, count: int = 1) -> bool:
        """Tell whether `count` more records fit the window; a batch larger than the window fits an empty one."""
        return self.queue_depth + count <= self._window or self.queue_depth == 0

    async def put(self, records: Sequence[Record]) -> None:
        """Take records when there is credit for them; they share batches with what else arrives now."""
        for part in _parts(records, self.batch_records):
            await self.wait_credit()
            self._pending_can_wait = True
            self._collect(part)

    def put_nowait(self, records: Sequence[Record]) -> None:
        """Take records beyond the window too: they wait in the spool, and are dropped and counted when that is full."""
        for part in _parts(records, self.batch_records):
            if self._holding:
                self._drop(len(part), *self._last_refusal)
            else:
                self._collect(part)

    async def wait_room(self, count: int) -> None:
        """Return when `count` more records fit the window."""
        while not self.has_credit(count):
            await self._changed.wait()

    def put_batch(self, records: Sequence[Record], cursor: dict[str, Any] | None = None) -> int:
        """Take records as batches of their own, with the cursor behind the last; return the last sequence.

        Does not wait: ask for credit first. Raises SpoolFull or OSError if they cannot all be spooled; then none is,
        and the caller may try again with all of them.
        """
        self._flush()
        return self._append(list(_parts(records, self.batch_records)), cursor)

    async def wait_acknowledged(self, sequence: int) -> None:
        """Return when everything up to `sequence` is committed."""
        while self.spool.acknowledged < sequence:
            await self._changed.wait()

    async def drain(self) -> None:
        """Flush, and return when everything accepted is committed."""
        self._flush()
        while self.queue_depth:
            await self._changed.wait()

    # -- batches

    def _collect(self, records: Sequence[Record]) -> None:
        self._pending.extend(records)
        self._pending_bytes += sum([len(record.body) for record in records])
        if len(self._pending) >= self.batch_records or self._pending_bytes >= MAX_BATCH_BYTES:
            self._flush()
        else:
            self._changed.set()

    def _flush(self) -> None:
        """Spool what is pending. If the spool refuses, what came by `put` is held, and its reader waits with it."""
        if not self._pending:
            return
        try:
            self._append([self._pending], None)
        except (SpoolFull, OSError) as error:
            reason, note = _refusal(error)
            self._holding = self._holding or self._pending_can_wait
            if self._holding:
                self._report.degraded(f"{note}: reading waits")
                return
            self._drop(len(self._pending), reason, note)
        self._pending, self._pending_bytes = [], 0
        self._pending_can_wait = self._holding = False
        self._changed.set()

    def _drop(self, count: int, reason: str, note: str) -> None:
        self._report.counters[f"dropped_{reason}"] += count
        self._report.degraded(f"{note}: records are dropped")
        self._refused = True
        self._changed.set()  # whoever waits for the window or for the end of a drain has less to wait for

    def _append(self, batches: Sequence[Sequence[Record]], cursor: dict[str, Any] | None) -> int:
        packed = [(encode(batch), len(batch)) for batch in batches]
        try:
            slots = self.spool.append_all(packed, cursor)
        except (SpoolFull, OSError) as error:
            self._refused = True
            self._last_refusal = _refusal(error)
            raise
        for slot, (records, count) in zip(slots, packed, strict=True):
            beyond = self.spool.waiting > 2 * self._window
            self._unsent.append((slot, None if beyond else records))
            self._report.counters["accepted_records"] += count
            self._report.counters["accepted_bytes"] += len(records)
        if self._refused and self._report.state == "degraded":
            self._report.ok()
        self._refused = False
        self._gauge()
        self._changed.set()
        return slots[-1].last

    async def _close_batches(self) -> None:
        while True:
            while not self._pending:
                await self._changed.wait()
            await trio.sleep(RETRY_S if self._holding else LINGER_S)
            self._flush()

    async def _watch_for_room(self) -> None:
        """See by itself when a disk that has refused takes again: perhaps nothing comes for a long time."""
        while True:
            await trio.sleep(RETRY_S)
            dropping = self._refused and not self._holding and self._last_refusal[0] == "spool_error"
            if dropping and self._report.state == "degraded" and self.spool.has_room():
                self._refused = False
                self._report.ok()

    # -- to the parser and back

    def _sendable(self) -> bool:
        if self._putting_aside:
            return False
        while self._unsent and self._unsent[0][0].last <= self.spool.acknowledged:
            self._unsent.popleft()
        if not self._unsent:
            return False
        slot, in_flight = self._unsent[0][0], self._sent - self.spool.acknowledged
        if in_flight <= 0:
            return True
        behind_gap = slot.first > self._sent + 1  # the recorder takes it only once all before the gap is committed
        return not behind_gap and in_flight + slot.count <= self._window

    async def _send(self) -> None:
        while True:
            while not self._sendable():
                await self._changed.wait()
            slot, packed = self._unsent.popleft()
            attempt = self._attempt
            for first, count, piece in self._pieces(slot, packed or self.spool.read(slot)):
                if self._putting_aside:  # and then all is sent again, for the actor that died has lost it
                    break
                self._sent = first + count - 1
                await self._context.emit(Records(self._key(first, count)), [piece])
                if self._attempt != attempt:  # everything is sent again meanwhile
                    break

    def _key(self, first: int, count: int) -> BatchKey:
        spool = self.spool
        before = spool.ordinal(first)
        return BatchKey(self._context.name, spool.tag, spool.acknowledged, first, count, self._attempt, before)

    def _pieces(self, slot: Slot, packed: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield first sequence, count and packed records of what is sent for an entry: the whole, or each record alone."""
        isolated = any(each.first <= slot.last and slot.first <= each.last for each in self._isolated)
        if not isolated and not any(slot.first <= sequence <= slot.last for sequence in self._aside):
            yield slot.first, slot.count, packed
            return
        for sequence, record in enumerate(decode_records(packed), slot.first):
            aside = self._aside.get(sequence)
            yield sequence, 1, encode([record if aside is None else aside.stand_in()])

    def _go_back(self) -> None:
        """Send again whatever is not acknowledged."""
        self._report.counters["resent_records"] += max(0, self._sent - self.spool.acknowledged)
        self._unsent = deque((slot, None) for slot in self.spool.slots)
        self._sent = self.spool.acknowledged
        self._attempt += 1
        self._changed.set()

    async def _receive_acknowledgements(self) -> None:
        while True:  # while it drains too: the inbox may be empty for a moment although the recorder still works
            async for message, _ in self._context.messages():
                if isinstance(message, Acknowledged) and message.tag == self.spool.tag:
                    self.spool.acknowledge(message.sequence)
                    self._gauge()
                    self._changed.set()
                elif self._take is not None:
                    self._take(message)
            await trio.lowlevel.checkpoint()

    async def _follow_announcements(self) -> None:
        while True:
            await self._context.wait_resend()
            self._go_back()

    async def _follow_verdicts(self) -> None:
        while True:
            verdict = await self._context.wait_verdict()
            if verdict.tag != self.spool.tag:
                continue
            if isinstance(verdict, Isolate):
                self._isolated.append(verdict)
            else:
                self._putting_aside = True
                await self._put_aside(verdict)
                self._putting_aside = False
                self._go_back()

    async def _put_aside(self, verdict: Quarantine) -> None:
        """Take records out of what is sent. One that is gone from the spool was committed, and is nobody's poison."""
        for slot in tuple(self.spool.slots):
            if slot.last < verdict.first or slot.first > verdict.last:
                continue
            for sequence, record in enumerate(decode_records(self.spool.read(slot)), slot.first):
                if verdict.first <= sequence <= verdict.last and sequence not in self._aside:
                    self._aside[sequence] = await self._write_aside(verdict, sequence, record)
                    self._report.counters["quarantined_records"] += 1

    async def _write_aside(self, verdict: Quarantine, sequence: int, record: Record) -> PutAside:
        """Put one record aside, for as long as it takes: on a full disk the stream waits, and the record is not lost."""
        held = False
        while True:
            try:
                aside = self._quarantined.put(
                    self._context.name, self.spool.tag, sequence, verdict.actor, verdict.reason, record
                )
            except OSError as error:
                if not held:
                    log.error("cannot put a record aside, and sends nothing until it is: %s", error)
                held = True
                self._report.degraded(f"cannot write the quarantine ({error.strerror})")
                await trio.sleep(RETRY_S)
            else:
                if held and not self._refused:
                    self._report.ok()
                await trio.lowlevel.checkpoint()  # many records, each forced to disk, are no reason to look hung
                return aside

    async def _watch_for_stalls(self) -> None:
        patience_s = STALL_S
        while True:
            before = self.spool.acknowledged
            await trio.sleep(patience_s)
            if self._sent > before == self.spool.acknowledged:
                self._report.counters["stalls"] += 1
                self._go_back()
                patience_s = min(2 * patience_s, MAX_STALL_S)
            else:
                patience_s = STALL_S

    async def _tell_of_drops(self) -> None:
        """Make an event of what was dropped: whoever reads the history has to see the gap in it."""
        told: Counter[str] = Counter()
        while True:
            await trio.sleep(TELL_EVERY_S)
            dropped = Counter({name: n for name, n in self._report.counters.items() if name.startswith("dropped_")})
            for name, count in (dropped - told).items():
                reason = name.removeprefix("dropped_")
                text = f"{self._context.name} dropped {count} records: {reason.replace('_', ' ')}"
                self._context.tell("dropped", text, severity=17, reason=reason, records=count)
            told = dropped

    def _gauge(self) -> None:
        gauges = self._report.gauges
        gauges["queue_depth"] = self.queue_depth
        gauges["in_flight_records"] = max(0, self._sent - self.spool.acknowledged)
        gauges["spool_bytes"] = self.spool.bytes
        accepted, waiting = self.spool.accepted, self.spool.waiting
        self._report.ledger = {
            "tag": self.spool.tag,
            "accepted": accepted,
            "acknowledged": accepted - waiting,
            "damaged": self.spool.damaged,
            "unsure": int(self.spool.is_unsure),
        }

    async def run(self) -> None:
        """Move records until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                for task in (
                    self._close_batches,
                    self._send,
                    self._receive_acknowledgements,
                    self._follow_announcements,
                    self._follow_verdicts,
                    self._watch_for_stalls,
                    self._tell_of_drops,
                    self._watch_for_room,
                ):
                    nursery.start_soon(task)
                nursery.start_soon(keep_synced, self.spool, self._report)
        finally:
            self.spool.close()
