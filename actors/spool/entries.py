"""The content of a segment: entries one after another, each one batch. Pure.

An entry is length (u32), CRC-32 (u32), then msgpack of first sequence, count, cursor and packed records. The records are
stored exactly as they go over the wire. A crash leaves a torn entry at the end of a segment; it was never accepted.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import msgspec

HEAD_BYTES = 8


class SpoolEntry(msgspec.Struct, array_like=True, frozen=True):
    """One batch as it stands on disk."""

    first: int
    count: int
    cursor: dict[str, Any] | None
    records: bytes  # one msgpack array of `Record`


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


decode_entry = msgspec.msgpack.Decoder(SpoolEntry).decode
_encode = msgspec.msgpack.Encoder().encode


def pack_entry(first: int, count: int, cursor: dict[str, Any] | None, records: bytes) -> bytes:
    """Return an entry as it goes to disk."""
    body = _encode(SpoolEntry(first, count, cursor, records))
    return len(body).to_bytes(4) + zlib.crc32(body).to_bytes(4) + body


def whole_entries(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield offset and body of each whole entry at the start of a segment, up to the first that is torn or damaged."""
    offset = 0
    while offset + HEAD_BYTES <= len(raw):
        length, checksum = int.from_bytes(raw[offset : offset + 4]), int.from_bytes(raw[offset + 4 : offset + 8])
        body = raw[offset + HEAD_BYTES : offset + HEAD_BYTES + length]
        if not length or len(body) < length or zlib.crc32(body) != checksum:
            return
        yield offset + HEAD_BYTES, body
        offset += HEAD_BYTES + length
