"""Files read in turns: their lines joined to records, and spooled together with the offsets behind them.

Each file is read `TURN_BYTES` at most in its turn. Where to go on stands in the spool, in the same append as the lines before it;
a line that waits to be joined is read again, should the receiver die.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

import re2
import trio

from actors.context import Report
from actors.receivers.copies import Copies
from actors.receivers.intake import Intake, IntakeSettings
from actors.receivers.joining import Joiners
from actors.receivers.tailing import Line, Tail
from actors.receivers.tails import Tails
from actors.receivers.watching import shown
from actors.record_log import LogFull
from actors.signal import Signal
from protocol.metrics import FileMetrics
from protocol.records import Record

TURN_BYTES = 1 << 20  # that are read of one file before the others have their turn
RETRY_S = 0.5


class Settings(IntakeSettings, frozen=True):
    paths: list[str] = []
    from_start: bool = False
    source: str = "file"
    join: bool = True
    first_line: str = ""


class Turns:
    """State: which files have more than was read in their turn, and lines that wait to be joined."""

    def __init__(self, settings: Settings, intake: Intake, report: Report, metrics: FileMetrics) -> None:
        self._settings = settings
        self._intake = intake
        self._report = report
        self._metrics = metrics
        self._left_over = Signal()  # some file has more than was read in its turn
        self.one_at_a_time = trio.Lock()
        self.tails = Tails()
        self.copies = Copies(self.tails)
        first_line = re2.compile(settings.first_line.encode()) if settings.first_line else None
        self.joiners = Joiners(first_line, joins=settings.join)

    async def read_turn(self, tail: Tail) -> None:
        """Read on in a file, for one turn at most; what is left is read in later turns, after those of the other files."""
        if not self.copies.may_read(tail):
            return
        if self.tails.has_to_wait(tail):
            self._leave_over(tail)
            return
        if (before := self.tails.predecessor(tail)) is not None:
            self.joiners.go_on(before, tail.key)
        end = tail.end + TURN_BYTES
        while tail.end < end:
            await self._intake.wait_credit()
            truncations = tail.truncations
            lines = tail.read(self._intake.batch_records)
            if tail.truncations > truncations:
                self._metrics.truncations += 1
                end = TURN_BYTES
                await self.take(tail, lines or [], is_last=True)
            elif lines is None:
                self.tails.caught_up(tail.key)
                return
            elif lines:
                await self.take(tail, lines)
            else:
                await trio.lowlevel.checkpoint()
        self._leave_over(tail)

    def _leave_over(self, tail: Tail) -> None:
        self.tails.falls_behind(tail.key)
        self._left_over.set()

    async def read_on(self) -> None:
        """Read what was left over, a turn of one file after the other."""
        while True:
            if self.tails.next_behind() is None:
                await self._left_over.wait()
            async with self.one_at_a_time:
                if (tail := self.tails.next_behind()) is not None:
                    await self.read_turn(tail)

    def _cursors(self, keys: Collection[str], last: Tail) -> dict[str, Any]:
        """Return where these files are to be read on; a line that waits to be joined is read again."""
        tails = {each.key: each for each in (*self.tails.all(), last)}
        held = self.joiners.held()
        return {key: tails[key].cursor(held.get(key)) for key in keys & tails.keys()}

    async def take(self, tail: Tail, lines: list[Line], *, is_last: bool = False) -> None:
        """Spool lines, one batch at most, together with the offset behind them; wait while the spool refuses.

        `is_last`: nothing that comes belongs to them.
        """
        now_ns, source, origin = time.time_ns(), self._settings.source, shown(tail.path)
        joined, keys = self.joiners.join(lines, tail.key, is_last=is_last)
        cursors = self._cursors(keys, tail)
        self._metrics.open_records = len(self.joiners)
        self._metrics.joined_lines += sum(each.lines - 1 for each in joined)
        records = [Record(now_ns, source, "line", origin, each.body, each.cut) for each in joined]
        self._metrics.cut_records += sum(each.cut for each in joined)
        while records:
            try:
                self._intake.put_batch(records, cursors)
                self._report.clear("reading")
                return
            except (LogFull, OSError) as error:
                self._report.set("reading", f"cannot spool, reading waits: {error}")
                await trio.sleep(RETRY_S)
