"""Spools as they lie on disk, looked at from outside: for a backup, and for whoever wants to know whether they are whole."""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec

from actors.files import write_whole
from actors.receivers.spool import SpoolPosition
from protocol.packing import PackingError, pack, unpack

_HEAD = 8
TRIES = 20


class Vanished(Exception):
    """A segment was deleted while it was being copied."""


def whole_bytes(raw: bytes) -> int:
    """Return how many bytes at the start of a segment are whole entries."""
    offset = 0
    while offset + _HEAD <= len(raw):
        length, checksum = int.from_bytes(raw[offset : offset + 4]), int.from_bytes(raw[offset + 4 : offset + 8])
        body = raw[offset + _HEAD : offset + _HEAD + length]
        if not length or len(body) < length or zlib.crc32(body) != checksum:
            break
        offset += _HEAD + length
    return offset


def read_position(path: Path) -> SpoolPosition:
    """Return a spool's position as it stands on disk. Raises OSError, and ValueError if it is damaged."""
    try:
        return msgspec.convert(unpack(path.read_bytes()), SpoolPosition)
    except (PackingError, msgspec.ValidationError) as error:
        raise ValueError(str(error)) from error


def segments(folder: Path) -> list[Path]:
    """Return the segments of a spool, oldest first."""
    return sorted(path for path in folder.glob("*.segment") if path.stem.isdecimal())


def copy_spool(folder: Path, target: Path) -> None:
    """Copy a spool that may be written to meanwhile: a position, and all that was spooled up to one moment after it.

    The copy takes itself for one of another boot, so that its first opening leaps over the sequences that the original
    gives away after this. Raises OSError, and ValueError if the position is damaged.
    """
    for _ in range(TRIES):
        try:
            _copy_once(folder, target)
        except Vanished:
            continue
        return
    raise OSError(f"{folder} changes faster than it can be copied")


def _copy_once(folder: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in target.iterdir():  # of a try before
        path.unlink()
    position = msgspec.structs.replace(read_position(folder / "position"), boot="copied")
    for path in segments(folder):
        try:
            raw = path.read_bytes()
        except FileNotFoundError as error:
            raise Vanished from error
        write_whole(target / path.name, raw[: whole_bytes(raw)])
    write_whole(target / "position", pack(msgspec.to_builtins(position, builtin_types=(bytes,))))
