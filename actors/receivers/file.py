"""The file receiver: globs, new files, rotation, over restarts too.

Where to go on stands in the spool, in the same append as the lines before it, so that a restart neither skips nor
doubles. A file that is there when its pattern is used for the first time is read from its end (unless `from_start`);
one that appears later from its beginning. A file that was renamed away while nobody was reading is found by its inode
and read to its end first.
"""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import trio

from actors.context import Context
from actors.receivers.inotify import ATTRIB, CREATE, DELETE, MODIFY, MOVED_FROM, MOVED_TO, Inotify
from actors.receivers.intake import Intake, IntakeSettings
from actors.receivers.spool import SpoolFull
from actors.receivers.tailing import Line, Tail
from protocol.records import Record

WATCHED = MODIFY | ATTRIB | MOVED_FROM | MOVED_TO | CREATE | DELETE
MAX_FILES = 4_096
RETRY_S = 0.5
REST_S = 2.0  # a last line without a newline is handed on when it has been there for this long
LOOK_AGAIN_S = 30.0  # for directories that were not there, and changes that the kernel lost
PATTERNS = "patterns"  # among the cursors: the patterns that were used before


class Settings(IntakeSettings, frozen=True):
    paths: list[str] = []
    from_start: bool = False
    source: str = "file"


class FileReceiver:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._settings = msgspec.convert(context.settings, Settings)
        self._intake = Intake(context, self._settings)
        self._report = context.report
        self._tails: dict[str, Tail] = {}  # {path: open file}
        self._rests: dict[str, tuple[int, float]] = {}  # {path: offset of its unfinished line, since when}
        self._inotify = Inotify()
        self._directories: dict[int, str] = {}  # {watch: directory}
        self._old_patterns: list[str] = self._intake.spool.cursors.get(PATTERNS, [])
        self._one_at_a_time = trio.Lock()

    # -- which files

    def _find(self) -> Iterator[tuple[str, bool]]:
        """Yield each path, and whether its pattern was used before."""
        for pattern in self._settings.paths:
            for path in glob.glob(pattern, recursive=True):
                if os.path.isfile(path):
                    yield path, pattern in self._old_patterns

    def _watch_directories(self) -> None:
        for pattern in self._settings.paths:
            for directory in glob.glob(os.path.dirname(pattern) or "/", recursive=True):
                try:
                    self._directories[self._inotify.watch(directory, WATCHED)] = directory
                except OSError as error:
                    self._report.degraded(f"cannot watch {directory}: {error.strerror}")

    def _open_new(self) -> None:
        for path, known_pattern in self._find():
            if path not in self._tails and len(self._tails) < MAX_FILES:
                self._open(path, from_start=known_pattern or self._settings.from_start)
        self._report.gauges["open_files"] = len(self._tails)

    def _open(self, path: str, *, from_start: bool) -> None:
        try:
            status = os.stat(path)
            cursor = self._intake.spool.cursors.get(f"{status.st_dev}:{status.st_ino}")
            self._tails[path] = Tail(path, cursor, from_start=from_start)
        except OSError as error:
            self._report.counters["unreadable_files"] += 1
            self._report.degraded(f"cannot read {path}: {error.strerror}")

    async def _begin(self) -> None:
        """Finish what was renamed away meanwhile, open everything, and note where each file begins."""
        self._watch_directories()
        cursors = self._intake.spool.cursors
        self._open_new()
        open_keys = {tail.key for tail in self._tails.values()}
        for key, cursor in cursors.items():
            if key != PATTERNS and key not in open_keys and (tail := _find_renamed(cursor)) is not None:
                await self._finish(tail)
        self._old_patterns = self._settings.paths
        kept: dict[str, Any] = {tail.key: tail.cursor() for tail in self._tails.values()}
        self._intake.spool.set_cursors({PATTERNS: self._settings.paths} | kept)

    # -- reading

    async def _read_to_end(self, tail: Tail) -> None:
        while True:
            await self._intake.wait_credit()
            before = tail.truncations
            lines = tail.read()
            self._report.counters["truncations"] += tail.truncations - before
            if lines:
                await self._take(tail, lines)
            elif tail.truncations == before:
                return

    async def _take(self, tail: Tail, lines: list[Line]) -> None:
        """Spool lines together with the offset behind them; wait while the spool refuses."""
        now_ns, source = time.time_ns(), self._settings.source
        records = [Record(now_ns, source, "line", tail.path, line.body, line.cut) for line in lines]
        self._report.counters["cut_records"] += sum(line.cut for line in lines)
        while records:
            try:
                self._intake.put_batch(records, {tail.key: tail.cursor()})
                return
            except (SpoolFull, OSError) as error:
                self._report.degraded(f"cannot spool, reading waits: {error}")
                await trio.sleep(RETRY_S)

    async def _finish(self, tail: Tail) -> None:
        """Read a file to its very end and close it."""
        await self._read_to_end(tail)
        if rest := tail.take_rest():
            await self._take(tail, rest)
        tail.close()

    async def _follow(self, path: str) -> None:
        """Read what is new under a path; if another file stands there now, finish the old one first."""
        if path not in self._tails:
            self._open_new()
        elif not _stands_at(path, self._tails[path]):
            await self._finish(self._tails.pop(path))
            self._report.counters["rotations"] += 1
            self._open_new()
        if path in self._tails:
            await self._read_to_end(self._tails[path])

    async def _follow_changes(self) -> None:
        while True:
            changes = await self._inotify.wait_changes()
            named = {os.path.join(self._directories.get(change.watch, ""), change.name) for change in changes}
            async with self._one_at_a_time:
                if any(change.watch < 0 for change in changes):
                    await self._look_at_all()
                for path in sorted(named & ({path for path, _ in self._find()} | self._tails.keys())):
                    await self._follow(path)

    async def _look_at_all(self) -> None:
        self._watch_directories()
        self._open_new()
        for path in sorted(self._tails):
            await self._follow(path)

    async def _look_now_and_then(self) -> None:
        while True:
            async with self._one_at_a_time:
                await self._look_at_all()
            await trio.sleep(LOOK_AGAIN_S)

    async def _hand_on_rests(self) -> None:
        """Hand on last lines that nobody finishes."""
        while True:
            await trio.sleep(REST_S / 2)
            async with self._one_at_a_time:
                for path, tail in self._tails.items():
                    await self._hand_on_rest(path, tail)

    async def _hand_on_rest(self, path: str, tail: Tail) -> None:
        now_s = trio.current_time()
        offset, since_s = self._rests.get(path, (-1, now_s))
        if not tail.has_rest():
            self._rests.pop(path, None)
        elif offset != tail.end:
            self._rests[path] = (tail.end, now_s)
        elif now_s - since_s >= REST_S:
            await self._take(tail, tail.take_rest())

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
        self._inotify.close()

    async def _read(self) -> None:
        self._report.ok()
        await self._begin()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look_now_and_then)
            nursery.start_soon(self._follow_changes)
            nursery.start_soon(self._hand_on_rests)


def _stands_at(path: str, tail: Tail) -> bool:
    try:
        status = os.stat(path)
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (tail.device, tail.inode)


def _find_renamed(cursor: dict[str, Any]) -> Tail | None:
    """Return the file of a cursor under the name that it has now, in the directory where it was."""
    try:
        with os.scandir(os.path.dirname(cursor["path"])) as entries:
            for entry in entries:
                if entry.is_file() and entry.inode() == cursor["inode"]:
                    return Tail(entry.path, cursor, from_start=False)
    except OSError:
        return None
    return None


async def run(context: Context) -> None:
    await FileReceiver(context).run()
