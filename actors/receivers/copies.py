"""New files that are copies of those that are read: what copytruncate makes beside them, if a pattern matches its name too.

A file whose name is that of another with a number, a date or the like, that begins as the other does, and has the bytes that
were read last of it in the same place, is a copy: it is read on from there, so that nothing of it comes twice. While it is still
being copied it waits. A file is known by its first bytes and by those before each of the offsets to which it was read lately, and
once it was cut, by those from before that.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import trio

from actors.receivers.tailing import Tail
from actors.receivers.tails import Tails

WAIT_S = 2.0  # a copy that does not grow for so long is whole
_ADDED = re.compile(r"[._-]?(?:\d[\d._T-]{0,32}|copy|old|bak|orig|save)")
MIN_KNOWN = 16  # bytes; files of which fewer were read may be alike by chance


class Copies:
    """State: which new files may be copies, and since when they have not grown."""

    def __init__(self, tails: Tails) -> None:
        self._tails = tails
        self._new: dict[str, tuple[int, float]] = {}  # {key: size, and since when}

    def add(self, tail: Tail) -> None:
        """Note a file that was never seen before and is to be read from its beginning."""
        self._new[tail.key] = (-1, 0.0)

    def waiting(self) -> list[Tail]:
        """Return the files of which it is not yet known."""
        return [tail for key in list(self._new) if (tail := self._tails.by_key(key)) is not None]

    def is_waiting(self, tail: Tail) -> bool:
        return tail.key in self._new

    def may_read(self, tail: Tail) -> bool:
        """Tell whether a file may be read now; a copy from where the other was read to."""
        if tail.key not in self._new:
            return True
        size = tail.size()
        if size == 0:
            return True  # nothing is there to read
        known = [marks for begin, marks in self._others(tail) if tail.begins_as(begin, size)]
        ends = [end for marks in known for end, before in marks if tail.stands_before(before, end) and end <= size]
        is_whole = self._is_whole(tail.key, size)
        if known and not is_whole and size < max(end for marks in known for end, _ in marks):
            return False
        if ends:
            tail.begin_at(max(ends))
        del self._new[tail.key]
        return True

    def _others(self, tail: Tail) -> Iterator[tuple[bytes, list[tuple[int, bytes]]]]:
        for path, other in self._tails.open.items():
            if is_name_of_copy(tail.path, path):
                yield from (each for each in other.identities() if len(each[0]) >= MIN_KNOWN and each[1])

    def _is_whole(self, key: str, size: int) -> bool:
        now_s = trio.current_time()
        before, since_s = self._new[key]
        if before != size:
            self._new[key] = (size, now_s)
            return False
        return now_s - since_s >= WAIT_S

    def forget(self, key: str) -> None:
        self._new.pop(key, None)


def is_name_of_copy(path: str, other: str) -> bool:
    """Tell whether a path is named as the copy of another is: `a.log.1`, `a.log-20261130`, `a-20261130.log`, `a.log.old`."""
    folder, name = os.path.split(path)
    other_folder, other_name = os.path.split(other)
    stem, extension = os.path.splitext(other_name)
    if folder != other_folder or name == other_name:
        return False
    if name.startswith(other_name):
        return _ADDED.fullmatch(name, len(other_name)) is not None
    between = name[len(stem) : len(name) - len(extension)]
    return name.startswith(stem) and name.endswith(extension) and _ADDED.fullmatch(between) is not None
