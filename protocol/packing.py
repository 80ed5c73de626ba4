"""Plain data as msgpack for the files of state that are no snapshots: positions and journals."""

from __future__ import annotations

from typing import Any

import msgpack


class PackingError(ValueError):
    """Bytes that `pack` did not make; the message says why."""


def pack(value: Any) -> bytes:
    """Return plain data as msgpack."""
    packed: bytes = msgpack.packb(value)
    return packed


def unpack(raw: bytes) -> Any:
    """Return the one value in `raw`. Raises PackingError."""
    try:
        return msgpack.unpackb(raw, strict_map_key=False)
    except Exception as error:  # msgpack raises ValueError, OverflowError, its own and others on damaged bytes
        raise PackingError(f"damaged: {error!r}") from error


def unpack_entries(raw: bytes) -> tuple[list[Any], int, str]:
    """Return the whole values at the start of `raw`, how many bytes they take, and what is wrong behind them."""
    unpacker = msgpack.Unpacker(max_buffer_size=max(len(raw), 1), strict_map_key=False)
    unpacker.feed(raw)
    entries: list[Any] = []
    good = 0
    try:
        for entry in unpacker:
            entries.append(entry)
            good = unpacker.tell()
    except Exception as error:  # as above
        return entries, good, repr(error)
    return entries, good, "" if good == len(raw) else f"{len(raw) - good} bytes of a torn entry"
