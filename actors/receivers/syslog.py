"""The syslog receiver: RFC 5426 (UDP) and RFC 6587 (TCP) on the sockets that the supervisor has bound."""

from __future__ import annotations

import math
import socket
import time

import msgspec
import trio

from actors.context import Context
from actors.receivers.framing import Framing
from actors.receivers.intake import Intake, IntakeSettings
from protocol.records import Record

MAX_MESSAGE_BYTES = 65_536
MAX_CONNECTIONS = 1_024
RECEIVE_BYTES = 65_536
DATAGRAMS_AT_ONCE = 512
MOST_LAST_WORDS_S = 2.0  # and how long it may go on talking
LAST_WORDS_S = 0.2  # after a drain began: how long a connection may stay silent before it is closed


class Settings(IntakeSettings, frozen=True):
    source: str = "syslog"


class SyslogReceiver:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._settings = msgspec.convert(context.settings, Settings)
        self._intake = Intake(context, self._settings)
        self._report = context.report
        self._draining = False
        self._last_words_s = math.inf  # when a connection that goes on talking is closed
        self._slots = trio.CapacityLimiter(MAX_CONNECTIONS)

    # -- UDP

    async def _receive_udp(self, udp: socket.socket) -> None:
        udp.setblocking(False)
        while True:
            await trio.lowlevel.wait_readable(udp)
            self._intake.put_nowait(self._read_datagrams(udp))
            await trio.lowlevel.checkpoint()

    def _read_datagrams(self, udp: socket.socket) -> list[Record]:
        records = []
        source, now_ns = self._settings.source, time.time_ns()
        try:
            for _ in range(DATAGRAMS_AT_ONCE):
                body, peer = udp.recvfrom(MAX_MESSAGE_BYTES)
                records.append(Record(now_ns, source, "syslog", _peer(peer), body))
        except BlockingIOError:
            pass
        return records

    # -- TCP

    async def _serve_tcp(self, stream: trio.SocketStream) -> None:
        try:
            peer = _peer(stream.socket.getpeername())
            async with self._slots, stream:
                self._report.gauges["connections"] = self._slots.borrowed_tokens
                await self._read_connection(stream, peer)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            self._report.counters["connections_broken"] += 1
        finally:
            self._report.gauges["connections"] = self._slots.borrowed_tokens

    async def _read_connection(self, stream: trio.SocketStream, peer: str) -> None:
        framer = Framing(MAX_MESSAGE_BYTES)
        try:
            while True:
                await self._intake.wait_credit()
                with trio.move_on_after(LAST_WORDS_S if self._draining else 1.0) as patience:
                    received = await stream.receive_some(RECEIVE_BYTES)
                if patience.cancelled_caught:
                    if self._draining:
                        break
                    continue
                if not received:
                    break
                await self._take(framer.feed(bytes(received)), peer)
                if trio.current_time() > self._last_words_s:
                    break
        finally:
            self._intake.put_nowait(self._records(framer.close(), peer))

    async def _take(self, messages: list[tuple[bytes, bool]], peer: str) -> None:
        await self._intake.put(self._records(messages, peer))

    def _records(self, messages: list[tuple[bytes, bool]], peer: str) -> list[Record]:
        source, now_ns = self._settings.source, time.time_ns()
        records = [Record(now_ns, source, "syslog", peer, body, cut) for body, cut in messages]
        if cuts := sum(cut for _, cut in messages):
            self._report.counters["cut_records"] += cuts
        return records

    # -- life

    async def run(self) -> None:
        sockets = self._context.sockets
        async with trio.open_nursery() as moving:
            moving.start_soon(self._intake.run)
            async with trio.open_nursery() as connections, trio.open_nursery() as listening:
                if "udp" in sockets:
                    listening.start_soon(self._receive_udp, sockets["udp"])
                if "tcp" in sockets:
                    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sockets["tcp"]))
                    listening.start_soon(self._listen, listener, connections)
                self._report.ok()
                await self._context.wait_drain()
                self._draining = True
                self._last_words_s = trio.current_time() + MOST_LAST_WORDS_S
                if "udp" in sockets:
                    self._intake.put_nowait(self._read_datagrams(sockets["udp"]))
                listening.cancel_scope.cancel()
            await self._intake.drain()
            moving.cancel_scope.cancel()

    async def _listen(self, listener: trio.SocketListener, connections: trio.Nursery) -> None:
        await trio.serve_listeners(self._serve_tcp, [listener], handler_nursery=connections)


def _peer(address: tuple[str, int]) -> str:
    """Return the address of a sender; one of IPv4 that came to a socket of IPv6 as what it is."""
    return address[0].removeprefix("::ffff:")


async def run(context: Context) -> None:
    await SyslogReceiver(context).run()
