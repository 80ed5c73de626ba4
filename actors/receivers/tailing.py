"""One file read to its end, over rotations, without waiting: the caller says when.

Rotation by rename: the open descriptor stays with the old file, which is read to its end before the new one under the
same path is opened from its beginning. Copytruncate: the file is the same but shorter than what was read; reading
starts again at 0. A last line without its newline waits, and is handed on only when the file is over (renamed away,
deleted, truncated) or the line has been there for a while (`take_rest`).

A cursor is (device, inode, offset of the first byte not handed on), with the first bytes of the file and those before the
offset as fingerprints, because inode numbers are used again and many files begin with the same line, and whether that offset
lies inside a line that was cut.

A file that begins with the mark of UTF-16 is read as that; its lines are handed on as UTF-8.

NULs at either end of a line are padding, never text: a writer that keeps its own offset leaves a hole of them after a
copytruncate. A hole is passed over without reading it, once something stands behind it.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from typing import Any

import msgspec

READ_BYTES = 1 << 17
MAX_LINE_BYTES = 65_536
FINGERPRINT_BYTES = 64
MAX_MARKS = 8
_PADDING = b"\r\0"
_ENCODINGS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}  # by their marks


class Line(msgspec.Struct, frozen=True):
    body: bytes
    cut: bool
    start: int = 0  # offset of its first byte


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
        self._before = b""  # the last bytes that were handed on
        self._encoding = ""  # of UTF-16; "": bytes as they are
        self._marks: deque[tuple[int, bytes]] = deque(maxlen=MAX_MARKS)  # offsets read to lately, and the bytes before them
        self._past: list[tuple[bytes, list[tuple[int, bytes]]]] = []  # the same of what stood here before it was cut
        self._quiet = (-1, 0.0)  # end of what was read, and since when
        self.truncations = 0
        if cursor is not None and self._is_ours(cursor):
            if cursor["offset"] <= status.st_size:  # else it was cut meanwhile, and begins anew
                self.offset, self._skipping = cursor["offset"], cursor.get("skipping", False)
        elif not from_start:
            self.offset = status.st_size
        if cursor is not None and cursor["offset"] and self.offset == 0:
            self._past = [(cursor["fingerprint"], [(cursor["offset"], cursor.get("before", b""))])]
        self._fingerprint = os.pread(self._fd, min(FINGERPRINT_BYTES, self.offset), 0)
        self._before = self._bytes_before(self.offset)
        self._encoding = _ENCODINGS.get(os.pread(self._fd, 2, 0), "")

    def _is_ours(self, cursor: dict[str, Any]) -> bool:
        same = cursor["device"] == self.device and cursor["inode"] == self.inode
        known: bytes = cursor["fingerprint"]
        before: bytes = cursor.get("before", b"")
        return same and os.pread(self._fd, len(known), 0) == known and self._still_stands(before, cursor["offset"])

    def _bytes_before(self, offset: int) -> bytes:
        length = min(FINGERPRINT_BYTES, offset)
        return os.pread(self._fd, length, offset - length)

    def _still_stands(self, known: bytes, offset: int) -> bool:
        """Tell whether these bytes stand before an offset; padding may be written over, and says nothing."""
        return known.endswith(b"\0") or self.stands_before(known, offset)

    # -- what it is known by

    def identities(self) -> list[tuple[bytes, list[tuple[int, bytes]]]]:
        """Return the first bytes that were handed on, and those before each offset read to lately; of what was cut off too."""
        marks = list(self._marks) or ([(self.offset, self._before)] if self.offset else [])
        return [(self._fingerprint, marks), *self._past]

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def begins_as(self, known: bytes, size: int) -> bool:
        """Tell whether its first bytes are these, as far as there are some."""
        return os.pread(self._fd, min(len(known), size), 0) == known[:size]

    def stands_before(self, known: bytes, offset: int) -> bool:
        """Tell whether these bytes stand before an offset."""
        return os.pread(self._fd, len(known), max(0, offset - len(known))) == known

    def begin_at(self, offset: int) -> None:
        """Take what stands before an offset for handed on."""
        self.offset, self._rest, self._skipping = offset, b"", False
        self._fingerprint = os.pread(self._fd, min(FINGERPRINT_BYTES, offset), 0)
        self._before = self._bytes_before(offset)

    def _is_unchanged(self) -> bool:
        """Tell whether the file still is what was read: it may have been cut and have grown again meanwhile."""
        begins = os.pread(self._fd, len(self._fingerprint), 0) == self._fingerprint
        return begins and self._still_stands(self._before, self.offset)

    def cursor(self, held: int | None = None) -> dict[str, Any]:
        """Return where to go on after everything handed on so far; `held`: from this offset on it waits to be joined."""
        is_held = held is not None and held < self.offset
        offset = held if held is not None and is_held else self.offset
        return {
            "path": os.fsencode(self.path),  # a name is bytes and need not be UTF-8
            "device": self.device,
            "inode": self.inode,
            "offset": offset,
            "fingerprint": self._fingerprint,
            "before": self._bytes_before(offset) if is_held else self._before,
            "skipping": self._skipping and not is_held,
        }

    def read(self, max_lines: int) -> list[Line] | None:
        """Return the next whole lines, at most `max_lines` of them; None at the end of what is there.

        An empty list is not the end: what was read may have been empty lines, or the rest of one that was cut.
        """
        start, size = self.end, self.size()
        if size < start or not self._is_unchanged():
            return self._begin_anew()
        if len(self._rest) > MAX_LINE_BYTES:
            return self._cut()  # there was no room for it among the lines of the last call
        if start == 0:
            self._encoding = _ENCODINGS.get(os.pread(self._fd, 2, 0), "")
        chunk, data = self._look(start, size)
        if not chunk:
            return None if data is None else self._pass_over(data)
        begin = self.offset
        if self._encoding:
            whole, self._rest = _split_wide(self._rest + chunk, self._encoding, max_lines)
            self._advance(b"".join(whole))
        else:
            *whole, rest = (self._rest + chunk).split(b"\n", max_lines)
            self._advance(b"\n".join([*whole, b""]))
            self._rest = b"" if b"\n" in rest else rest  # whole lines beyond `max_lines` are read again next time
        lines = self._lines(whole, begin)
        if not self._encoding and not self._skipping and (padding := len(self._rest) - len(self._rest.lstrip(b"\0"))):
            self._advance(self._rest[:padding])
            self._rest = self._rest[padding:]
        if len(self._rest) > MAX_LINE_BYTES and len(lines) < max_lines:
            lines += self._cut()
        return lines

    def _begin_anew(self) -> list[Line]:
        """Hand on the last line of what stood here before it was cut, and read from the beginning."""
        self.truncations += 1
        lost = self.take_rest()
        self._past = [(self._fingerprint, list(self._marks))]
        self._marks.clear()
        self.offset, self._skipping, self._fingerprint, self._before = 0, False, b"", b""
        return lost

    def _look(self, start: int, size: int) -> tuple[bytes, int | None]:
        """Return what is written at an offset; if nothing is, where it goes on behind a hole, None if nowhere."""
        if size <= start:
            return b"", None
        hole = self._seek(start, os.SEEK_HOLE)
        chunk = os.pread(self._fd, min(READ_BYTES, hole - start), start)
        if len(chunk) == hole - start and not self._encoding:
            chunk = chunk.rstrip(b"\0")  # its writer may yet write there
        data = size if chunk or hole >= size else self._seek(hole, os.SEEK_DATA)
        return chunk, data if data < size else None

    def _seek(self, offset: int, what: int) -> int:
        """Return where data or a hole begins at or behind an offset, as the file system knows it: the size if nowhere."""
        size = self.size()
        try:
            return min(os.lseek(self._fd, offset, what), size)
        except OSError as error:
            knows = error.errno == errno.ENXIO or what == os.SEEK_HOLE
            return size if knows else min(offset, size)

    def _pass_over(self, data: int) -> list[Line]:
        """Pass over the hole before an offset; what stands before it is a line."""
        lost = self.take_rest()
        self.begin_at(data)
        return lost

    def _advance(self, passed: bytes) -> None:
        """Count bytes as handed on."""
        if len(self._fingerprint) < FINGERPRINT_BYTES:
            self._fingerprint = (self._fingerprint + passed)[:FINGERPRINT_BYTES]
        self._before = (self._before + passed[-FINGERPRINT_BYTES:])[-FINGERPRINT_BYTES:]
        self.offset += len(passed)
        if passed:
            self._marks.append((self.offset, self._before))

    def _lines(self, whole: list[bytes], begin: int) -> list[Line]:
        """Return the lines that begin at an offset, without empty ones and the rest of one that was cut."""
        lines = []
        for raw in whole:
            start, begin = begin, begin + len(raw) + (not self._encoding)
            if self._skipping:
                self._skipping = False
                continue
            line = self._text(raw)
            if line:
                lines.append(Line(line[:MAX_LINE_BYTES].rstrip(_PADDING), len(line) > MAX_LINE_BYTES, start))
        return lines

    def _text(self, raw: bytes) -> bytes:
        """Return the bytes of a line that are text, as UTF-8."""
        if self._encoding:
            return raw.decode(self._encoding, "replace").strip("\r\n\0").removeprefix("\ufeff").encode()
        return raw.lstrip(b"\0").rstrip(_PADDING)

    def _cut(self) -> list[Line]:
        """Hand on the beginning of a line that is too long; the rest of it is skipped when it comes."""
        start, body = self.offset, self._text(self._rest[:MAX_LINE_BYTES])
        self._advance(self._rest)
        self._rest = b""
        if self._skipping:
            return []
        self._skipping = True
        return [Line(body, True, start)]

    @property
    def end(self) -> int:
        """Offset behind everything read, handed on or not."""
        return self.offset + len(self._rest)

    def is_behind(self) -> bool:
        """Tell whether there is more than was read."""
        return self._look(self.end, self.size()) != (b"", None)

    def quiet_s(self, now_s: float) -> float:
        """Return for how long nothing more was read, as far as was looked."""
        if self._quiet[0] != self.end:
            self._quiet = (self.end, now_s)
        return now_s - self._quiet[1]

    @property
    def rest(self) -> bytes:
        """What was read of a line that has not ended."""
        return self._rest

    def take_rest(self) -> list[Line]:
        """Return the last line although it has no newline."""
        start, rest, self._rest = self.offset, self._rest, b""
        self._advance(rest)
        body = self._text(rest)
        return [Line(body, False, start)] if body and not self._skipping else []

    def close(self) -> None:
        os.close(self._fd)


def _split_wide(text: bytes, encoding: str, most: int) -> tuple[list[bytes], bytes]:
    """Return the first lines of UTF-16, line ends included, and the rest of the text behind the last of them."""
    end_of_line = "\n".encode(encoding)
    lines, start, place = list[bytes](), 0, 0
    while len(lines) < most and (place := text.find(end_of_line, place)) >= 0:
        if (place - start) % 2:
            place += 1  # half of one letter and half of the next
            continue
        place += 2
        lines.append(text[start:place])
        start = place
    more = text.find(end_of_line, start) >= 0
    return lines, b"" if more else text[start:]
