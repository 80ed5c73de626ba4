"""The files that a receiver has open: under which path, which were renamed away, which have more than was read in their turn.

A file is known by device and inode. One that takes the place of another is read only when the other is read to its end: their
lines belong together, and come in their order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from actors.receivers.tailing import Tail


class Tails:
    """State: at most so many open files as the receiver opens, a few numbers of each."""

    def __init__(self) -> None:
        self.open: dict[str, Tail] = {}  # {path: file}
        self.retired: dict[str, Tail] = {}  # {key: file that was renamed away or deleted, and may still be written to}
        self._behind: dict[str, None] = {}  # keys of files that have more than was read, who waits longest first
        self._newest: dict[str, str] = {}  # {path: key of the file that stood there last}
        self._before: dict[str, str] = {}  # {key: key of the file whose place it took, and which is read first}

    def __len__(self) -> int:
        return len(self.open)

    def all(self) -> Iterator[Tail]:
        yield from self.open.values()
        yield from self.retired.values()

    def by_key(self, key: str) -> Tail | None:
        retired = self.retired.get(key)
        return retired or next((tail for tail in self.open.values() if tail.key == key), None)

    def adopt(self, key: str, path: str) -> bool:
        """Tell whether this very file is open; if it was renamed to `path`, go on with it under that name."""
        tail = self.retired.pop(key, None)
        if tail is None:
            old = next((old for old, tail in self.open.items() if tail.key == key), None)
            if old is None:
                return False
            if stands_at(old, self.open[old]):
                return True  # two names of one file
            tail = self.open.pop(old)
        tail.path = path
        self.open[path] = tail
        return True

    def retire(self, tail: Tail) -> None:
        """Keep a file that stands under no path of ours any more."""
        self.retired[tail.key] = tail

    def takes_place(self, path: str, tail: Tail) -> None:
        """Note that a file stands at a path now, or did for a moment."""
        before = self._newest.get(path)
        if before is not None and before != tail.key and self.by_key(before) is not None:
            self._before[tail.key] = before
        self._newest[path] = tail.key

    def close(self, key: str) -> None:
        """Close a file that was renamed away."""
        self.retired.pop(key).close()
        self.caught_up(key)
        self._before.pop(key, None)
        self._newest = {path: newest for path, newest in self._newest.items() if newest != key}

    def close_all(self) -> None:
        for tail in self.all():
            tail.close()

    # -- turns

    def falls_behind(self, key: str) -> None:
        """Note that a file has more than was read in its turn: the next one is behind those of the others."""
        self._behind.pop(key, None)
        self._behind[key] = None

    def caught_up(self, key: str) -> None:
        self._behind.pop(key, None)

    def is_behind(self, key: str) -> bool:
        return key in self._behind

    def next_behind(self) -> Tail | None:
        """Return the file that waits longest for its next turn; None if all are read to their end."""
        for key in list(self._behind):
            if (tail := self.by_key(key)) is not None:
                return tail
            del self._behind[key]
        return None

    def predecessor(self, tail: Tail) -> str | None:
        """Return the key of the file whose place this one took, once that is read to its end: it is asked for once."""
        before = self._before.get(tail.key)
        return None if before is None or before in self._behind else self._before.pop(tail.key)

    def has_to_wait(self, tail: Tail) -> bool:
        """Tell whether the file whose place this one took is not yet read to its end."""
        return self._before.get(tail.key) in self._behind


def stands_at(path: str, tail: Tail) -> bool:
    try:
        status = os.stat(path)
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (tail.device, tail.inode)


def find_renamed(cursor: Mapping[str, Any]) -> Tail | None:
    """Return the file of a cursor under the name that it has now, in the directory where it was.

    None if it is not there. Raises OSError if that cannot be told, or the file not be read.
    """
    with os.scandir(os.path.dirname(os.fsdecode(cursor["path"]))) as entries:
        for entry in entries:
            if entry.is_file() and entry.inode() == cursor["inode"]:
                return Tail(entry.path, dict(cursor), from_start=False)
    return None
