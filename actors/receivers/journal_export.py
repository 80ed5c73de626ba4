"""The journal export format of `journalctl -o export` (systemd.io/JOURNAL_EXPORT_FORMATS). Pure: bytes in, entries out.

An entry is a run of fields and an empty line. A field is `NAME=text` and a newline; or, where its value is not plain text,
the name and a newline, the size of the value (64 bits, little endian), the value, and a newline. A name may come several
times in one entry.

What a program writes into its fields is as long as it likes: a value is kept up to a bound while the rest of it passes by,
so that the memory of the decoder is bounded whatever comes. What was cut is named in `cut`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import msgspec

MAX_FIELD_BYTES = 64 << 10
MAX_ENTRY_BYTES = 512 << 10  # of all values but the first MESSAGE, which always has its own room
MAX_FIELDS = 1024  # journald's own bound (ENTRY_FIELD_COUNT_MAX)
MAX_NAME_BYTES = 64  # journald's own bound (journal_field_valid)
MAX_SIZE_BYTES = 1 << 40  # a larger value cannot be: the stream is out of step

_NAME = re.compile(rb"[A-Z_][A-Z0-9_]{0,63}")
_SIZE_BYTES = 8
_MORE = -1  # a step that needs more bytes than there are


class ExportError(Exception):
    """The bytes are not in the export format; the message says what stands there instead."""


class JournalEntry(msgspec.Struct, frozen=True):
    """One entry of the journal, its fields in its order."""

    fields: list[tuple[str, bytes]]
    cut: list[str]  # names of the fields whose value is not all there

    def get(self, name: str) -> bytes:
        """Return the first value of a field; b"" if there is none."""
        return next((value for each, value in self.fields if each == name), b"")


class ExportDecoder:
    """Takes the stream in pieces of any size. Holds one unfinished entry at most, within the bounds above."""

    def __init__(self, max_field_bytes: int = MAX_FIELD_BYTES, max_entry_bytes: int = MAX_ENTRY_BYTES) -> None:
        self._max_field_bytes = max_field_bytes
        self._max_entry_bytes = max_entry_bytes
        self._buffer = bytearray()
        self._entries: list[JournalEntry] = []
        self._name = ""  # of the binary field that is being read
        self._value = bytearray()
        self._left = 0  # bytes of it that are still to come
        self._step: Callable[[int], int] = self._read_line
        self._begin_entry()

    def feed(self, piece: bytes) -> list[JournalEntry]:
        """Return the entries that these bytes complete. Raises ExportError; then the decoder is of no more use."""
        self._buffer += piece
        offset = 0
        while (end := self._step(offset)) != _MORE:
            offset = end
        del self._buffer[:offset]
        entries, self._entries = self._entries, []
        return entries

    # -- steps: each returns the offset behind what it has read

    def _read_line(self, offset: int) -> int:
        newline = self._buffer.find(b"\n", offset)
        if newline < 0:
            return self._read_long_line(offset)
        if newline == offset:
            self._end_entry()
            return newline + 1
        name, equals, value = self._buffer[offset:newline].partition(b"=")
        if equals:
            self._add(_name_of(bytes(name)), bytes(value), whole=True)
        else:
            self._name = _name_of(bytes(name))
            self._step = self._read_size
        return newline + 1

    def _read_long_line(self, offset: int) -> int:
        """Take what is wanted of a text whose end has not come yet, if that is all there already."""
        if len(self._buffer) - offset <= MAX_NAME_BYTES + 1 + self._max_field_bytes:
            return _MORE
        name, _, value = self._buffer[offset:].partition(b"=")
        self._add(_name_of(bytes(name)), bytes(value), whole=False)
        self._step = self._skip_line
        return len(self._buffer)

    def _skip_line(self, offset: int) -> int:
        newline = self._buffer.find(b"\n", offset)
        if newline >= 0:
            self._step = self._read_line
            return newline + 1
        return len(self._buffer) if offset < len(self._buffer) else _MORE

    def _read_size(self, offset: int) -> int:
        if len(self._buffer) - offset < _SIZE_BYTES:
            return _MORE
        self._left = int.from_bytes(self._buffer[offset : offset + _SIZE_BYTES], "little")
        if self._left > MAX_SIZE_BYTES:
            raise ExportError(f"the field {self._name} says that it has {self._left} bytes")
        self._value.clear()
        self._step = self._read_value
        return offset + _SIZE_BYTES

    def _read_value(self, offset: int) -> int:
        there = min(self._left, len(self._buffer) - offset)
        if there == 0 and self._left:
            return _MORE
        wanted = min(there, self._max_field_bytes + 1 - len(self._value))  # one more byte shows that it is cut
        self._value += self._buffer[offset : offset + wanted]
        self._left -= there
        if self._left == 0:
            self._step = self._read_end_of_value
        return offset + there

    def _read_end_of_value(self, offset: int) -> int:
        if offset == len(self._buffer):
            return _MORE
        if self._buffer[offset] != ord("\n"):
            raise ExportError(f"the field {self._name} does not end with a newline")
        self._add(self._name, bytes(self._value), whole=True)
        self._step = self._read_line
        return offset + 1

    # -- the entry

    def _begin_entry(self) -> None:
        self._fields: list[tuple[str, bytes]] = []
        self._cut: dict[str, None] = {}
        self._room_bytes = self._max_entry_bytes
        self._has_message = False

    def _add(self, name: str, value: bytes, *, whole: bool) -> None:
        if len(self._fields) >= MAX_FIELDS:
            if len(self._cut) < 2 * MAX_FIELDS:
                self._cut[name] = None
            return
        most = self._max_field_bytes
        if name == "MESSAGE" and not self._has_message:
            self._has_message = True
        else:
            most = min(most, self._room_bytes)
            self._room_bytes -= min(most, len(value))
        if len(value) > most or not whole:
            self._cut[name] = None
        self._fields.append((name, value[:most]))

    def _end_entry(self) -> None:
        if self._fields:
            self._entries.append(JournalEntry(self._fields, list(self._cut)))
        self._begin_entry()


@lru_cache(maxsize=4096)
def _name_of(raw: bytes) -> str:
    """Return the name of a field as text. Raises ExportError if it is none."""
    if not _NAME.fullmatch(raw):
        raise ExportError(f"{raw[:MAX_NAME_BYTES]!r} is not the name of a field")
    return raw.decode()
