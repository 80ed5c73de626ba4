"""Messages of protobuf told apart without being read: where the fields of a message are. Pure.

A parser makes objects of everything at once, and 16 MiB may hold eight million messages of two bytes: 16 KiB of gzip then
cost a gigabyte and half a minute. Walking tells how many there are before anything is made of them.

Source: protobuf, Encoding: a field is a varint tag (number << 3 | wire type) and what the wire type says. Groups, which
proto3 does not have, are refused.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BITS = 63

Span = tuple[int, int]


class WireError(ValueError):
    """Bytes that are no protobuf message."""


def submessages(raw: bytes, span: Span) -> Iterator[tuple[int, Span]]:
    """Yield number and place of every field of a message that may be a message itself. Raises WireError."""
    place, end = span
    while place < end:
        tag, place = _varint(raw, place, end)
        kind = tag & 7
        if kind == _BYTES:
            length, place = _varint(raw, place, end)
            if length > end - place:
                raise WireError("a field reaches beyond its message")
            yield tag >> 3, (place, place + length)
            place += length
        elif kind == _VARINT:
            _, place = _varint(raw, place, end)
        elif kind in (_FIXED64, _FIXED32):
            place += 8 if kind == _FIXED64 else 4
        else:
            raise WireError(f"wire type {kind} is not known")
        if tag < 8:
            raise WireError("a field has number 0")
    if place > end:
        raise WireError("a field reaches beyond its message")


def _varint(raw: bytes, place: int, end: int) -> tuple[int, int]:
    """Return the number at `place`, and where it ends."""
    number = shift = 0
    while place < end:
        byte = raw[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
        shift += 7
        if shift > _MAX_VARINT_BITS:
            break
    raise WireError("a number does not end")
