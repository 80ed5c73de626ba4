"""Settings of the sigma actor, and its files in the state directory, which the commands on rules read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from actors.sigma.rules.exceptions import RuleException
from actors.sigma.rules.library import Sources
from protocol.snapshot import SnapshotError, unpack_snapshot

ACTOR = "sigma"
VERSION = 1  # of its snapshot
CACHE = "rules.cache"  # file of the library, in the state directory


class Settings(msgspec.Struct, frozen=True):
    sources: Sources
    disabled: list[str] = []
    exceptions: list[RuleException] = []


def read_snapshot(state_dir: Path) -> dict[str, Any] | None:
    """Return the state that the actor stored last; None if there is none that can be used."""
    try:
        return unpack_snapshot((state_dir / "snapshots" / f"{ACTOR}.msgpack").read_bytes(), ACTOR, VERSION)
    except (OSError, SnapshotError):
        return None
