"""Spools on disk, read from outside: for a backup and for a check."""

from __future__ import annotations

from pathlib import Path

import msgspec

from actors.files import write_whole
from actors.spool.entries import whole_entries
from actors.spool.position import pack_position, path_of, read_position
from actors.spool.segments import segments_in

TRIES = 20


class Vanished(Exception):
    """A segment was deleted while it was being copied."""


def whole_bytes(raw: bytes) -> int:
    """Return how many bytes at the start of a segment are whole entries."""
    end = 0
    for offset, body in whole_entries(raw):
        end = offset + len(body)
    return end


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
    position = msgspec.structs.replace(read_position(path_of(folder)), boot="copied")
    for path in segments_in(folder):
        try:
            raw = path.read_bytes()
        except FileNotFoundError as error:
            raise Vanished from error
        write_whole(target / path.name, raw[: whole_bytes(raw)])
    write_whole(path_of(target), pack_position(position))
