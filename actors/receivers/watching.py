"""Which files match the patterns, and what happens to them: directories, links and what these point to, by inotify(7).

A file behind a symbolic link is written to, and rotated, in another directory: that is watched too, and a change there
counts as one of the link.
"""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator, Sequence

import msgspec

from actors.receivers.inotify import ATTRIB, CREATE, DELETE, MODIFY, MOVED_FROM, MOVED_TO, Change, Inotify

WATCHED = MODIFY | ATTRIB | MOVED_FROM | MOVED_TO | CREATE | DELETE
COMPRESSED = (".gz", ".xz", ".zst", ".bz2", ".lz4", ".zip")  # what was read before it was packed


class Changes(msgspec.Struct, frozen=True):
    """What happened since the last time."""

    paths: set[str]  # that changed, or appeared, or are gone
    renamed: list[tuple[str, str]]  # old and new path of files of ours, and of others
    is_partial: bool  # the kernel has lost some


class Watching:
    """Finds and watches files; `unwatched` says {directory: why it cannot be watched}."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.unwatched: dict[str, str] = {}
        self._patterns = patterns
        self._inotify = Inotify()
        self._watches: dict[int, str] = {}  # {watch: directory, or file behind a symbolic link}
        self._links: dict[str, set[str]] = {}  # {what a symbolic link points to: links}

    def find(self) -> Iterator[tuple[str, str]]:
        """Yield each path that matches, and its pattern."""
        for pattern in self._patterns:
            for path in glob.glob(pattern, recursive=True):
                if os.path.isfile(path) and not path.endswith(COMPRESSED):
                    yield path, pattern

    def may_match(self, path: str) -> bool:
        """Tell whether a path that is gone is one of ours, by its name."""
        name = os.path.basename(path)
        return path in self._links or any(fnmatch.fnmatch(name, os.path.basename(pattern)) for pattern in self._patterns)

    def watch_directories(self) -> None:
        """Watch every directory in which a file may appear."""
        self.unwatched = {}
        for pattern in self._patterns:
            for directory in glob.glob(os.path.dirname(pattern) or "/", recursive=True):
                self._watch(directory, WATCHED)

    def watch_link(self, path: str) -> None:
        """Watch what a symbolic link points to; nothing if it is none."""
        if os.path.islink(path):
            target = os.path.realpath(path)
            self._links.setdefault(target, set()).add(path)
            self._watch(path, MODIFY)
            self._watch(os.path.dirname(target), WATCHED)

    def _watch(self, path: str, mask: int) -> None:
        try:
            self._watches[self._inotify.watch(path, mask)] = path
        except OSError as error:
            self.unwatched[path] = f"cannot watch {shown(path)}: {error.strerror}"

    async def wait_changes(self) -> Changes:
        """Return the next changes. Cancelled, they stay in the kernel."""
        changes = await self._inotify.wait_changes()
        paths = {self._path(change) for change in changes}
        paths |= {link for target in paths & self._links.keys() for link in self._links[target]}
        return Changes(paths, list(self._renamed(changes)), any(change.watch < 0 for change in changes))

    def _renamed(self, changes: Sequence[Change]) -> Iterator[tuple[str, str]]:
        before: dict[int, str] = {}
        for change in changes:
            if change.mask & MOVED_FROM:
                before[change.cookie] = self._path(change)
            elif change.mask & MOVED_TO and change.cookie in before:
                yield before.pop(change.cookie), self._path(change)

    def _path(self, change: Change) -> str:
        watched = self._watches.get(change.watch, "")
        return os.path.join(watched, change.name) if change.name else watched

    def close(self) -> None:
        self._inotify.close()


def shown(path: str) -> str:
    """Return a path as text that can be written as UTF-8: a file's name is bytes and need not be."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
