"""The journald receiver: the entries of `journalctl --follow`, with all fields, from its cursor on.

The cursor stands in the spool, in the same append as the records before it, so that a restart neither skips nor doubles.
At the very first start the journal is read from its present end (or, with `from_start`, from its beginning), and that
place is written down before anything is read. A journalctl that ends is started again behind the last record in the
spool; the wait doubles up to a minute while nothing comes of it. Without credit the pipe is not read, and journalctl
waits. The daemon's own lines are left out and counted (`own_lines.py`).
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import trio

from actors.context import Context
from actors.receivers.intake import Intake, IntakeSettings
from actors.receivers.journal_export import ExportDecoder, ExportError, JournalEntry
from actors.receivers.journalctl import Journalctl
from actors.receivers.own_lines import OwnLines, own_services
from actors.record_log import LogFull
from protocol.messages import encode
from protocol.metrics import JournaldMetrics
from protocol.records import JournalRecord, Record

CURSOR = "cursor"
RETRY_S = 1.0  # after journalctl has ended; doubled as long as nothing comes of it
MAX_RETRY_S = 60.0
SETTLED_S = 2.0  # a journalctl that has run for so long is taken for one that works
SPOOL_RETRY_S = 0.5
_BOOT = re.compile(r"(?:^|;)b=([0-9a-f]{32})(?:;|$)")  # in a cursor


class Settings(IntakeSettings, frozen=True):
    source: str = "journald"
    directory: str = ""  # of journal files; "": this machine's
    from_start: bool = False


class JournaldReceiver:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._settings = msgspec.convert(context.settings, Settings)
        self._intake = Intake(context, self._settings)
        self._report = context.report
        self._metrics = self._report.measure(JournaldMetrics)
        self._cursor: str = self._intake.cursors.get(CURSOR, "")  # of the last entry, be it one of our own
        self._known = bool(self._cursor)
        self._taken = 0  # entries, our own too
        self._own = OwnLines(own_services(Path("/proc/self/cgroup").read_text()), os.getppid())

    def _arguments(self) -> list[str]:
        return [f"--directory={self._settings.directory}"] if self._settings.directory else []

    # -- following

    async def _follow(self) -> None:
        """Follow the journal for good, with one journalctl after another."""
        self._report.ready()
        retry_s = RETRY_S
        while True:
            before = self._taken
            try:
                await self._note_end()
                fault = await self._read_one()
            except OSError as error:
                fault = str(error)
            self._metrics.journalctl_ends += 1
            self._report.set("journalctl", f"journalctl has ended and is started again: {fault}")
            if self._taken > before:
                retry_s = RETRY_S
            await trio.sleep(retry_s)
            retry_s = min(2 * retry_s, MAX_RETRY_S)

    async def _note_end(self) -> None:
        """At the very first start, write down where the journal ends, so that what comes after is read in any case."""
        if self._known or self._settings.from_start:
            return
        entries: list[JournalEntry] = []
        decoder = ExportDecoder()

        async def read(journalctl: Journalctl) -> None:
            while piece := await journalctl.receive():
                entries.extend(decoder.feed(piece))

        status, said = await self._run_journalctl(["--lines=1"], read)
        if status:
            raise OSError(said)
        if entries:  # else there is nothing yet, and its beginning is its end
            self._cursor = _cursor_of(entries[-1])
            self._intake.set_cursors({CURSOR: self._cursor})
        self._known = True

    async def _read_one(self) -> str:
        """Read what there is and then what comes; return why that ended. Raises OSError if journalctl cannot be started.

        In two runs, because `--follow` shows one boot only (systemd 250 to 253, whatever they are told): without the first,
        what was said between our last record and a reboot would be missing. The boot is named, as that of the last entry:
        what journalctl takes for the present one is wrong in a container under ProtectProc=, whose own boot id is hidden.
        """
        status, said = await self._run_journalctl(self._after_cursor(), self._read)
        if status:
            return said
        boot = _BOOT.search(self._cursor)
        if boot is None:
            return "the journal is empty"
        follow = ["--follow", "--no-tail", f"--boot={boot[1]}"]
        _, said = await self._run_journalctl([*follow, *self._after_cursor()], self._read)
        return said

    def _after_cursor(self) -> list[str]:
        return [f"--after-cursor={self._cursor}"] if self._cursor else []

    async def _run_journalctl(
        self, arguments: list[str], read: Callable[[Journalctl], Awaitable[None]]
    ) -> tuple[int, str]:
        """Run a journalctl while `read` reads it; return its exit status and its last words. Raises OSError."""
        journalctl = Journalctl([*self._arguments(), *arguments])
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(journalctl.listen_to_errors)
                try:
                    await read(journalctl)
                    end = await journalctl.wait_end()
                except ExportError as error:
                    end = 1, str(error)
                nursery.cancel_scope.cancel()
        finally:
            await journalctl.aclose()
        return end

    async def _read(self, journalctl: Journalctl) -> None:
        decoder, settled_s = ExportDecoder(), trio.current_time() + SETTLED_S
        while True:
            await self._intake.wait_credit()
            with trio.move_on_at(settled_s) as patience:
                piece = await journalctl.receive()
            if patience.cancelled_caught:
                settled_s = math.inf
                self._report.clear("journalctl")
                continue
            if not piece:
                return
            await self._take(decoder.feed(piece))

    async def _take(self, entries: list[JournalEntry]) -> None:
        """Spool entries together with the cursor of the last; wait while the spool refuses."""
        others = [entry for entry in entries if not self._own.covers(entry)]
        self._taken += len(entries)
        self._metrics.own_records += len(entries) - len(others)
        self._metrics.cut_records += sum(bool(entry.cut) for entry in others)
        records = [self._record(entry) for entry in others]
        while records:
            try:
                self._intake.put_batch(records, {CURSOR: _cursor_of(others[-1])})
                self._report.clear("reading")
                break
            except (LogFull, OSError) as error:
                self._report.set("reading", f"cannot spool, reading waits: {error}")
                await trio.sleep(SPOOL_RETRY_S)
        if entries:
            self._cursor = _cursor_of(entries[-1])

    def _record(self, entry: JournalEntry) -> Record:
        unit = entry.get("_SYSTEMD_UNIT").decode("utf-8", "backslashreplace")
        body = encode(JournalRecord(entry.fields, entry.cut))
        return Record(time.time_ns(), self._settings.source, "journal", unit, body, bool(entry.cut))

    # -- life

    async def run(self) -> None:
        async with trio.open_nursery() as moving:
            moving.start_soon(self._intake.run)
            async with trio.open_nursery() as reading:
                reading.start_soon(self._follow)
                await self._context.wait_drain()
                reading.cancel_scope.cancel()
            await self._intake.drain()
            moving.cancel_scope.cancel()


def _cursor_of(entry: JournalEntry) -> str:
    return entry.get("__CURSOR").decode("utf-8", "backslashreplace")


async def run(context: Context) -> None:
    await JournaldReceiver(context).run()
