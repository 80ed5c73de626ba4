"""The file receiver: globs, new files, rotation, over restarts too.

Where to go on stands in the spool, in the same append as the lines before it, so that a restart neither skips nor
doubles. A file that is there when its pattern is used for the first time is read from its end (unless `from_start`);
one that appears later from its beginning. A file that was renamed away while nobody was reading is found by its inode
and read to its end. A writer learns of a rotation late: a file that was renamed away is read on until nothing was written
to it for `ROTATED_S`. Lines that make one record are joined before they are spooled (`joining.py`); a file is read again from
the first line that waits to be joined, should the receiver die.

No file harms another: files are read in turns (`turns.py`), and looked for in a thread, within bounds.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Any

import msgspec
import trio

from actors.context import Context
from actors.receivers.intake import Intake
from actors.receivers.joining import LINGER_S
from actors.receivers.tailing import Tail
from actors.receivers.tails import find_renamed, stands_at
from actors.receivers.turns import Settings, Turns
from actors.receivers.watching import COMPRESSED, Look, Watching, shown
from protocol.metrics import FileMetrics

MAX_FILES = 4_096
ROTATED_S = 10.0  # a file that was renamed away is closed when nothing was written to it for this long
REST_S = 2.0  # a last line without a newline is handed on when it has been there for this long
LOOK_AGAIN_S = 30.0  # for directories that were not there, and changes that the kernel lost
NEW = "new"  # in the cursor of a file that may be a copy: of which nothing was read
PATTERNS = "patterns"  # among the cursors: the patterns that were used before


class FileReceiver:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._settings = msgspec.convert(context.settings, Settings)
        self._intake = Intake(context, self._settings)
        self._report = context.report
        self._metrics = self._report.measure(FileMetrics)
        self._turns = Turns(self._settings, self._intake, self._report, self._metrics)
        self._tails, self._copies, self._joiners = self._turns.tails, self._turns.copies, self._turns.joiners
        self._watching = Watching(self._settings.paths)
        self._old_patterns: list[str] = self._intake.cursors.get(PATTERNS, [])
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
            if (cursor is None and from_start) or (cursor is not None and NEW in cursor):
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
        ours = {
            tail.key: tail.cursor(held.get(tail.key)) | ({NEW: True} if self._copies.is_waiting(tail) else {})
            for tail in self._tails.all()
        }
        self._intake.set_cursors({**others, PATTERNS: self._settings.paths} | ours)

    # -- reading

    async def _retire(self, tail: Tail) -> None:
        """Read on in a file that was renamed away or deleted, and keep an eye on it: its writer may not know yet."""
        self._tails.retire(tail)
        await self._turns.read_turn(tail)

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
            await self._turns.read_turn(tail)

    async def _follow_changes(self) -> None:
        while True:
            changes = await self._watching.wait_changes()
            async with self._turns.one_at_a_time:
                if changes.is_partial:
                    await self._look_at_all()
                for old, new in changes.renamed:
                    await self._read_renamed(old, new)
                for path in sorted(changes.paths):
                    await self._follow(path)
                for tail in list(self._tails.retired.values()):
                    await self._turns.read_turn(tail)

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
            async with self._turns.one_at_a_time:
                await self._look_at_all()
            await trio.sleep(LOOK_AGAIN_S)

    async def _hand_on_rests(self) -> None:
        """Hand on last lines that nobody finishes, and close files that are over."""
        while True:
            await trio.sleep(REST_S / 2)
            async with self._turns.one_at_a_time:
                for tail in self._copies.waiting():
                    await self._turns.read_turn(tail)
                for tail in list(self._tails.open.values()):
                    if tail.quiet_s(trio.current_time()) >= REST_S and tail.rest and not tail.is_behind():
                        await self._turns.take(tail, tail.take_rest())
                for tail in list(self._tails.retired.values()):
                    await self._turns.read_turn(tail)
                    if tail.quiet_s(trio.current_time()) >= ROTATED_S and not self._tails.is_behind(tail.key):
                        await self._finish(tail)

    async def _hand_on_joined(self) -> None:
        """Hand on records that nothing goes on with."""
        while True:
            await trio.sleep(LINGER_S / 3)
            async with self._turns.one_at_a_time:
                for tail in list(self._tails.all()):
                    linger_s = self._joiners.linger_s(tail.key, tail.rest)
                    if linger_s is not None and tail.quiet_s(trio.current_time()) >= linger_s and not tail.is_behind():
                        await self._turns.take(tail, [], is_last=True)

    async def _finish(self, tail: Tail) -> None:
        """Hand on the last line of a file that is over, and close it."""
        await self._turns.take(tail, tail.take_rest(), is_last=True)
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
                self._turns.read_on,
                self._hand_on_rests,
                self._hand_on_joined,
            ):
                nursery.start_soon(task)


async def run(context: Context) -> None:
    await FileReceiver(context).run()
