"""The files of a spool: append-only segments, each named by the first sequence that it may hold.

State: the size of each segment, a descriptor of the one that is written and of those that are read, and what is not yet
forced to disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from actors.files import write_at
from actors.spool.entries import Slot
from actors.syncing import Fsync, Unsynced, sync_folder

_PROBE_BYTES = 4_096  # a block


def segments_in(folder: Path) -> list[Path]:
    """Return the segments of a spool, oldest first."""
    return sorted(path for path in folder.glob("*.segment") if path.stem.isdecimal())


class Segments:
    """See the module. Sequences are the spool's business; here they are names of files."""

    def __init__(self, folder: Path, *, segment_bytes: int, fsync: Fsync) -> None:
        self.folder = folder
        self.segment_bytes = segment_bytes  # one of this size is full
        self.unsynced = Unsynced()
        self.bytes = 0
        self._always = fsync == "always"
        self._sizes: dict[int, int] = {}  # {segment: bytes}
        self._write_fd = -1
        self._writing = 0  # segment of `_write_fd`
        self._read_fds: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._sizes)

    # -- opening

    def stored(self) -> Iterator[tuple[int, bytes]]:
        """Yield name and content of each segment on disk, oldest first."""
        for path in segments_in(self.folder):
            yield int(path.stem), path.read_bytes()

    def adopt(self, segment: int, size: int, *, torn: bool) -> None:
        """Take a segment that stands on disk for ours; one whose end is torn is cut off behind `size` bytes."""
        if torn:
            os.truncate(self.path(segment), size)
        self._sizes[segment] = size
        self.bytes += size

    def path(self, segment: int) -> Path:
        return self.folder / f"{segment:016d}.segment"

    # -- writing

    def append(self, content: bytes, next_sequence: int) -> tuple[int, int]:
        """Write behind all that is there; return segment and offset. Raises OSError: then `abandon` or try again.

        A new segment is begun under `next_sequence` where none is being written, or that one is full.
        """
        fd = self._for_writing(next_sequence)
        offset = self._sizes[self._writing]
        write_at(fd, content, offset)
        return self._writing, offset

    def settle(self, size: int) -> None:
        """Force the last append to disk, or note that it has to be, and count it. Raises OSError."""
        self.written(str(self._writing), self._write_fd)
        self._sizes[self._writing] += size
        self.bytes += size

    def _for_writing(self, next_sequence: int) -> int:
        if self._write_fd < 0 or self._sizes[self._writing] >= self.segment_bytes:
            fd = os.open(self.path(next_sequence), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self.folder_changed()
            except OSError:
                os.close(fd)
                raise
            self.begin()
            self._write_fd, self._writing = fd, next_sequence
            self._sizes.setdefault(next_sequence, 0)
        return self._write_fd

    def begin(self) -> None:
        """Write to the present segment no more."""
        if self._write_fd >= 0:
            os.close(self._write_fd)
            self._write_fd = -1

    def abandon(self) -> None:
        """Cut off an append that could not be forced to disk, and write to that segment no more."""
        with suppress(OSError):
            os.ftruncate(self._write_fd, self._sizes[self._writing])
        self.begin()

    def written(self, name: str, fd: int) -> None:
        """Force a file to disk, or note that it has to be. Raises OSError."""
        if self._always:
            os.fdatasync(fd)
        else:
            self.unsynced.add(name, fd)

    def folder_changed(self) -> None:
        """Force the folder to disk, or note that it has to be. Raises OSError."""
        if self._always:
            sync_folder(self.folder)
        else:
            fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self.unsynced.add("", fd)
            os.close(fd)

    def has_room(self) -> bool:
        """Tell whether the disk would take an entry now, by a file that is deleted at once."""
        probe = self.folder / "room"
        try:
            probe.write_bytes(bytes(_PROBE_BYTES))
        except OSError:
            return False
        finally:
            probe.unlink(missing_ok=True)
        return True

    # -- reading and deleting

    def read(self, slot: Slot) -> bytes:
        """Return the body of an entry."""
        fd = self._read_fds.get(slot.segment)
        if fd is None:
            fd = self._read_fds[slot.segment] = os.open(self.path(slot.segment), os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(fd, slot.length, slot.offset)

    def emptied(self, oldest: int) -> list[int]:
        """Return the segments that hold nothing from the segment `oldest` on; the one that is written only if it is full."""
        if self._write_fd >= 0 and self._sizes[self._writing] >= self.segment_bytes:
            self.begin()  # it is full: nothing more is written there, and it may go like the others
        writing = self._writing if self._write_fd >= 0 else -1
        return [segment for segment in self._sizes if segment < oldest and segment != writing]

    def delete(self, segment: int) -> None:
        self.path(segment).unlink(missing_ok=True)
        self.unsynced.forget(str(segment))
        self.bytes -= self._sizes.pop(segment)
        if (fd := self._read_fds.pop(segment, None)) is not None:
            os.close(fd)

    def close(self) -> None:
        self.begin()
        for fd in self._read_fds.values():
            os.close(fd)
        self._read_fds.clear()
