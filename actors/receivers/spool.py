"""An append-only queue on disk between a receiver and everything that can fail.

Why: what ZeroMQ or a dead process held is gone, so a record is accepted only once it stands here, and it stays until the
recorder has acknowledged its sequence. After a crash the entries that are left are handed on again with the sequences,
and so the event ids, that they had before.

An entry is one batch: length (u32), CRC-32 (u32), then msgpack of first sequence, count, cursor and packed records. The
records are stored exactly as they go over the wire. `cursor` says where the receiver stood in its input after this
batch (for a file its offset), written in the same append, so that neither can be without the other. A torn entry
at the end of a segment is what a crash leaves; it was never accepted, and it is cut off.

What it promises: an entry that `append` returned from survives the death of any process, and with `fsync = "always"` the
loss of power. With `interval` that may take what was not yet forced to disk, which `unsynced` knows. A disk may damage an
entry; what lies behind it in its segment is then lost, and said to be. The recorder may have committed some of what was
lost, under sequences that this spool would now give away again, and it would ignore the new records as known. So after
damage, after every boot of the machine, and where a segment is empty or none is left (someone may have deleted it), the
spool leaps over sequences that nobody can have used. A gap in the sequences is closed by acknowledgement: once all before
it is acknowledged, so is the gap.

Bound: `max_bytes` on disk. In memory an entry is an index of about 200 bytes; payloads are read back when they are sent.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import zlib
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from actors.files import write_at, write_over
from actors.receivers.ordinals import Ordinals
from actors.syncing import Fsync, Unsynced, sync_all, sync_folder
from protocol.messages import LEAP
from protocol.packing import PackingError, pack, unpack

_HEAD = 8
_PROBE_BYTES = 4_096  # a block
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
SEGMENT_BYTES = 8 << 20


class SpoolEntry(msgspec.Struct, array_like=True, frozen=True):
    """One batch as it stands on disk."""

    first: int
    count: int
    cursor: dict[str, Any] | None
    records: bytes  # one msgpack array of `Record`


class SpoolPosition(msgspec.Struct, frozen=True):
    """The spool as its `position` file has it: not always the newest, the segments know better."""

    tag: int
    acknowledged: int
    cursors: dict[str, Any]
    next: int = 1
    boot: str = ""  # of the machine, when this was written
    passed: list[tuple[int, int]] = []  # see `Ordinals`
    damaged: int = 0


class Slot(msgspec.Struct, frozen=True, gc=False):
    """Where an entry is."""

    first: int
    count: int
    segment: int  # sequence that names the file
    offset: int  # of the entry's body
    length: int

    @property
    def last(self) -> int:
        return self.first + self.count - 1


class SpoolFull(Exception):
    """The spool has reached its bound in bytes."""


log = logging.getLogger(__name__)

_decode = msgspec.msgpack.Decoder(SpoolEntry).decode
_encode = msgspec.msgpack.Encoder().encode


class Spool:
    """The spool of one receiver. One process has it open at a time.

    `slots` holds every entry that is not acknowledged, in order of sequence. `cursors` is the newest cursor by key.
    """

    def __init__(
        self, folder: Path, *, max_bytes: int, segment_bytes: int = SEGMENT_BYTES, fsync: Fsync = "interval"
    ) -> None:
        self.folder = folder
        self.unsynced = Unsynced()
        self._always = fsync == "always"
        self.max_bytes = max_bytes
        self.segment_bytes = min(segment_bytes, max_bytes // 4)  # one that is not full is not deleted
        self.slots: deque[Slot] = deque()
        self.cursors: dict[str, Any] = {}
        self.bytes = 0
        self.waiting = 0  # records that are not acknowledged
        self.torn = 0  # segments whose end was cut off at the last opening
        self.unusable = False  # `position` was damaged at the last opening
        self._new = False  # there was no position at the last opening
        self._forgot = False  # sequences may have been used of which nothing is left
        self._ordinals = Ordinals()
        self._nameless = False  # the tag does not stand on disk yet: nothing may be accepted under it
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._sizes: dict[int, int] = {}  # {segment: bytes}
        self._boot = _boot_id()
        same_boot = self._load_position()
        self._load_segments()
        if self.torn or self._forgot or not same_boot:
            self._ordinals.pass_over(self.next + LEAP, LEAP)
            self.next += LEAP
            self._store_position()
        elif self._new and self.slots:
            self._store_position()
        self._close_gap()
        self._write_fd = -1
        self._write_segment = 0
        self._read_fds: dict[int, int] = {}

    # -- opening

    def _load_position(self) -> bool:
        """Take up tag, acknowledged sequence and cursors; a spool without them is a new one with a tag of its own.

        Return whether the machine has not been started again since.
        """
        position = self.folder / "position"
        self.tag, self.acknowledged, self.next = secrets.randbits(31) + 1, 0, 1
        try:
            state = msgspec.convert(unpack(position.read_bytes()), SpoolPosition)
        except FileNotFoundError:
            self._new = self._nameless = True
            self._store_position()
            return True
        except (PackingError, msgspec.ValidationError) as error:
            log.error("%s cannot be used (%s): what the spool holds is sent again under new ids", position, error)
            position.replace(position.with_suffix(".unusable"))
            self.unusable = self._new = self._nameless = True
            self._store_position()
            return True
        self.tag, self.acknowledged, self.cursors = state.tag, state.acknowledged, state.cursors
        self.next = max(self.acknowledged + 1, state.next)
        self._ordinals = Ordinals(state.passed, state.damaged)
        return state.boot == self._boot

    def _store_position(self) -> bool:
        """Write the position aside and move it into place; on a full disk, over the old one, for that makes room.

        A disk that refuses both is told and no error: the segments know as much, and it can wait.
        """
        position, aside = self.folder / "position", self.folder / "position.new"
        state = SpoolPosition(
            self.tag,
            self.acknowledged,
            self.cursors,
            self.next,
            self._boot,
            self._ordinals.passed,
            self._ordinals.damaged,
        )
        content = pack(msgspec.to_builtins(state, builtin_types=(bytes,)))
        try:
            self._write_aside(aside, content)
            aside.replace(position)
            self._folder_changed()
        except OSError:
            try:
                aside.unlink(missing_ok=True)
                write_over(position, content)
            except OSError as error:
                log.error("cannot write %s: %s", position, error.strerror)
                return False
        self._nameless = False
        return True

    def _write_aside(self, path: Path, content: bytes) -> None:
        with open(path, "wb") as file:
            file.write(content)
            file.flush()
            self._written("position", file.fileno())

    def _load_segments(self) -> None:
        last, known = self.acknowledged, self.next - 1
        for path in sorted(self.folder.glob("*.segment")):
            if not path.stem.isdecimal():
                continue
            self.next = max(self.next, int(path.stem) + 1)
            raw = path.read_bytes()
            good, last = self._index(int(path.stem), raw, last)
            if good < len(raw):
                log.error("%s is damaged at byte %d; %d bytes are cut off", path, good, len(raw) - good)
                self.torn += 1
                os.truncate(path, good)
            self._forgot |= not good
            self._sizes[int(path.stem)] = good
            self.bytes += good
        self._forgot |= not self._sizes and not self._new
        self._ordinals.note_missing(last + 1, known + 1)
        if torn := self.next - 1 - max(last, known):  # a segment whose first entry was never whole
            self._ordinals.pass_over(self.next, torn)

    def ordinal(self, sequence: int) -> int:
        """Return how many records were accepted before the one of this sequence."""
        return self._ordinals.of(sequence)

    @property
    def damaged(self) -> int:
        """Records that were accepted and then lost to damage, ever."""
        return self._ordinals.damaged

    @property
    def is_unsure(self) -> bool:
        """Tell whether the store may hold records that this spool forgot: until one from after the last leap is stored."""
        return self.acknowledged < self._ordinals.end_of_passed

    @property
    def accepted(self) -> int:
        """Records ever accepted, without those that were damaged."""
        return self.ordinal(self.next)

    def _index(self, segment: int, raw: bytes, last: int) -> tuple[int, int]:
        """Put the whole entries of a segment into `slots`; return how many bytes they take, and the last sequence.

        `last` is the sequence before which nothing is missing.
        """
        offset = 0
        while offset + _HEAD <= len(raw):
            length, checksum = int.from_bytes(raw[offset : offset + 4]), int.from_bytes(raw[offset + 4 : offset + 8])
            body = raw[offset + _HEAD : offset + _HEAD + length]
            if len(body) < length or zlib.crc32(body) != checksum:
                break
            entry = _decode(body)
            if self._new and not last:  # how many came before is not known
                self._ordinals.pass_over(entry.first, entry.first - 1)
                last = entry.first - 1
            if entry.first + entry.count - 1 > self.acknowledged:
                self.slots.append(Slot(entry.first, entry.count, segment, offset + _HEAD, length))
                self.waiting += entry.count
                self._ordinals.note_missing(last + 1, entry.first)
            last = max(last, entry.first + entry.count - 1)
            if entry.cursor:
                self.cursors.update(entry.cursor)
            self.next = max(self.next, entry.first + entry.count)
            offset += _HEAD + length
        return offset, last

    # -- writing

    def append(self, records: bytes, count: int, cursor: dict[str, Any] | None = None) -> Slot:
        """Write one batch and return where it is. Raises SpoolFull, or OSError as the disk does: then nothing changed."""
        return self.append_all([(records, count)], cursor)[0]

    def append_all(self, batches: Sequence[tuple[bytes, int]], cursor: dict[str, Any] | None = None) -> list[Slot]:
        """Write batches, each packed records and their count, the cursor with the last: all of them or, if it raises, none."""
        first, entries = self.next, []
        for number, (records, count) in enumerate(batches, 1):
            body = _encode(SpoolEntry(first, count, cursor if number == len(batches) else None, records))
            entries.append((first, count, len(body).to_bytes(4) + zlib.crc32(body).to_bytes(4) + body))
            first += count
        whole = b"".join([entry for _, _, entry in entries])
        if self.bytes + len(whole) > self.max_bytes:
            raise SpoolFull(f"{self.folder} holds {self.bytes} of {self.max_bytes} bytes")
        if self._nameless and not self._store_position():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder / "position"))
        fd = self._segment_for_writing()
        offset = self._sizes[self._write_segment]
        write_at(fd, whole, offset)
        try:
            self._written(str(self._write_segment), fd)
        except OSError:
            self._abandon(offset, first)
            raise
        self._sizes[self._write_segment] = offset + len(whole)
        self.bytes += len(whole)
        slots = []
        for sequence, count, entry in entries:
            slots.append(Slot(sequence, count, self._write_segment, offset + _HEAD, len(entry) - _HEAD))
            offset += len(entry)
            self.waiting += count
        self.slots += slots
        self.next = first
        if cursor:
            self.cursors.update(cursor)
        return slots

    def _segment_for_writing(self) -> int:
        if self._write_fd < 0 or self._sizes[self._write_segment] >= self.segment_bytes:
            fd = os.open(self._path(self.next), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._folder_changed()
            except OSError:
                os.close(fd)
                raise
            if self._write_fd >= 0:
                os.close(self._write_fd)
            self._write_fd, self._write_segment = fd, self.next
            self._sizes.setdefault(self.next, 0)
        return self._write_fd

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

    def begin_segment(self) -> None:
        """Write to the segment of now no more."""
        if self._write_fd >= 0:
            os.close(self._write_fd)
            self._write_fd = -1

    def _written(self, name: str, fd: int) -> None:
        """Force a file to disk, or note that it has to be. Raises OSError."""
        if self._always:
            os.fdatasync(fd)
        else:
            self.unsynced.add(name, fd)

    def _folder_changed(self) -> None:
        if self._always:
            sync_folder(self.folder)
        else:
            fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self.unsynced.add("", fd)
            os.close(fd)

    def _abandon(self, end: int, following: int) -> None:
        """Give up what could not be forced to disk, its segment from here on, and its sequences: it may be there all the same."""
        with suppress(OSError):
            os.ftruncate(self._write_fd, end)
        self.begin_segment()
        self._ordinals.pass_over(following, following - self.next)
        self.next = following
        self._close_gap()
        self._store_position()

    # -- reading

    def read(self, slot: Slot) -> bytes:
        """Return the packed records of an entry."""
        fd = self._read_fds.get(slot.segment)
        if fd is None:
            fd = self._read_fds[slot.segment] = os.open(self._path(slot.segment), os.O_RDONLY | os.O_CLOEXEC)
        records: bytes = _decode(os.pread(fd, slot.length, slot.offset)).records
        return records

    # -- forgetting

    def acknowledge(self, sequence: int) -> None:
        """Forget every entry up to `sequence`; delete the segments that hold nothing else."""
        if sequence <= self.acknowledged:
            return
        if sequence >= self.next:
            self._overtake(sequence)
        self.acknowledged = min(sequence, self.next - 1)
        while self.slots and self.slots[0].last <= self.acknowledged:
            self.waiting -= self.slots.popleft().count
        self._close_gap()
        if self._write_fd >= 0 and self._sizes[self._write_segment] >= self.segment_bytes:
            os.close(self._write_fd)  # it is full: nothing more is written there, and it may go like the others
            self._write_fd = -1
        oldest = self.slots[0].segment if self.slots else self.next
        writing = self._write_segment if self._write_fd >= 0 else -1
        emptied = [segment for segment in self._sizes if segment < oldest and segment != writing]
        if emptied and not self._store_position():
            return  # what stands in them tells the next opening which sequences were used
        for segment in emptied:
            self._path(segment).unlink(missing_ok=True)
            self.unsynced.forget(str(segment))
            self.bytes -= self._sizes.pop(segment)
            if (fd := self._read_fds.pop(segment, None)) is not None:
                os.close(fd)

    def _overtake(self, sequence: int) -> None:
        """Leap beyond a sequence that the store knows and this spool never gave out, for it is an older copy of itself.

        What has been sent under such sequences the store took for known; what comes from now on it will not.
        """
        log.error("%s is older than the store, which knows %d where %d comes next: it leaps", self.folder, sequence, self.next)
        beyond = sequence + 1 + LEAP
        self._ordinals.pass_over(beyond, beyond - self.next)
        self.next = beyond
        self._store_position()

    def _close_gap(self) -> None:
        """Take a gap in the sequences for acknowledged once everything before it is."""
        first = self.slots[0].first if self.slots else self.next
        self.acknowledged = max(self.acknowledged, first - 1)

    def set_cursors(self, cursors: dict[str, Any]) -> None:
        """Put these cursors in the place of all others, on disk too."""
        self.cursors = cursors
        self._store_position()

    def close(self) -> None:
        """Write down the position, so that the next opening has little to read."""
        self._store_position()
        if error := sync_all(self.unsynced.take()):
            log.error("cannot force %s to disk: %s", self.folder, error.strerror)
        for fd in (self._write_fd, *self._read_fds.values()):
            if fd >= 0:
                os.close(fd)
        self._write_fd = -1
        self._read_fds.clear()

    def _path(self, segment: int) -> Path:
        return self.folder / f"{segment:016d}.segment"


def _boot_id() -> str:
    """Return what the kernel calls its present run; "" where it does not say."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
