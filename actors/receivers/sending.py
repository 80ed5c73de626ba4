"""From the log to the parser, at most a window at a time, and again when something is lost (go-back-N).

At most `window` records are in flight, that is sent and not yet acknowledged by the recorder. What is beyond the window
waits in the log, not in memory. When something downstream was lost (the supervisor says so, or no acknowledgement came
for a while), everything that is not acknowledged is sent again, in order, under a new attempt number. The recorder
ignores what it has.

State: the entries that are not sent, the packed records of the newest of them among these.
"""

from __future__ import annotations

from collections import deque

import trio

from actors.context import Context
from actors.receivers.isolation import Isolation
from actors.record_log import Entry, RecordLog
from actors.signal import Signal
from protocol.messages import BatchKey, Records
from protocol.metrics import IntakeMetrics

STALL_S = 5.0  # without an acknowledgement while records are in flight: send again
MAX_STALL_S = 60.0


class Sender:
    """See the module. `changed` is set when anything moves."""

    def __init__(
        self, context: Context, record_log: RecordLog, isolation: Isolation, metrics: IntakeMetrics, window: int, changed: Signal
    ) -> None:
        self._context = context
        self._log = record_log
        self._isolation = isolation
        self._metrics = metrics
        self._window = window
        self._changed = changed
        self._unsent: deque[tuple[Entry, bytes | None]] = deque((entry, None) for entry in record_log.entries())
        self._sent = record_log.acknowledged  # last sequence handed to the parser in this attempt
        self._attempt = 0

    @property
    def in_flight(self) -> int:
        """Sequences that are sent and not acknowledged."""
        return max(0, self._sent - self._log.acknowledged)

    def add(self, entry: Entry, packed: bytes) -> None:
        """Have a new entry sent. Its records are kept in memory unless many wait before it."""
        self._unsent.append((entry, None if self._log.waiting > 2 * self._window else packed))

    def go_back(self) -> None:
        """Send again everything that is not acknowledged."""
        self._metrics.resent_records += self.in_flight
        self._unsent = deque((entry, None) for entry in self._log.entries())
        self._sent = self._log.acknowledged
        self._attempt += 1
        self._changed.set()

    def _is_sendable(self) -> bool:
        if self._isolation.is_busy:
            return False
        while self._unsent and self._unsent[0][0].last <= self._log.acknowledged:
            self._unsent.popleft()
        if not self._unsent:
            return False
        entry = self._unsent[0][0]
        if not self.in_flight:
            return True
        behind_gap = entry.first > self._sent + 1  # the recorder takes it only once all before the gap is committed
        return not behind_gap and self.in_flight + entry.count <= self._window

    async def send(self) -> None:
        """Send until cancelled."""
        while True:
            while not self._is_sendable():
                await self._changed.wait()
            entry, packed = self._unsent.popleft()
            attempt = self._attempt
            for first, count, piece in self._isolation.pieces(entry, packed or self._log.read(entry)):
                if self._isolation.is_busy:  # and then all is sent again, for the actor that died has lost it
                    break
                self._sent = first + count - 1
                await self._context.emit(Records(self._key(first, count)), [piece])
                if self._attempt != attempt:  # everything is sent again meanwhile
                    break

    def _key(self, first: int, count: int) -> BatchKey:
        known = self._log
        return BatchKey(
            self._context.name, known.tag, known.acknowledged, first, count, self._attempt, known.ordinal(first)
        )

    async def follow_losses(self) -> None:
        """Go back whenever something downstream was lost, until cancelled."""
        while True:
            await self._context.wait_resend()
            self.go_back()

    async def watch_for_stalls(self) -> None:
        """Go back when no acknowledgement comes although something is in flight, until cancelled."""
        patience_s = STALL_S
        while True:
            before = self._log.acknowledged
            await trio.sleep(patience_s)
            if self._sent > before == self._log.acknowledged:
                self._metrics.stalls += 1
                self.go_back()
                patience_s = min(2 * patience_s, MAX_STALL_S)
            else:
                patience_s = STALL_S
