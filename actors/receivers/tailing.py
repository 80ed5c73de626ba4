"""One file read to its end, over rotations, without waiting: the caller says when.

Rotation by rename: the open descriptor stays with the old file, which is read to its end before the new one under the
same path is opened from its beginning. Copytruncate: the file is the same but shorter than what was read; reading
starts again at 0. A last line without its newline waits, and is handed on only when the file is over (renamed away,
deleted, truncated) or the line has been there for a while (`take_rest`).

A cursor is (device, inode, offset of the first byte not handed on), with the first bytes of the file as a fingerprint,
because inode numbers are used again, and whether that offset lies inside a line that was cut.

NULs at either end of a line are padding, never text: a writer that keeps its own offset leaves a hole of them after a
copytruncate.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec

READ_BYTES = 1 << 17
MAX_LINE_BYTES = 65_536
FINGERPRINT_BYTES = 64
_PADDING = b"\r\0"


class Line(msgspec.Struct, frozen=True):
    body: bytes
    cut: bool


class Tail:
    """An open file and how far it is read. Raises OSError from opening."""

    def __init__(self, path: str, cursor: dict[str, Any] | None, *, from_start: bool) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        status = os.fstat(self._fd)
        self.device, self.inode = status.st_dev, status.st_ino
        self.key = f"{self.device}:{self.inode}"
        self.offset = 0  # of the first byte not handed on
        self._rest = b""  # read, but its line has not ended
        self._skipping = False  # inside a line that was cut
        self._fingerprint = b""  # the first bytes, of those that were handed on
        self.truncations = 0
        if cursor is not None and self._is_ours(cursor):
            if cursor["offset"] <= status.st_size:  # else it was cut meanwhile, and begins anew
                self.offset, self._skipping = cursor["offset"], cursor.get("skipping", False)
        elif not from_start:
            self.offset = status.st_size
        self._fingerprint = os.pread(self._fd, min(FINGERPRINT_BYTES, self.offset), 0)

    def _is_ours(self, cursor: dict[str, Any]) -> bool:
        same = cursor["device"] == self.device and cursor["inode"] == self.inode
        known: bytes = cursor["fingerprint"]
        return same and os.pread(self._fd, len(known), 0) == known

    def _is_unchanged(self) -> bool:
        """Tell whether the file still begins as it did: it may have been cut and have grown again meanwhile."""
        return os.pread(self._fd, len(self._fingerprint), 0) == self._fingerprint

    def cursor(self) -> dict[str, Any]:
        """Return where to go on after everything handed on so far."""
        return {
            "path": os.fsencode(self.path),  # a name is bytes and need not be UTF-8
            "device": self.device,
            "inode": self.inode,
            "offset": self.offset,
            "fingerprint": self._fingerprint,
            "skipping": self._skipping,
        }

    def read(self, max_lines: int) -> list[Line] | None:
        """Return the next whole lines, at most `max_lines` of them; None at the end of what is there.

        An empty list is not the end: what was read may have been empty lines, or the rest of one that was cut.
        """
        start = self.offset + len(self._rest)
        if os.fstat(self._fd).st_size < start or not self._is_unchanged():
            return self._begin_anew()
        if len(self._rest) > MAX_LINE_BYTES:
            return self._cut()  # there was no room for it among the lines of the last call
        chunk = os.pread(self._fd, READ_BYTES, start)
        if not chunk:
            return None
        *whole, rest = (self._rest + chunk).split(b"\n", max_lines)
        self._advance(b"\n".join([*whole, b""]))
        self._rest = b"" if b"\n" in rest else rest  # whole lines beyond `max_lines` are read again next time
        lines = self._lines(whole)
        if not self._skipping and (padding := len(self._rest) - len(self._rest.lstrip(b"\0"))):
            self._advance(self._rest[:padding])
            self._rest = self._rest[padding:]
        if len(self._rest) > MAX_LINE_BYTES and len(lines) < max_lines:
            lines += self._cut()
        return lines

    def _begin_anew(self) -> list[Line]:
        """Hand on the last line of what stood here before it was cut, and read from the beginning."""
        self.truncations += 1
        lost = self.take_rest()
        self.offset, self._skipping, self._fingerprint = 0, False, b""
        return lost

    def _advance(self, passed: bytes) -> None:
        """Count bytes as handed on."""
        if len(self._fingerprint) < FINGERPRINT_BYTES:
            self._fingerprint = (self._fingerprint + passed)[:FINGERPRINT_BYTES]
        self.offset += len(passed)

    def _lines(self, whole: list[bytes]) -> list[Line]:
        if whole and self._skipping:
            whole, self._skipping = whole[1:], False
        return [
            Line(line[:MAX_LINE_BYTES].rstrip(_PADDING), len(line) > MAX_LINE_BYTES)
            for line in (raw.lstrip(b"\0").rstrip(_PADDING) for raw in whole)
            if line
        ]

    def _cut(self) -> list[Line]:
        """Hand on the beginning of a line that is too long; the rest of it is skipped when it comes."""
        body = self._rest[:MAX_LINE_BYTES].rstrip(_PADDING)
        self._advance(self._rest)
        self._rest = b""
        if self._skipping:
            return []
        self._skipping = True
        return [Line(body, True)]

    @property
    def end(self) -> int:
        """Offset behind everything read, handed on or not."""
        return self.offset + len(self._rest)

    def has_rest(self) -> bool:
        return bool(self._rest)

    def take_rest(self) -> list[Line]:
        """Return the last line although it has no newline."""
        rest, self._rest = self._rest, b""
        self._advance(rest)
        body = rest.rstrip(_PADDING)
        return [Line(body, False)] if body and not self._skipping else []

    def close(self) -> None:
        os.close(self._fd)
