"""A log in memory: the smallest thing that fulfils `actors.record_log.RecordLog`. It proves that the suite is of the seam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import trio

from actors.context import Report
from actors.record_log import Batch, LogFull
from protocol.messages import SpoolAccount

MAX_BYTES = 1_000


class MemoryEntry(msgspec.Struct, frozen=True):
    first: int
    count: int
    records: bytes

    @property
    def last(self) -> int:
        return self.first + self.count - 1


class MemoryLog:
    def __init__(self) -> None:
        self.tag = 7
        self.acknowledged = 0
        self.next = 1
        self.cursors: dict[str, Any] = {}
        self._entries: list[MemoryEntry] = []

    @property
    def waiting(self) -> int:
        return sum(entry.count for entry in self._entries)

    @property
    def size(self) -> int:
        return sum(len(entry.records) for entry in self._entries)

    def append(self, batches: Sequence[Batch], cursor: dict[str, Any] | None = None) -> list[MemoryEntry]:
        if self._entries and self.size + sum(len(records) for records, _ in batches) > MAX_BYTES:
            raise LogFull
        made = []
        for records, count in batches:
            made.append(MemoryEntry(self.next, count, records))
            self.next += count
        self._entries += made
        self.cursors.update(cursor or {})
        return made

    def entries(self) -> Sequence[MemoryEntry]:
        return tuple(self._entries)

    def read(self, entry: MemoryEntry) -> bytes:
        return entry.records

    def acknowledge(self, sequence: int) -> None:
        self.acknowledged = max(self.acknowledged, sequence)
        self._entries = [entry for entry in self._entries if entry.last > self.acknowledged]

    def set_cursors(self, cursors: dict[str, Any]) -> None:
        self.cursors = cursors

    def ordinal(self, sequence: int) -> int:
        return sequence - 1

    def account(self) -> SpoolAccount:
        return SpoolAccount(self.tag, self.next - 1, self.next - 1 - self.waiting)

    def has_room(self) -> bool:
        return True

    async def keep(self, report: Report) -> None:
        await trio.sleep_forever()

    def close(self) -> None:
        pass
