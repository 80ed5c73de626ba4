"""Frames once made, handed to every client. Each client has a bounded queue of bytes.

A client too slow to follow is not left short of frames in silence: its queue is thrown away, it is told with close code
1013 ("try again later", RFC 6455 section 7.4 and the IANA registry) and a reason, and may come back and backfill.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from actors.signal import Signal

MAX_QUEUED_BYTES = 8 << 20  # about 12,000 events, or two seconds at full speed
MAX_CLIENTS = 256
CLOSE_TRY_AGAIN = 1013
CLOSE_GOING_AWAY = 1001


def text_frame(payload: bytes) -> bytes:
    """Return an unmasked WebSocket text frame (RFC 6455, section 5.2)."""
    return b"\x81" + _length(len(payload)) + payload


def close_frame(code: int, reason: str) -> bytes:
    """Return an unmasked close frame; a reason has at most 123 bytes of whole characters (RFC 6455, section 5.5.1)."""
    payload = code.to_bytes(2) + reason.encode()[:123].decode(errors="ignore").encode()
    return b"\x88" + _length(len(payload)) + payload


def _length(n: int) -> bytes:
    if n < 126:
        return bytes([n])
    return b"\x7e" + n.to_bytes(2) if n < 1 << 16 else b"\x7f" + n.to_bytes(8)


class Client:
    """One subscriber: the bytes queued for it, and its close code."""

    def __init__(self) -> None:
        self._queue: deque[bytes] = deque()
        self.queued_bytes = 0
        self.closing = 0  # close code, 0: open
        self.changed = Signal()

    def offer(self, data: bytes) -> bool:
        """Queue bytes; False if they do not fit."""
        if self.closing:
            return True
        if self.queued_bytes + len(data) > MAX_QUEUED_BYTES:
            return False
        self._queue.append(data)
        self.queued_bytes += len(data)
        self.changed.set()
        return True

    def close(self, code: int, reason: str) -> None:
        """Let a close frame be the last thing that the client gets."""
        if self.closing:
            return
        if code == CLOSE_TRY_AGAIN:
            self._queue.clear()
            self.queued_bytes = 0
        self.closing = code
        self._queue.append(close_frame(code, reason))
        self.changed.set()

    async def take(self) -> bytes:
        """Return everything queued, as soon as there is something. Cancelled, it stays queued."""
        while not self._queue:
            await self.changed.wait()
        data = b"".join(self._queue)
        self._queue.clear()
        self.queued_bytes = 0
        return data


class Hub:
    """All clients of the stream."""

    def __init__(self) -> None:
        self.clients: set[Client] = set()
        self.closed_too_slow = 0

    def publish(self, payloads: Sequence[bytes]) -> None:
        """Frame JSON payloads once and queue them for everyone."""
        if not self.clients:
            return
        data = b"".join([text_frame(payload) for payload in payloads])
        for client in self.clients:
            if not client.offer(data):
                self.closed_too_slow += 1
                client.close(CLOSE_TRY_AGAIN, "too slow: reconnect and read the history")

    def is_busy(self) -> bool:
        """Tell whether some client has half of its queue before it."""
        return any(client.queued_bytes > MAX_QUEUED_BYTES // 2 for client in self.clients)

    def close_all(self, code: int, reason: str) -> None:
        """Close every client with a code and a reason."""
        for client in self.clients:
            client.close(code, reason)
