"""Templates on disk: an append-only journal of births and changes, so that a template's id means the same for life.

A change is written before any event that names the template leaves the parser; so whatever is killed when, no id is given
twice. At the start the journal is read and written anew without its history. A torn entry at the end is cut off: no
event can name what it held.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actors.files import write_whole
from actors.syncing import Fsync, Unsynced, sync_all, sync_folder
from protocol.packing import pack, unpack_entries

log = logging.getLogger(__name__)

MAX_BYTES = 32 << 20  # of history; then it is time to write it anew


class TemplateJournal:
    """One entry is a list of changes, as `Drain.take_changes` returns them.

    What cannot be read may have given out ids, at most one a byte: `lost_bytes` is how many to leap over.
    """

    def __init__(self, path: Path, fsync: Fsync = "interval") -> None:
        self._path = path
        self._always = fsync == "always"
        self.unsynced = Unsynced()
        self._fd = -1
        self.size_bytes = 0
        self._begun_bytes = 0
        self.lost_bytes = 0  # that could not be read

    def read(self) -> list[Any]:
        """Return every change that was written, oldest first."""
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return []
        entries, good, fault = unpack_entries(raw)
        if fault:
            log.error("the journal %s is damaged at byte %d of %d: %s", self._path, good, len(raw), fault)
        self.lost_bytes = len(raw) - good
        changes: list[Any] = []
        for entry in entries:
            if not isinstance(entry, list):
                log.error("the journal %s holds what is no list of changes; the rest is left out", self._path)
                self.lost_bytes = len(raw)
                break
            changes += entry
        return changes

    def begin(self, changes: Sequence[Any]) -> None:
        """Write the journal anew with these changes, and append from here on."""
        packed = pack(changes)
        write_whole(self._path, packed)
        sync_folder(self._path.parent)
        self.close()
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        self.size_bytes = self._begun_bytes = len(packed)

    def append(self, changes: Sequence[Any]) -> None:
        """Write changes; raises OSError as the disk does, and then the journal is as it was before."""
        packed = pack(changes)
        if os.pwrite(self._fd, packed, self.size_bytes) < len(packed):
            os.ftruncate(self._fd, self.size_bytes)  # or its rest would stand behind the next, shorter entry
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        if self._always:
            os.fdatasync(self._fd)
        else:
            self.unsynced.add("", self._fd)
        self.size_bytes += len(packed)

    @property
    def is_long(self) -> bool:
        """Tell whether writing it anew would make it much shorter."""
        return self.size_bytes > self._begun_bytes + MAX_BYTES

    def close(self) -> None:
        if error := sync_all(self.unsynced.take()):
            log.error("cannot force the journal %s to disk: %s", self._path, error.strerror)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def births(snapshot: dict[str, Any]) -> list[Any]:
    """Return the changes that make a Drain what its snapshot says, with the highest id that was ever given."""
    changes = [(number, tokens, path) for number, tokens, path in snapshot["templates"]]
    last = snapshot["next_id"] - 1
    if last > 0 and all(number != last for number, _, _ in changes):
        changes.append((last, None, []))
    return changes
