"""State on disk: versioned msgpack, written whole or not at all, never pickle."""

from __future__ import annotations

from typing import Any

import msgpack

MAGIC = "tocsin-snapshot"


class SnapshotError(ValueError):
    """A snapshot that cannot be used; the message says why."""


def pack_snapshot(actor: str, version: int, state: dict[str, Any]) -> bytes:
    """Return the bytes of a snapshot."""
    packed: bytes = msgpack.packb({"magic": MAGIC, "actor": actor, "version": version, "state": state})
    return packed


def unpack_snapshot(raw: bytes, actor: str, version: int) -> dict[str, Any]:
    """Return the state in `raw`. Raises SnapshotError if it is damaged, of another actor or of another version."""
    try:
        whole = msgpack.unpackb(raw, strict_map_key=False)
    except Exception as error:  # msgpack raises ValueError, OverflowError, its own and others on hostile bytes
        raise SnapshotError(f"damaged: {error}") from error
    if not isinstance(whole, dict) or whole.get("magic") != MAGIC:
        raise SnapshotError("not a snapshot of Tocsin")
    if whole.get("actor") != actor:
        raise SnapshotError(f"belongs to {str(whole.get('actor'))[:40]!r}")
    if whole.get("version") != version:
        raise SnapshotError(f"has version {whole.get('version')!r}, this program reads {version}")
    state = whole.get("state")
    if not isinstance(state, dict):
        raise SnapshotError("carries no state")
    return state
