"""The journal of an actor: its input since the last snapshot, on disk. Snapshot and journal give its state to the last batch.

An actor whose inputs the store does not keep cannot catch up from the store. So it appends each input to a journal before
it answers. A snapshot begins another file and names it; once the snapshot is written, the files before that one are
deleted. A restart takes up the snapshot and then the entries of the files from that one on. Whatever is killed in between,
the state is the one that the dead process had when it last answered.

A disk that refuses an entry ends the file: what came after the gap would be taken up wrongly. It is counted, and the next
snapshot begins anew; until then a death costs what was taken in since. Nothing is forced to disk: only a loss of power
takes what the kernel had not written.

State: a descriptor; on disk what comes between two snapshots, at most `MAX_BYTES` a file. Cost: one write a batch.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from actors.files import write_at
from protocol.packing import pack, unpack_entries

MAX_BYTES = 64 << 20

log = logging.getLogger(__name__)


class Journal:
    """The files `<name>.<number>.journal` of a folder. `turn` must be called before the first `append`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._number = max(self._files(), default=0)
        self._fd = -1
        self._size_bytes = 0
        self.failed_writes = 0  # files that a refused entry, or their size, has ended

    def _files(self) -> dict[int, Path]:
        """Return the files that there are, by number."""
        found = {}
        for path in self._folder.glob(f"{self._name}.*.journal"):
            number = path.name.split(".")[-2]
            if number.isascii() and number.isdecimal():
                found[int(number)] = path
        return found

    def read(self, number: int) -> Iterator[Any]:
        """Yield the entries from a file on, oldest first. A torn or damaged entry ends the reading."""
        for path in (path for at, path in sorted(self._files().items()) if at >= number):
            try:
                entries, good, fault = unpack_entries(path.read_bytes())
            except OSError as error:
                log.error("cannot read the journal %s: %s", path, error)
                return
            yield from entries
            if fault:
                log.warning("the journal %s ends at byte %d: %s", path, good, fault)
                return

    def turn(self) -> int:
        """Begin another file and return its number: a snapshot of this moment holds everything before it."""
        self.close()
        self._number += 1
        self._size_bytes = 0
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            self._fd = os.open(self._folder / f"{self._name}.{self._number}.journal", flags, 0o600)
        except OSError as error:
            self._give_up(error)
        return self._number

    def append(self, entry: Any) -> None:
        """Write an entry; on a disk that refuses it the file ends here."""
        if self._fd < 0:
            return
        packed = pack(entry)
        try:
            if self._size_bytes + len(packed) > MAX_BYTES:
                raise OSError(f"more than {MAX_BYTES} bytes since the last snapshot")
            write_at(self._fd, packed, self._size_bytes)
        except OSError as error:
            self._give_up(error)
            return
        self._size_bytes += len(packed)

    def _give_up(self, error: OSError) -> None:
        log.error("cannot write the journal %s: %s; the next snapshot begins another", self._name, error)
        self.failed_writes += 1
        self.close()

    def forget(self, number: int) -> None:
        """Delete the files before one: a snapshot that is on disk holds what they do."""
        for at, path in self._files().items():
            if at < number:
                with suppress(OSError):
                    path.unlink()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
