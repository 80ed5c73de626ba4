"""Patterns of paths, matched by walking the file system within bounds.

`*`, `?` and `[...]` stand for names as in a shell, `**` for any directories, none included; names that begin with a dot match
only what names the dot. Links to directories are followed, below `**` once by device and inode and after what is no link, so
that no loop of links is walked twice. Walking blocks: call it in a thread.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import stat
from collections.abc import Iterator
from functools import cached_property

MAX_ENTRIES = 200_000  # of directories, that are looked at for one pattern at once
_ANY = "**"
_Id = tuple[int, int]


class TooMany(Exception):
    """The bound was reached: not everything that may match was looked at."""


class Pattern:
    """One absolute pattern."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts = [part for part in text.split("/") if part]
        self._names = [re.compile(fnmatch.translate(part)) for part in self._parts]

    def matches(self, path: str) -> bool:
        """Tell whether a path is of this pattern, by its names alone."""
        return self._fits(0, [name for name in path.split("/") if name])

    def _fits(self, place: int, names: list[str]) -> bool:
        if place == len(self._parts):
            return not names
        if self._parts[place] == _ANY:
            hidden = next((number for number, name in enumerate(names) if name.startswith(".")), len(names))
            if place + 1 == len(self._parts):
                return 0 < hidden == len(names)
            return any(self._fits(place + 1, names[number:]) for number in range(hidden + 1))
        return bool(names) and self.fits_name(place, names[0]) and self._fits(place + 1, names[1:])

    def fits_name(self, place: int, name: str) -> bool:
        """Tell whether a name is of the part at that place."""
        is_shown = not name.startswith(".") or self._parts[place].startswith(".")
        return is_shown and self._names[place].match(name) is not None

    @cached_property
    def folder(self) -> Pattern:
        """The pattern of the directories in which a file may appear."""
        return Pattern(os.path.dirname(self.text) or "/")

    def find(self) -> Iterator[str]:
        """Yield the paths that match, whatever they are. Raises TooMany when the bound is reached."""
        yield from _Walk(self).at("/", 0)

    # -- for a walk

    @property
    def length(self) -> int:
        return len(self._parts)

    def is_any(self, place: int) -> bool:
        return self._parts[place] == _ANY

    def literal(self, place: int) -> str | None:
        """Return the name that this part is, None if it is a pattern."""
        return None if glob.has_magic(self._parts[place]) else self._parts[place]



class _Walk:
    """One walk over what may match. State: how much was looked at, and which directories below `**`."""

    def __init__(self, pattern: Pattern) -> None:
        self._pattern = pattern
        self._left = MAX_ENTRIES
        self._seen: set[tuple[_Id, int]] = set()

    def at(self, directory: str, place: int) -> Iterator[str]:
        """Yield what matches the parts from `place` on below a directory."""
        pattern = self._pattern
        if place == pattern.length:
            yield directory
        elif pattern.is_any(place):
            yield from self._below(directory, place)
        elif (name := pattern.literal(place)) is not None:
            path = os.path.join(directory, name)
            if os.path.lexists(path):
                yield from self.at(path, place + 1)
        else:
            for entry in self._entries(directory):
                if pattern.fits_name(place, entry.name) and (place + 1 == pattern.length or _is_directory(entry)):
                    yield from self.at(entry.path, place + 1)

    def _below(self, directory: str, place: int) -> Iterator[str]:
        """Yield what matches in a directory and in all below it."""
        waiting, links = [directory], list[str]()
        is_last = place + 1 == self._pattern.length
        while waiting or links:
            here = waiting.pop() if waiting else links.pop(0)
            try:
                status = os.stat(here)
            except OSError:
                continue
            known = (status.st_dev, status.st_ino), place
            if known in self._seen or not stat.S_ISDIR(status.st_mode):
                continue
            self._seen.add(known)
            yield from self.at(here, place + 1)
            for entry in self._entries(here):
                if entry.name.startswith("."):
                    continue
                if _is_directory(entry):
                    (links if entry.is_symlink() else waiting).append(entry.path)
                elif is_last:
                    yield entry.path

    def _entries(self, directory: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if self._left <= 0:
                        raise TooMany
                    self._left -= 1
                    yield entry
        except OSError:
            return  # gone, or not ours to read


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
