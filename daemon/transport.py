"""ZeroMQ under Trio: the one module that knows both.

pyzmq has no Trio support. A socket's FD is edge-triggered: it tells that something may have changed, for reading or for
writing, and any call on the socket may swallow that edge. So each operation tries without blocking; on EAGAIN it reads
EVENTS, which also clears the edge; and only if EVENTS agrees that nothing can be done does it park on the FD, with no
await in between. Sockets here go one way (PULL in, PUSH out) and each has one task, so that no second direction can
swallow an edge. (ZeroMQ guide, "Working with the ZMQ_FD"; rejected: a thread per socket, and pyzmq's asyncio support.)

Edges: every actor binds an inbox for data and one for commands, `ipc://<runtime>/<actor>.<plane>`, and connects a PUSH
socket to each actor that it sends to. Both ends are bounded; a full edge is seen by `send` (it waits) and `send_nowait`
(it drops and counts). A dead peer's messages stay queued up to the bound for its successor, which binds the same path.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trio
import zmq

from protocol.messages import Frame, Header, decode_message, encode_message

MAX_IPC_PATH_BYTES = 107  # sockaddr_un, see unix(7)
RECONNECT_MS = 20
CALLS_BEFORE_CHECKPOINT = 32


class EdgeStatistics:
    """What passed over an edge."""

    __slots__ = ("dropped", "messages", "waits")

    def __init__(self) -> None:
        self.messages = 0
        self.waits = 0  # times the edge was full and the sender waited
        self.dropped = 0  # messages that found the edge full and were not sent


def endpoint(runtime_dir: Path, actor: str, plane: str) -> str:
    """Return the address of an inbox. Raises ValueError if the path is longer than the kernel takes."""
    path = runtime_dir / f"{actor}.{plane}"
    if len(str(path).encode()) > MAX_IPC_PATH_BYTES:
        raise ValueError(f"runtime_dir is too long for a socket: {path} has more than {MAX_IPC_PATH_BYTES} bytes")
    return f"ipc://{path}"


async def _wait_ready(socket: zmq.Socket[bytes], flag: int) -> None:
    if not socket.getsockopt(zmq.EVENTS) & flag:  # type: ignore[operator]
        await trio.lowlevel.wait_readable(socket.getsockopt(zmq.FD))  # type: ignore[arg-type]


class Inbox:
    """The receiving end of all edges that lead to one plane of one actor."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str, *, bound: int) -> None:
        self._socket = context.socket(zmq.PULL)
        self._socket.setsockopt(zmq.RCVHWM, bound)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(address)
        self._calls = 0
        self.statistics = EdgeStatistics()

    def receive_nowait(self) -> tuple[Header, Sequence[Frame]]:
        """Return a message that is here. Raises zmq.Again."""
        parts = self._socket.recv_multipart(zmq.NOBLOCK)
        self.statistics.messages += 1
        return decode_message(parts)

    async def receive(self) -> tuple[Header, Sequence[Frame]]:
        """Return the next message."""
        self._calls += 1
        if self._calls % CALLS_BEFORE_CHECKPOINT == 0:
            await trio.lowlevel.checkpoint()
        while True:
            try:
                return self.receive_nowait()
            except zmq.Again:
                await _wait_ready(self._socket, zmq.POLLIN)

    def close(self) -> None:
        self._socket.close()


class Outbox:
    """The sending end of one edge."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str, *, bound: int) -> None:
        self._socket = context.socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, bound)
        self._socket.setsockopt(zmq.LINGER, 500)
        self._socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        self._socket.connect(address)
        self._lock = trio.StrictFIFOLock()
        self.statistics = EdgeStatistics()

    def send_nowait(self, header: Header, frames: Sequence[Frame] = ()) -> bool:
        """Send if there is room; else count a drop and return False."""
        try:
            self._socket.send_multipart(encode_message(header, frames), zmq.NOBLOCK, copy=True)
        except zmq.Again:
            self.statistics.dropped += 1
            return False
        self.statistics.messages += 1
        return True

    async def send(self, header: Header, frames: Sequence[Frame] = ()) -> None:
        """Send; wait while the edge is full."""
        parts = encode_message(header, frames)
        async with self._lock:
            waited = False
            while True:
                try:
                    self._socket.send_multipart(parts, zmq.NOBLOCK, copy=True)
                    break
                except zmq.Again:
                    waited = True
                    await _wait_ready(self._socket, zmq.POLLOUT)
            self.statistics.messages += 1
            self.statistics.waits += waited

    def close(self) -> None:
        self._socket.close()


class Post:
    """All the edges of one process. Made after the fork, never carried across one."""

    def __init__(self, runtime_dir: Path, actor: str, *, bound: int) -> None:
        self._context: zmq.Context[Any] = zmq.Context(io_threads=1)
        self._runtime_dir = runtime_dir
        self._actor = actor
        self._bound = bound
        self._outboxes: dict[tuple[str, str], Outbox] = {}
        self._inboxes: list[Inbox] = []

    def inbox(self, plane: str) -> Inbox:
        inbox = Inbox(self._context, endpoint(self._runtime_dir, self._actor, plane), bound=self._bound)
        self._inboxes.append(inbox)
        return inbox

    def outbox(self, actor: str, plane: str = "data") -> Outbox:
        """Return the edge to an actor's inbox, connected at the first call."""
        key = (actor, plane)
        outbox = self._outboxes.get(key)
        if outbox is None:
            address = endpoint(self._runtime_dir, actor, plane)
            outbox = self._outboxes[key] = Outbox(self._context, address, bound=self._bound)
        return outbox

    def statistics(self) -> dict[str, EdgeStatistics]:
        """Return what passed over each data edge out of here, by the actor that it leads to."""
        return {actor: box.statistics for (actor, plane), box in self._outboxes.items() if plane == "data"}

    def close(self) -> None:
        for outbox in self._outboxes.values():
            outbox.close()
        for inbox in self._inboxes:
            inbox.close()
        self._context.term()
