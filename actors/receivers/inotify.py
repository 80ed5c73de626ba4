"""inotify(7) through the C library: changes in directories, without polling."""

from __future__ import annotations

import ctypes
import os
import struct

import msgspec
import trio

MODIFY, ATTRIB, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x2, 0x4, 0x40, 0x80, 0x100, 0x200
OVERFLOW = 0x4000
_CLOEXEC, _NONBLOCK = os.O_CLOEXEC, os.O_NONBLOCK
_EVENT = struct.Struct("iIII")
_READ_BYTES = 65_536

_libc = ctypes.CDLL(None, use_errno=True)


class Change(msgspec.Struct, frozen=True):
    """One notification. `watch` is -1 and `mask` OVERFLOW when the kernel lost some."""

    watch: int
    mask: int
    name: str
    cookie: int = 0  # the same for both names of one file that was renamed


class Inotify:
    """One inotify instance."""

    def __init__(self) -> None:
        self._fd = _libc.inotify_init1(_CLOEXEC | _NONBLOCK)
        if self._fd < 0:
            raise _error("inotify_init1")

    def watch(self, path: str, mask: int) -> int:
        """Watch a directory or file; return the watch's number. Raises OSError."""
        number: int = _libc.inotify_add_watch(self._fd, os.fsencode(path), mask)
        if number < 0:
            raise _error(path)
        return number

    async def wait_changes(self) -> list[Change]:
        """Return the next changes. Cancelled, they stay in the kernel."""
        while True:
            await trio.lowlevel.wait_readable(self._fd)
            try:
                return _unpack(os.read(self._fd, _READ_BYTES))
            except BlockingIOError:
                continue

    def close(self) -> None:
        os.close(self._fd)


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)


def _unpack(raw: bytes) -> list[Change]:
    changes, offset = [], 0
    while offset + _EVENT.size <= len(raw):
        watch, mask, cookie, length = _EVENT.unpack_from(raw, offset)
        offset += _EVENT.size
        name = raw[offset : offset + length].rstrip(b"\0")
        changes.append(Change(watch, mask, os.fsdecode(name), cookie))
        offset += length
    return changes
