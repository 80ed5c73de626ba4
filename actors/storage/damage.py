"""Files of the store that the disk has damaged: found, set aside, and replaced.

A day that is over and damaged stays where it is: readers leave it out, retention deletes it in its time. The newest day and
the main file are written to, so they are set aside under another name, kept for whoever wants to save what can be saved,
and new ones take their place. What the lost file knew of commit sequences is lost with it: the new one leaps over all that
it may have given out, so that no sequence ever stands for two things.
"""

from __future__ import annotations

from pathlib import Path

import apsw
import msgspec

LEAP_TAG = 0  # the tag under which a leap of the commit sequence is noted; no spool has it
DAMAGE = (apsw.CorruptError, apsw.NotADBError, apsw.FormatError)
LEAP_BITS = 20  # a leap is to a multiple of 2^20: more events than are committed in a second
_DAMAGED = ".damaged"


class SetAside(msgspec.Struct, frozen=True):
    """A file that was set aside."""

    path: Path  # where it was
    aside: Path  # where it is now
    reason: str


class DamagedStore(Exception):
    """The main file cannot be read; the message says why."""


def leap(known: int, now_ns: int) -> int:
    """Return a commit sequence that no file can have reached: by the time, since a damaged file does not say its own.

    2^20 sequences for each second since 1970 are below 2^53, which every reader of JSON can hold, until the year 2242.
    """
    by_time = (now_ns // 1_000_000_000) << LEAP_BITS
    return max(by_time, ((known >> LEAP_BITS) + 1) << LEAP_BITS)


def set_aside(path: Path, reason: str) -> SetAside:
    """Move a database with its log out of the way: `events-2026-05-13.damaged`. Raises OSError."""
    aside, number = path.with_suffix(_DAMAGED), 1
    while aside.exists():
        number += 1
        aside = path.with_suffix(f"{_DAMAGED}-{number}")
    log = Path(f"{path}-wal")
    if log.exists():
        log.replace(f"{aside}-wal")
    Path(f"{path}-shm").unlink(missing_ok=True)
    path.replace(aside)
    return SetAside(path, aside, reason)


def damaged_files(folder: Path, stem: str) -> list[Path]:
    """Return the files that were set aside, oldest first; `stem` is a pattern such as `main` or `events-*`."""
    found = folder.glob(f"{stem}{_DAMAGED}*")
    return sorted(path for path in found if not path.name.endswith(("-wal", "-shm", "-journal")))


def is_emptied(path: Path) -> bool:
    """Tell whether a database is there and holds nothing, in its log neither."""
    return path.exists() and size_of(path) == 0


def size_of(path: Path) -> int:
    """Return the bytes of a database and its log."""
    return sum(each.stat().st_size for each in (path, Path(f"{path}-wal")) if each.exists())
