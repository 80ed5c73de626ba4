"""An append-only queue on disk between a receiver and everything that can fail.

Why: what ZeroMQ or a dead process held is gone, so a record is accepted only once it stands here, and it stays until the
recorder has acknowledged its sequence. After a crash the entries that are left are handed on again with the sequences,
and so the event ids, that they had before.

An entry is one batch (`entries.py`). Its `cursor` says where the receiver stood in its input after this batch (for a file
its offset), written in the same append, so that neither can be without the other. Entries stand in segments
(`segments.py`); how far they are acknowledged stands in the position (`position.py`).

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
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actors.context import Report
from actors.record_log import Batch, LogFull
from actors.spool.entries import HEAD_BYTES, Slot, decode_entry, pack_entry, whole_entries
from actors.spool.ordinals import Ordinals
from actors.spool.position import SpoolPosition, boot_id, path_of, read_position, store_position
from actors.spool.segments import Segments
from actors.spool.syncing import keep_synced
from actors.syncing import Fsync, sync_all
from protocol.messages import LEAP, SpoolAccount

SEGMENT_BYTES = 8 << 20

log = logging.getLogger(__name__)


class Spool:
    """The spool of one receiver, a `RecordLog`. One process has it open at a time."""

    def __init__(
        self, folder: Path, *, max_bytes: int, segment_bytes: int = SEGMENT_BYTES, fsync: Fsync = "interval"
    ) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.segments = Segments(folder, segment_bytes=min(segment_bytes, max_bytes // 4), fsync=fsync)
        self.slots: deque[Slot] = deque()  # every entry that is not acknowledged, in order of sequence
        self.cursors: dict[str, Any] = {}
        self.waiting = 0  # records that are not acknowledged
        self.torn = 0  # segments whose end was cut off at the last opening
        self.unusable = False  # `position` was damaged at the last opening
        self._new = False  # there was no position at the last opening
        self._forgot = False  # sequences may have been used of which nothing is left
        self._ordinals = Ordinals()
        self._nameless = False  # the tag does not stand on disk yet: nothing may be accepted under it
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._boot = boot_id()
        same_boot = self._load_position()
        self._load_segments()
        if self.torn or self._forgot or not same_boot:
            self._ordinals.pass_over(self.next + LEAP, LEAP)
            self.next += LEAP
            self._store_position()
        elif self._new and self.slots:
            self._store_position()
        self._close_gap()

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self.segments.bytes

    # -- opening

    def _load_position(self) -> bool:
        """Take up tag, acknowledged sequence and cursors; a spool without them is a new one with a tag of its own.

        Return whether the machine has not been started again since.
        """
        path = path_of(self.folder)
        self.tag, self.acknowledged, self.next = secrets.randbits(31) + 1, 0, 1
        try:
            position = read_position(path)
        except FileNotFoundError:
            self._new = self._nameless = True
            self._store_position()
            return True
        except ValueError as error:
            log.error("%s cannot be used (%s): what the spool holds is sent again under new ids", path, error)
            path.replace(path.with_suffix(".unusable"))
            self.unusable = self._new = self._nameless = True
            self._store_position()
            return True
        self.tag, self.acknowledged, self.cursors = position.tag, position.acknowledged, position.cursors
        self.next = max(self.acknowledged + 1, position.next)
        self._ordinals = Ordinals(position.passed, position.damaged)
        return position.boot == self._boot

    def _store_position(self) -> bool:
        """Write the position. A disk that refuses is said and no error: the segments know as much, and it can wait."""
        ordinals = self._ordinals
        position = SpoolPosition(
            self.tag, self.acknowledged, self.cursors, self.next, self._boot, ordinals.passed, ordinals.damaged
        )
        try:
            store_position(self.folder, position, self.segments.written, self.segments.folder_changed)
        except OSError as error:
            log.error("cannot write %s: %s", path_of(self.folder), error.strerror)
            return False
        self._nameless = False
        return True

    def _load_segments(self) -> None:
        last, known = self.acknowledged, self.next - 1
        for segment, raw in self.segments.stored():
            self.next = max(self.next, segment + 1)
            good, last = self._index(segment, raw, last, known)
            if good < len(raw):
                path = self.segments.path(segment)
                log.error("%s is damaged at byte %d; %d bytes are cut off", path, good, len(raw) - good)
                self.torn += 1
            self._forgot |= not good
            self.segments.adopt(segment, good, torn=good < len(raw))
        self._forgot |= not self.segments and not self._new
        self._ordinals.note_missing(last + 1, known + 1)
        if torn := self.next - 1 - max(last, known):  # a segment whose first entry was never whole
            self._ordinals.pass_over(self.next, torn)

    def _index(self, segment: int, raw: bytes, last: int, known: int) -> tuple[int, int]:
        """Put the whole entries of a segment into `slots`; return how many bytes they take, and the last sequence.

        `last` is the sequence before which nothing is missing. The position was written after the entry of sequence `known`:
        the cursors of that one and those before are in it, or were taken out of it again.
        """
        good = 0
        for offset, body in whole_entries(raw):
            entry = decode_entry(body)
            slot = Slot(entry.first, entry.count, segment, offset, len(body))
            if self._new and not last:  # how many came before is not known
                self._ordinals.pass_over(slot.first, slot.first - 1)
                last = slot.first - 1
            if slot.last > self.acknowledged:
                self.slots.append(slot)
                self.waiting += slot.count
                self._ordinals.note_missing(last + 1, slot.first)
            last = max(last, slot.last)
            if entry.cursor and slot.first > known:
                self.cursors.update(entry.cursor)
            self.next = max(self.next, slot.last + 1)
            good = offset + len(body)
        return good, last

    # -- accounts

    def ordinal(self, sequence: int) -> int:
        """Return how many records were accepted before the one of this sequence."""
        return self._ordinals.of(sequence)

    def account(self) -> SpoolAccount:
        """Return its side of the account with the store.

        It is unsure of itself until a record from after its last leap is stored: the store may hold what it forgot.
        """
        accepted, unsure = self.ordinal(self.next), self.acknowledged < self._ordinals.end_of_passed
        return SpoolAccount(self.tag, accepted, accepted - self.waiting, self._ordinals.damaged, unsure)

    # -- writing

    def append(self, batches: Sequence[Batch], cursor: dict[str, Any] | None = None) -> list[Slot]:
        """Write batches, the cursor with the last: all of them or, if it raises LogFull or OSError, none."""
        following, counts, packed = self.next, [], []
        for number, (records, count) in enumerate(batches, 1):
            packed.append(pack_entry(following, count, cursor if number == len(batches) else None, records))
            counts.append(count)
            following += count
        whole = b"".join(packed)
        if self.size + len(whole) > self.max_bytes:
            raise LogFull(f"{self.folder} holds {self.size} of {self.max_bytes} bytes")
        if self._nameless and not self._store_position():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path_of(self.folder)))
        segment, offset = self.segments.append(whole, self.next)
        try:
            self.segments.settle(len(whole))
        except OSError:
            self._abandon(following)
            raise
        slots = []
        for entry, count in zip(packed, counts, strict=True):
            slots.append(Slot(self.next, count, segment, offset + HEAD_BYTES, len(entry) - HEAD_BYTES))
            offset += len(entry)
            self.next += count
            self.waiting += count
        self.slots += slots
        if cursor:
            self.cursors.update(cursor)
        return slots

    def _abandon(self, following: int) -> None:
        """Give up an append that could not be forced to disk, its segment, and its sequences: it may be there all the same."""
        self.segments.abandon()
        self._ordinals.pass_over(following, following - self.next)
        self.next = following
        self._close_gap()
        self._store_position()

    def has_room(self) -> bool:
        """Tell whether the disk would take an entry now."""
        return self.segments.has_room()

    # -- reading

    def entries(self) -> Sequence[Slot]:
        """Return the entries that are not acknowledged, in order."""
        return tuple(self.slots)

    def read(self, entry: Slot) -> bytes:
        """Return the packed records of an entry."""
        records: bytes = decode_entry(self.segments.read(entry)).records
        return records

    async def keep(self, report: Report) -> None:
        """Force entries to disk once a second, and set a condition while the disk refuses; until cancelled."""
        await keep_synced(self, report)

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
        emptied = self.segments.emptied(self.slots[0].segment if self.slots else self.next)
        if emptied and not self._store_position():
            return  # what stands in them tells the next opening which sequences were used
        for segment in emptied:
            self.segments.delete(segment)

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
        if error := sync_all(self.segments.unsynced.take()):
            log.error("cannot force %s to disk: %s", self.folder, error.strerror)
        self.segments.close()
