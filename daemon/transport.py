"""ZeroMQ under Trio: the one module that knows both.

pyzmq has no Trio support. A socket's FD is edge-triggered: it tells that something may have changed, for reading or for
writing, and any call on the socket may swallow that edge. So each operation tries without blocking; on EAGAIN it reads
EVENTS, which also clears the edge; and only if EVENTS agrees that nothing can be done does it park on the FD, with no
await in between. Sockets here go one way (PULL in, PUSH out) and each has one task, so that no second direction can
swallow an edge. (ZeroMQ guide, "Working with the ZMQ_FD"; rejected: a thread per socket, and pyzmq's asyncio support.)

Edges: every actor binds an inbox for data and one for commands, `ipc://<runtime>/<actor>.<plane>`, and connects a PUSH
socket to each actor that it sends to. Both ends are bounded; a full edge is seen by `send` (it waits) and `send_nowait`
(it drops and counts). A dead peer's messages stay queued up to the bound for its successor, which binds the same path.

Every message carries a stamp as its last part: who sent it, in which incarnation, and its number on this edge. So the
receiving end sees what is missing between two messages that came; `daemon/ledger.py` makes the account of it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trio
import zmq

from protocol.messages import Frame, Header, Passed, decode_message, encode_message

MAX_IPC_PATH_BYTES = 107  # sockaddr_un, see unix(7)
RECONNECT_MS = 20
CALLS_BEFORE_CHECKPOINT = 32
MAX_SENDERS = 64  # that an inbox keeps an account of; a topology has a quarter as many

_STAMP = struct.Struct(">QI")  # number, incarnation; the sender's name follows


class EdgeStatistics:
    """The counts of an edge."""

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
        self.passed: dict[str, Passed] = {}  # {sender: what came from it}, at most MAX_SENDERS

    def receive_nowait(self) -> tuple[Header, Sequence[Frame]]:
        """Return a message that is here. Raises zmq.Again."""
        *parts, stamp = self._socket.recv_multipart(zmq.NOBLOCK)
        self._count(stamp)
        return decode_message(parts)

    def _count(self, stamp: bytes) -> None:
        number, incarnation = _STAMP.unpack_from(stamp)
        sender = stamp[_STAMP.size :].decode()
        self.passed[sender] = count_message(self.passed.get(sender), incarnation, number)
        if len(self.passed) > MAX_SENDERS:
            del self.passed[next(iter(self.passed))]

    async def receive(self) -> tuple[Header, Sequence[Frame]]:
        """Return the next message. Cancelled, it stays in the inbox."""
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


def count_message(before: Passed | None, incarnation: int, number: int) -> Passed:
    """Return the account of a sender after one more message from it. Pure.

    What is missing before the first message that an inbox ever got was sent to its predecessor; what comes late from a
    dead incarnation is handled, and says nothing of the living one.
    """
    if before is None:
        return Passed(incarnation, number, 1, 0)
    if incarnation < before.incarnation:
        return Passed(before.incarnation, before.number, before.handled + 1, before.gaps)
    expected = before.number + 1 if incarnation == before.incarnation else number
    return Passed(incarnation, number, before.handled + 1, before.gaps + number - expected)


class Outbox:
    """The sending end of one edge."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], address: str, *, bound: int, name: str = "", incarnation: int = 0
    ) -> None:
        self._socket = context.socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, bound)
        self._socket.setsockopt(zmq.LINGER, 500)
        self._socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        self._socket.connect(address)
        self._lock = trio.StrictFIFOLock()
        self._incarnation, self._name = incarnation, name.encode()
        self.statistics = EdgeStatistics()

    def _stamp(self) -> bytes:
        return _STAMP.pack(self.statistics.messages + 1, self._incarnation) + self._name

    def send_nowait(self, header: Header, frames: Sequence[Frame] = ()) -> bool:
        """Send if there is room; else count a drop and return False."""
        return self.send_parts_nowait(encode_message(header, frames))

    async def send(self, header: Header, frames: Sequence[Frame] = ()) -> None:
        """Send; wait while the edge is full. A send that is cancelled has not happened."""
        await self.send_parts(encode_message(header, frames))

    def send_parts_nowait(self, parts: Sequence[Frame]) -> bool:
        """Send an encoded message if there is room; else count a drop and return False."""
        try:
            self._socket.send_multipart([*parts, self._stamp()], zmq.NOBLOCK, copy=True)
        except zmq.Again:
            self.statistics.dropped += 1
            return False
        self.statistics.messages += 1
        return True

    async def send_parts(self, parts: Sequence[Frame]) -> None:
        """Send an encoded message; wait while the edge is full. A send that is cancelled has not happened."""
        async with self._lock:
            waited = False
            while True:
                try:
                    self._socket.send_multipart([*parts, self._stamp()], zmq.NOBLOCK, copy=True)
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

    def __init__(self, runtime_dir: Path, actor: str, *, bound: int, incarnation: int = 0) -> None:
        self._incarnation = incarnation
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

    def outbox(self, actor: str, plane: str = "data", *, bound: int = 0) -> Outbox:
        """Return the edge to an actor's inbox, connected at the first call; then `bound` messages wait here at most."""
        key = (actor, plane)
        outbox = self._outboxes.get(key)
        if outbox is None:
            address = endpoint(self._runtime_dir, actor, plane)
            outbox = self._outboxes[key] = Outbox(
                self._context, address, bound=bound or self._bound, name=self._actor, incarnation=self._incarnation
            )
        return outbox

    def forget(self, actor: str, plane: str) -> None:
        """Close an edge that is not used again; messages that were sent still go out."""
        if (outbox := self._outboxes.pop((actor, plane), None)) is not None:
            outbox.close()

    def statistics(self) -> dict[str, EdgeStatistics]:
        """Return the counts of each data edge that leads out, by the actor at its end."""
        return {actor: box.statistics for (actor, plane), box in self._outboxes.items() if plane == "data"}

    def close(self) -> None:
        for outbox in self._outboxes.values():
            outbox.close()
        for inbox in self._inboxes:
            inbox.close()
        self._context.term()
