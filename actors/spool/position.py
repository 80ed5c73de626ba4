"""A spool's `position`: its tag, how far it is acknowledged, where its inputs stand. One small file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from actors.files import write_over
from protocol.packing import PackingError, pack, unpack

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class SpoolPosition(msgspec.Struct, frozen=True):
    """The spool as its `position` file has it: not always the newest, the segments know better."""

    tag: int
    acknowledged: int
    cursors: dict[str, Any]
    next: int = 1
    boot: str = ""  # of the machine, when this was written
    passed: list[tuple[int, int]] = []  # see `Ordinals`
    damaged: int = 0


def path_of(folder: Path) -> Path:
    return folder / "position"


def pack_position(position: SpoolPosition) -> bytes:
    """Return a position as it goes to disk."""
    return pack(msgspec.to_builtins(position, builtin_types=(bytes,)))


def read_position(path: Path) -> SpoolPosition:
    """Return a spool's position as it stands on disk. Raises OSError, and ValueError if it is damaged."""
    try:
        return msgspec.convert(unpack(path.read_bytes()), SpoolPosition)
    except (PackingError, msgspec.ValidationError) as error:
        raise ValueError(str(error)) from error


def store_position(folder: Path, position: SpoolPosition, written: Callable[[str, int], None], moved: Callable[[], None]) -> None:
    """Write the position aside and move it into place; on a full disk, over the old one, for that makes room.

    `written` is told the name and the descriptor of what was written, `moved` that the folder is another one. Raises
    OSError if the disk refuses both.
    """
    path, aside, content = path_of(folder), folder / "position.new", pack_position(position)
    try:
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            written("position", file.fileno())
        aside.replace(path)
        moved()
    except OSError:
        aside.unlink(missing_ok=True)
        write_over(path, content)


def boot_id() -> str:
    """Return the boot id of the kernel; "" where it does not say."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
