"""Which files match the patterns, and what happens to them: directories, links and what these point to, by inotify(7).

A file behind a symbolic link is written to, and rotated, in another directory: that is watched too, and a change there
counts as one of the link.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from actors.receivers.inotify import ATTRIB, CREATE, DELETE, MODIFY, MOVED_FROM, MOVED_TO, Change, Inotify
from actors.receivers.matching import MAX_ENTRIES, Pattern, TooMany

WATCHED = MODIFY | ATTRIB | MOVED_FROM | MOVED_TO | CREATE | DELETE
COMPRESSED = (".gz", ".xz", ".zst", ".bz2", ".lz4", ".zip")  # what was read before it was packed


class Changes(msgspec.Struct, frozen=True):
    """What happened since the last time."""

    paths: set[str]  # that changed, or appeared, or are gone
    renamed: list[tuple[str, str]]  # old and new path of files of ours, and of others
    is_partial: bool  # the kernel has lost some


class Look(msgspec.Struct, frozen=True):
    """What is there."""

    files: list[tuple[str, str]]  # path, and the pattern that it matches
    directories: list[str]  # in which a file may appear
    unseen: dict[str, str]  # {pattern: why not everything that may match was looked at}


class Watching:
    """Finds and watches files; `unwatched` says {directory: why it cannot be watched}."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.unwatched: dict[str, str] = {}
        self._patterns = [Pattern(text) for text in patterns]
        self._inotify = Inotify()
        self._watches: dict[int, str] = {}  # {watch: directory, or file behind a symbolic link}
        self._links: dict[str, set[str]] = {}  # {what a symbolic link points to: links}

    def look(self) -> Look:
        """Look for all that matches. Blocks for as long as the disk takes."""
        look = Look([], [], {})
        for pattern in self._patterns:
            try:
                look.directories.extend(path for path in pattern.folder.find() if os.path.isdir(path))
                look.files.extend((path, pattern.text) for path in sorted(pattern.find()) if _is_log(path))
            except TooMany:
                look.unseen[pattern.text] = f"{shown(pattern.text)} was not searched beyond {MAX_ENTRIES} names: make it narrower"
        return look

    def pattern_of(self, path: str) -> str | None:
        """Return the pattern that a file matches; None if it matches none, or is not there."""
        found = next((pattern.text for pattern in self._patterns if pattern.matches(path)), None)
        return found if found is not None and _is_log(path) else None

    def may_match(self, path: str) -> bool:
        """Tell whether a path that is gone is one of ours, by its name."""
        return path in self._links or any(pattern.matches(path) for pattern in self._patterns)

    def watch_directories(self, directories: Iterable[str]) -> None:
        """Watch these directories."""
        self.unwatched = {}
        for directory in directories:
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


def _is_log(path: str) -> bool:
    return not path.endswith(COMPRESSED) and os.path.isfile(path)


def shown(path: str) -> str:
    """Return a path as text that can be written as UTF-8: a file's name is bytes and need not be."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
