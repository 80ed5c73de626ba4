"""A WebSocket client that costs little, so that a benchmark measures the daemon, not the client."""

from __future__ import annotations

import base64
import os
import socket
import time
from collections.abc import Iterator


class StreamClient:
    """Reads the text frames of the stream; `read` yields payloads as they come."""

    def __init__(self, port: int, path: str = "/api/v1/ws", **headers: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        ]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self._buffer = b""
        while b"\r\n\r\n" not in self._buffer:
            self._buffer += self._receive()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        self.status = int(head.split()[1])
        self.close_code = 0

    def _receive(self) -> bytes:
        received = self._socket.recv(1 << 20)
        if not received:
            raise ConnectionError("the daemon closed the stream")
        return received

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        buffer, start = self._buffer, 0
        while len(buffer) - start >= 2:
            length, offset = buffer[start + 1] & 127, start + 2
            if length == 126:
                length, offset = int.from_bytes(buffer[start + 2 : start + 4]), start + 4
            elif length == 127:
                length, offset = int.from_bytes(buffer[start + 2 : start + 10]), start + 10
            if len(buffer) < offset + length:
                break
            yield buffer[start] & 15, buffer[offset : offset + length]
            start = offset + length
        self._buffer = buffer[start:]

    def read(self, seconds: float) -> Iterator[bytes]:
        """Yield text payloads for so long, or until the daemon closes. Raises AssertionError for a binary frame."""
        end_s = time.monotonic() + seconds
        while True:
            for opcode, payload in list(self._frames()):
                if opcode == 8:
                    self.close_code = int.from_bytes(payload[:2])
                    return
                assert opcode != 2, "a binary frame"
                if opcode == 1:
                    yield payload
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                return
            self._socket.settimeout(left_s)
            try:
                self._buffer += self._receive()
            except (TimeoutError, ConnectionError):
                return

    def __enter__(self) -> StreamClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()
