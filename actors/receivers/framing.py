"""Syslog messages cut out of a byte stream (RFC 6587): octet counting or newline framing, told apart once per connection.

A first frame that starts with a number of at most the longest message, a space and a priority is taken for octet counted
(section 3.4.1), unless a line end and a priority stand within it; the second frame confirms it or not. Else messages end at a
newline or NUL (section 3.4.2) for as long as the connection lasts. So no text that a relay passes on in lines is taken for a
count and swallows what follows. Where a sender that counts leaves a count out, that message is read to its line end.

A message longer than the bound is handed on cut, the rest of its frame is skipped, and the connection lives. Memory: at
most one message and one chunk.
"""

from __future__ import annotations

import re

_COUNT = re.compile(rb"[1-9][0-9]{0,7} (?=<[0-9]{1,3}>)")
_COUNT_SO_FAR = re.compile(rb"[1-9][0-9]{0,7}(?: (?:<[0-9]{0,3})?)?")
_LONGEST_COUNT = 13  # eight digits, a space and a priority that is not closed
_MAX_COUNT = 1 << 24  # of a sender that is known to count; the message is cut
_LINES_WITHIN = re.compile(rb"\n<[0-9]{1,3}>")
_TRAILER = re.compile(rb"[\n\x00]")
_LEFTOVERS = b"\r\n\x00"

Message = tuple[bytes, bool]


class Framing:
    """Split one connection's bytes into messages; a `True` beside a message says that its end is missing."""

    def __init__(self, max_message_bytes: int = 65_536) -> None:
        if max_message_bytes < 1:
            raise ValueError(f"max_message_bytes must be at least 1, not {max_message_bytes}")
        self.max_message_bytes = max_message_bytes
        self.cut_messages_total = 0
        self._counts: bool | None = None  # whether the sender counts octets; None: not yet confirmed
        self._began = False  # a first frame was counted, and waits for its confirmation
        self._buffer = bytearray()
        self._skip_bytes = 0  # of an overlong octet-counted frame, still to come
        self._skip_line = False  # the rest of an overlong line is still to come
        self._searched_bytes = 0  # of the line at the start of the buffer, without finding its end

    def feed(self, chunk: bytes) -> list[Message]:
        """Return the messages that are complete with this chunk."""
        messages: list[Message] = []
        self._buffer += chunk
        position = 0
        while (end := self._read(position, messages)) > position:
            position = end
        del self._buffer[:position]
        return messages

    def close(self) -> list[Message]:
        """Return the last message if the stream ended without its newline, or in the middle of a counted frame."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        if self._skip_line or self._skip_bytes:
            self._skip_line, self._skip_bytes = False, 0
            return []
        counted = None if self._counts is False else _COUNT.match(rest)
        body = (rest[counted.end() :] if counted else rest).strip(_LEFTOVERS)
        if not body:
            return []
        cut = counted is not None or len(body) > self.max_message_bytes
        self.cut_messages_total += cut
        return [(body[: self.max_message_bytes], cut)]

    def _read(self, start: int, messages: list[Message]) -> int:
        """Read the frame at `start`; return where the next one starts, or `start` if more bytes are needed."""
        buffer = self._buffer
        if self._skip_bytes:
            return self._skip_counted(start)
        if self._skip_line:
            return self._skip_to_trailer(start)
        while start < len(buffer) and buffer[start] in _LEFTOVERS:
            start += 1  # between frames: trailers of senders that count and end lines as well
        if self._counts is not False:
            if len(buffer) - start <= _LONGEST_COUNT and _COUNT_SO_FAR.fullmatch(buffer, start):
                return start
            counted = _COUNT.match(buffer, start)
            length = int(counted.group()) if counted else 0
            if counted and self._may_be(counted.end(), length):
                end = self._read_counted(counted.end(), length, start, messages)
                if end > start:
                    self._counts, self._began = self._began or None, True
                return end
            if self._counts is None and start < len(buffer):
                self._counts = False
        return self._read_line(start, messages)

    def _may_be(self, body: int, length: int) -> bool:
        """Tell whether a count can be one, as far as its frame is there."""
        if self._counts:
            return length <= _MAX_COUNT
        return length <= self.max_message_bytes and not _LINES_WITHIN.search(self._buffer, body, body + length)

    def _read_counted(self, body: int, length: int, start: int, messages: list[Message]) -> int:
        available = len(self._buffer) - body
        taken = min(length, self.max_message_bytes)
        if available < taken:
            return start
        self._hand_on(bytes(self._buffer[body : body + taken]), length > taken, messages)
        self._skip_bytes = length - taken
        return body + taken

    def _read_line(self, start: int, messages: list[Message]) -> int:
        buffer = self._buffer
        found = _TRAILER.search(buffer, start + self._searched_bytes, start + self.max_message_bytes + 2)
        self._searched_bytes = 0
        if found:
            line = bytes(buffer[start : found.start()]).rstrip(b"\r")
            cut = len(line) > self.max_message_bytes
            self._hand_on(line[: self.max_message_bytes], cut, messages)
            return found.end()
        if len(buffer) - start < self.max_message_bytes + 2:
            self._searched_bytes = len(buffer) - start
            return start
        self._hand_on(bytes(buffer[start : start + self.max_message_bytes]), True, messages)
        self._skip_line = True
        return start + self.max_message_bytes

    def _skip_counted(self, start: int) -> int:
        skipped = min(self._skip_bytes, len(self._buffer) - start)
        self._skip_bytes -= skipped
        return start + skipped

    def _skip_to_trailer(self, start: int) -> int:
        found = _TRAILER.search(self._buffer, start)
        if found is None:
            return len(self._buffer)
        self._skip_line = False
        return found.end()

    def _hand_on(self, body: bytes, cut: bool, messages: list[Message]) -> None:
        body = body.rstrip(_LEFTOVERS)
        if body:
            self.cut_messages_total += cut
            messages.append((body, cut))
