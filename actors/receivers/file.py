"""The file receiver: globs, new files, rotation, over restarts too.

Where to go on stands in the spool, in the same append as the lines before it, so that a restart neither skips nor
doubles. A file that is there when its pattern is used for the first time is read from its end (unless `from_start`);
one that appears later from its beginning. A file that was renamed away while nobody was reading is found by its inode
and read to its end. A writer learns of a rotation late: a file that was renamed away is read on until nothing was written
to it for `ROTATED_S`. Lines that make one record are joined before they are spooled (`joining.py`); a file is read again from
the first line that waits to be joined, should the receiver die.

No file harms another: each is read `TURN_BYTES` at most in its turn, and files are looked for in a thread, within bounds.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import re2
import trio

from actors.context import Context
from actors.receivers.copies import Copies
from actors.receivers.intake import Intake, IntakeSettings
from actors.receivers.joining import LINGER_S, Joiners
from actors.receivers.tailing import Line, Tail
from actors.receivers.tails import Tails, find_renamed, stands_at
from actors.receivers.watching import COMPRESSED, Look, Watching, shown
from actors.record_log import LogFull
from actors.signal import Signal
from protocol.metrics import FileMetrics
from protocol.records import Record

MAX_FILES = 4_096
RETRY_S = 0.5
TURN_BYTES = 1 << 20  # that are read of one file before the others have their turn
ROTATED_S = 10.0  # a file that was renamed away is closed when nothing was written to it for this long
REST_S = 2.0  # a last line without a newline is handed on when it has been there for this long
LOOK_AGAIN_S = 30.0  # for directories that were not there, and changes that the kernel lost
PATTERNS = "patterns"  # among the cursors: the patterns that were used before


class Settings(IntakeSettings, frozen=True):
    paths: list[str] = []
    from_start: bool = False
    source: str = "file"
    join: bool = True
    first_line: str = ""


class FileReceiver:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._settings = msgspec.convert(context.settings, Settings)
        self._intake = Intake(context, self._settings)
        self._report = context.report
        self._metrics = self._report.measure(FileMetrics)
        self._tails = Tails()
        self._copies = Copies(self._tails)
        self._watching = Watching(self._settings.paths)
        self._old_patterns: list[str] = self._intake.cursors.get(PATTERNS, [])
        first_line = re2.compile(self._settings.first_line.encode()) if self._settings.first_line else None
        self._joiners = Joiners(first_line, joins=self._settings.join)
        self._one_at_a_time = trio.Lock()
        self._left_over = Signal()  # some file has more than was read in its turn
        self._unreadable: dict[str, str] = {}  # {path or pattern: why}
        self._told: set[str] = set()  # of these, what is counted

    # -- which files

    async def _look(self) -> None:
        """Look for all files, and open those that are new."""
        look: Look = await trio.to_thread.run_sync(self._watching.look)
        self._unreadable = dict(look.unseen)
        self._watching.watch_directories(look.directories)
        for path, pattern in look.files:
            self._open(path, pattern)
        self._say_what_is_unread()

    def _say_what_is_unread(self) -> None:
        self._metrics.open_files = len(self._tails)
        self._metrics.unreadable_files += len(self._unreadable.keys() - self._told)
        self._told = set(self._unreadable)
        if faults := [*self._unreadable.values(), *self._watching.unwatched.values()]:
            self._report.set("files", faults[0])
        else:
            self._report.clear("files")

    def _open(self, path: str, pattern: str) -> None:
        if path in self._tails.open:
            return
        if len(self._tails) >= MAX_FILES:
            self._unreadable.setdefault("", f"more than {MAX_FILES} files match; {shown(path)} is not read")
            return
        try:
            status = os.stat(path)
            key = f"{status.st_dev}:{status.st_ino}"
            if self._tails.adopt(key, path):
                return
            from_start = pattern in self._old_patterns or self._settings.from_start
            cursor = self._intake.cursors.get(key)
            tail = self._tails.open[path] = Tail(path, cursor, from_start=from_start)
            if cursor is None and from_start:
                self._copies.add(tail)
        except OSError as error:
            self._unreadable[path] = f"cannot read {shown(path)}: {error.strerror}"
            return
        self._tails.takes_place(path, tail)
        self._unreadable.pop(path, None)
        self._watching.watch_link(path)

    async def _begin(self) -> None:
        """Finish what was renamed away meanwhile, open everything, and note where each file begins."""
        await self._look()
        before = self._intake.cursors
        self._note_cursors(before)  # of new files too, at once: should we be killed, they may be renamed before we are back
        kept: dict[str, Any] = {}
        known = {tail.key for tail in self._tails.all()} | {PATTERNS}
        for key, cursor in before.items():
            if key in known:
                continue
            try:
                tail = find_renamed(cursor)
            except OSError:  # its directory or the file itself cannot be read now; it may be later
                kept[key] = cursor
                continue
            if tail is not None:
                await self._retire(tail)
        self._old_patterns = self._settings.paths
        self._note_cursors(kept)

    def _note_cursors(self, others: Mapping[str, Any]) -> None:
        """Write down where each open file stands, besides `others`."""
        held = self._joiners.held()
        ours = {tail.key: tail.cursor(held.get(tail.key)) for tail in self._tails.all() if not self._copies.is_waiting(tail)}
        self._intake.set_cursors({**others, PATTERNS: self._settings.paths} | ours)

    # -- reading

    async def _read_turn(self, tail: Tail) -> None:
        """Read on in a file, for one turn at most; what is left is read in later turns, after those of the other files."""
        if not self._copies.may_read(tail):
            return
        if self._tails.has_to_wait(tail):
            self._leave_over(tail)
            return
        if (before := self._tails.predecessor(tail)) is not None:
            self._joiners.go_on(before, tail.key)
        end = tail.end + TURN_BYTES
        while tail.end < end:
            await self._intake.wait_credit()
            truncations = tail.truncations
            lines = tail.read(self._intake.batch_records)
            if tail.truncations > truncations:
                self._metrics.truncations += 1
                end = TURN_BYTES
                await self._take(tail, lines or [], is_last=True)
            elif lines is None:
                self._tails.caught_up(tail.key)
                return
            elif lines:
                await self._take(tail, lines)
            else:
                await trio.lowlevel.checkpoint()
        self._leave_over(tail)

    def _leave_over(self, tail: Tail) -> None:
        self._tails.falls_behind(tail.key)
        self._left_over.set()

    async def _read_on(self) -> None:
        """Read what was left over, a turn of one file after the other."""
        while True:
            if self._tails.next_behind() is None:
                await self._left_over.wait()
            async with self._one_at_a_time:
                if (tail := self._tails.next_behind()) is not None:
                    await self._read_turn(tail)

    def _cursors(self, keys: Collection[str], last: Tail) -> dict[str, Any]:
        """Return where these files are to be read on; a line that waits to be joined is read again."""
        tails = {each.key: each for each in (*self._tails.all(), last)}
        held = self._joiners.held()
        return {key: tails[key].cursor(held.get(key)) for key in keys & tails.keys()}

    async def _take(self, tail: Tail, lines: list[Line], *, is_last: bool = False) -> None:
        """Spool lines, one batch at most, together with the offset behind them; wait while the spool refuses.

        `is_last`: nothing that comes belongs to them.
        """
        now_ns, source, origin = time.time_ns(), self._settings.source, shown(tail.path)
        joined, keys = self._joiners.join(lines, tail.key, is_last=is_last)
        cursors = self._cursors(keys, tail)
        self._metrics.open_records = len(self._joiners)
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

    async def _retire(self, tail: Tail) -> None:
        """Read on in a file that was renamed away or deleted, and keep an eye on it: its writer may not know yet."""
        self._tails.retire(tail)
        await self._read_turn(tail)

    async def _follow(self, path: str) -> None:
        """Read what is new under a path; if another file stands there now, read the old one first."""
        before = self._tails.open.get(path)
        if before is not None and not stands_at(path, before):
            del self._tails.open[path]
            await self._retire(before)
            self._metrics.rotations += 1
        if path not in self._tails.open and (pattern := self._watching.pattern_of(path)) is not None:
            self._open(path, pattern)
            self._say_what_is_unread()
        if (tail := self._tails.open.get(path)) is not None:
            await self._read_turn(tail)

    async def _follow_changes(self) -> None:
        while True:
            changes = await self._watching.wait_changes()
            async with self._one_at_a_time:
                if changes.is_partial:
                    await self._look_at_all()
                for old, new in changes.renamed:
                    await self._read_renamed(old, new)
                for path in sorted(changes.paths):
                    await self._follow(path)
                for tail in list(self._tails.retired.values()):
                    await self._read_turn(tail)

    async def _read_renamed(self, old: str, new: str) -> None:
        """Read a file that came and went under a path of ours before we saw it there."""
        if not self._watching.may_match(old) or new.endswith(COMPRESSED):
            return
        try:
            status = os.stat(new)
            key = f"{status.st_dev}:{status.st_ino}"
            known = {tail.key for tail in self._tails.all()} | self._intake.cursors.keys()
            if key not in known and stat.S_ISREG(status.st_mode):
                tail = Tail(new, None, from_start=True)
                self._tails.takes_place(old, tail)
                await self._retire(tail)
        except OSError as error:
            self._unreadable[new] = f"cannot read {shown(new)}: {error.strerror}"

    async def _look_at_all(self) -> None:
        await self._look()
        for path in sorted(self._tails.open):
            await self._follow(path)

    async def _look_now_and_then(self) -> None:
        while True:
            async with self._one_at_a_time:
                await self._look_at_all()
            await trio.sleep(LOOK_AGAIN_S)

    async def _hand_on_rests(self) -> None:
        """Hand on last lines that nobody finishes, and close files that are over."""
        while True:
            await trio.sleep(REST_S / 2)
            async with self._one_at_a_time:
                for tail in self._copies.waiting():
                    await self._read_turn(tail)
                for tail in list(self._tails.open.values()):
                    if tail.quiet_s(trio.current_time()) >= REST_S and tail.rest and not tail.is_behind():
                        await self._take(tail, tail.take_rest())
                for tail in list(self._tails.retired.values()):
                    await self._read_turn(tail)
                    if tail.quiet_s(trio.current_time()) >= ROTATED_S and not self._tails.is_behind(tail.key):
                        await self._finish(tail)

    async def _hand_on_joined(self) -> None:
        """Hand on records that nothing goes on with."""
        while True:
            await trio.sleep(LINGER_S / 3)
            async with self._one_at_a_time:
                for tail in list(self._tails.all()):
                    linger_s = self._joiners.linger_s(tail.key, tail.rest)
                    if linger_s is not None and tail.quiet_s(trio.current_time()) >= linger_s and not tail.is_behind():
                        await self._take(tail, [], is_last=True)

    async def _finish(self, tail: Tail) -> None:
        """Hand on the last line of a file that is over, and close it."""
        await self._take(tail, tail.take_rest(), is_last=True)
        self._tails.close(tail.key)
        self._copies.forget(tail.key)
        self._joiners.forget(tail.key)
        cursors = self._intake.cursors
        if len(cursors) > 2 * MAX_FILES:
            self._intake.forget_cursor(next(key for key in cursors if key != PATTERNS))

    # -- life

    async def run(self) -> None:
        async with trio.open_nursery() as moving:
            moving.start_soon(self._intake.run)
            async with trio.open_nursery() as reading:
                reading.start_soon(self._read)
                await self._context.wait_drain()
                reading.cancel_scope.cancel()
            await self._intake.drain()
            moving.cancel_scope.cancel()
        self._tails.close_all()
        self._watching.close()

    async def _read(self) -> None:
        self._report.ready()
        await self._begin()
        async with trio.open_nursery() as nursery:
            for task in (
                self._look_now_and_then,
                self._follow_changes,
                self._read_on,
                self._hand_on_rests,
                self._hand_on_joined,
            ):
                nursery.start_soon(task)


async def run(context: Context) -> None:
    await FileReceiver(context).run()
