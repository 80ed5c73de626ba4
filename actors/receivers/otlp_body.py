"""The body of a request as it comes in: bounded in size, in time, and in bytes that all connections together hold.

A client that announces much and sends little costs what it sent, for as long as it may take. What is beyond a bound is read to
its end and not kept, so that the answer arrives.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Literal

import trio

MAX_BODY_BYTES = 16 << 20
MAX_HELD_BYTES = 64 << 20  # of all bodies that are not yet decoded
BODY_S = 30.0  # for a whole body; what SDKs and Collectors wait for an answer is less

Receive = Callable[[], Awaitable[dict[str, Any]]]
Fault = Literal["", "too large", "too much", "too slow"]


class ClientGone(Exception):
    """The client left before its request was complete; the part that came is ignored."""


class Held:
    """How many bytes of bodies are held."""

    def __init__(self) -> None:
        self.bytes = 0


class Body:
    """One body. A context manager: what it holds is given back at the end, or by `take`."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self._content = bytearray()
        self.fault: Fault = ""

    def __enter__(self) -> Body:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._drop()

    async def read(self, receive: Receive) -> None:
        """Read it to its end; `fault` says why it is not kept.

        Raises ClientGone: the beginning of a protobuf message may well read as a whole one.
        """
        with trio.move_on_after(BODY_S) as limit:
            while True:
                event = await receive()
                if event["type"] == "http.disconnect":
                    raise ClientGone
                self._keep(event.get("body", b""))
                if not event.get("more_body", False):
                    return
        if limit.cancelled_caught:
            self._drop()
            self.fault = "too slow"

    def _keep(self, part: bytes) -> None:
        if self.fault or not part:
            return
        if len(self._content) + len(part) > MAX_BODY_BYTES:
            self.fault = "too large"
        elif self._held.bytes + len(part) > MAX_HELD_BYTES:
            self.fault = "too much"
        if self.fault:
            self._drop()
        else:
            self._content += part
            self._held.bytes += len(part)

    @property
    def size(self) -> int:
        return len(self._content)

    @property
    def begins_compressed(self) -> bool:
        """Tell whether the first byte says that a message of gRPC is compressed."""
        return bool(self._content) and self._content[0] & 1 == 1

    def take(self) -> bytearray:
        """Return the content; it is held no longer."""
        content = self._content
        self._drop()
        return content

    def _drop(self) -> None:
        self._held.bytes -= len(self._content)
        self._content = bytearray()
