"""The syslog receiver: RFC 5426 (UDP), RFC 6587 (TCP) and RFC 5425 (TLS) on the sockets that the supervisor has bound.

A connection is accepted only when there is a slot for it: whoever waits does so in the kernel's backlog and holds no
descriptor here. A TLS client has one of a few slots for its handshake, and one for its connection only after it.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Awaitable, Callable

import msgspec
import trio

from actors.context import Context
from actors.receivers.framing import Framing
from actors.receivers.intake import Intake, IntakeSettings
from actors.receivers.kernel_drops import KernelDrops
from actors.receivers.tls import (
    CertificateFiles,
    Certificates,
    HandshakeError,
    Refusals,
    close,
    name_of,
    shake_hands,
)
from protocol.metrics import SyslogMetrics
from protocol.records import Record

MAX_MESSAGE_BYTES = 65_536
MAX_CONNECTIONS = 1_024  # over TCP and TLS together
MAX_HANDSHAKES = 128  # at once
ACCEPT_AGAIN_S = 0.1  # after the kernel had no descriptor for a connection
RECEIVE_BYTES = 65_536
DATAGRAMS_AT_ONCE = 512
KERNEL_DROPS = "kernel_drops"  # among the cursors: what the kernel had dropped when it was last asked
LOOK_AT_DROPS_S = 1.0
MAX_DRAIN_S = 2.0  # and how long it may go on talking
DRAIN_SILENCE_S = 0.2  # after a drain began: how long a connection may stay silent before it is closed


class Settings(IntakeSettings, frozen=True):
    source: str = "syslog"
    tls_certificate: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""


Serve = Callable[[trio.SocketStream], Awaitable[None]]


class SyslogReceiver:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._settings = msgspec.convert(context.settings, Settings)
        self._intake = Intake(context, self._settings)
        self._report = context.report
        self._metrics = self._report.measure(SyslogMetrics)
        self._draining = False
        self._drain_deadline_s = math.inf  # when a connection that goes on talking is closed
        self._slots = trio.CapacityLimiter(MAX_CONNECTIONS)
        self._handshakes = trio.CapacityLimiter(MAX_HANDSHAKES)
        self._open = 0
        files = CertificateFiles(
            self._settings.tls_certificate, self._settings.tls_key, self._settings.tls_client_ca
        )
        self._certificates = Certificates(files, self._report)
        self._refusals = Refusals(self._report)
        self._connections: trio.Nursery

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

    async def _count_drops(self, drops: KernelDrops) -> None:
        while True:
            self._take_drops(drops)
            await trio.sleep(LOOK_AT_DROPS_S)

    def _take_drops(self, drops: KernelDrops) -> None:
        if dropped := drops.take():
            self._intake.set_cursors({**self._intake.cursors, KERNEL_DROPS: drops.cursor()})
            self._report.drop("kernel_udp", dropped)

    # -- TCP and TLS

    async def _accept(self, listening: socket.socket, slots: trio.CapacityLimiter, serve: Serve, into: trio.Nursery) -> None:
        """Serve each connection in the nursery `into`, as many at once as there are slots."""
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        while True:
            holder = object()
            await slots.acquire_on_behalf_of(holder)
            try:
                stream = await listener.accept()
            except OSError:
                slots.release_on_behalf_of(holder)
                await trio.sleep(ACCEPT_AGAIN_S)
            else:
                into.start_soon(self._hold, slots, holder, serve, stream)

    async def _hold(self, slots: trio.CapacityLimiter, holder: object, serve: Serve, stream: trio.SocketStream) -> None:
        try:
            await serve(stream)
        finally:
            slots.release_on_behalf_of(holder)

    async def _serve_tcp(self, stream: trio.SocketStream) -> None:
        try:
            peer = _peer(stream.socket.getpeername())
        except OSError:  # it has gone already
            self._metrics.connections_broken += 1
            await trio.aclose_forcefully(stream)
        else:
            await self._serve(stream, peer)

    async def _serve_tls(self, stream: trio.SocketStream) -> None:
        """See who it is, and serve the connection beside; the slot of the handshake is then free again."""
        peer = ""
        try:
            peer = _peer(stream.socket.getpeername())
            inside = await shake_hands(stream, self._certificates)
        except OSError:
            self._refusals.add(peer, HandshakeError("it has gone already"))
            await trio.aclose_forcefully(stream)
        except HandshakeError as error:
            self._refusals.add(peer, error)
        else:
            name = name_of(inside)
            self._connections.start_soon(self._serve_if_free, inside, f"{peer} {name}" if name else peer)

    async def _serve_if_free(self, stream: trio.abc.Stream, peer: str) -> None:
        holder = object()
        try:
            self._slots.acquire_on_behalf_of_nowait(holder)
        except trio.WouldBlock:
            self._metrics.refused_connections += 1
            await trio.aclose_forcefully(stream)
            return
        try:
            await self._serve(stream, peer)
        finally:
            self._slots.release_on_behalf_of(holder)

    async def _serve(self, stream: trio.abc.Stream, peer: str) -> None:
        self._count_open(1)
        try:
            await self._read_connection(stream, peer)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            self._metrics.connections_broken += 1
        finally:
            self._count_open(-1)
            await close(stream)

    def _count_open(self, change: int) -> None:
        self._open += change
        self._metrics.connections = self._open

    async def _read_connection(self, stream: trio.abc.Stream, peer: str) -> None:
        framer = Framing(MAX_MESSAGE_BYTES)
        try:
            while True:
                await self._intake.wait_credit()
                with trio.move_on_after(DRAIN_SILENCE_S if self._draining else 1.0) as patience:
                    received = await stream.receive_some(RECEIVE_BYTES)
                if patience.cancelled_caught:
                    if self._draining:
                        break
                    continue
                if not received:
                    break
                await self._take(framer.feed(bytes(received)), peer)
                if trio.current_time() > self._drain_deadline_s:
                    break
        finally:
            self._intake.put_nowait(self._records(framer.close(), peer))

    async def _take(self, messages: list[tuple[bytes, bool]], peer: str) -> None:
        await self._intake.put(self._records(messages, peer))

    def _records(self, messages: list[tuple[bytes, bool]], peer: str) -> list[Record]:
        source, now_ns = self._settings.source, time.time_ns()
        records = [Record(now_ns, source, "syslog", peer, body, cut) for body, cut in messages]
        if cuts := sum(cut for _, cut in messages):
            self._metrics.cut_records += cuts
        return records

    # -- life

    async def run(self) -> None:
        sockets = self._context.sockets
        async with trio.open_nursery() as moving:
            moving.start_soon(self._intake.run)
            async with trio.open_nursery() as connections, trio.open_nursery() as listening:
                if "udp" in sockets:
                    drops = KernelDrops(sockets["udp"], self._intake.cursors.get(KERNEL_DROPS, {}))
                    listening.start_soon(self._receive_udp, sockets["udp"])
                    listening.start_soon(self._count_drops, drops)
                self._connections = connections
                if "tcp" in sockets:
                    listening.start_soon(self._accept, sockets["tcp"], self._slots, self._serve_tcp, connections)
                self._report.ready()
                if "tls" in sockets:
                    self._certificates.current()
                    listening.start_soon(self._accept, sockets["tls"], self._handshakes, self._serve_tls, listening)
                await self._context.wait_drain()
                self._draining = True
                self._drain_deadline_s = trio.current_time() + MAX_DRAIN_S
                if "udp" in sockets:
                    self._intake.put_nowait(self._read_datagrams(sockets["udp"]))
                    self._take_drops(drops)
                listening.cancel_scope.cancel()
            await self._intake.drain()
            moving.cancel_scope.cancel()


def _peer(address: tuple[str, int]) -> str:
    """Return the address of a sender; one of IPv4 that came to a socket of IPv6 as what it is."""
    return address[0].removeprefix("::ffff:")


async def run(context: Context) -> None:
    await SyslogReceiver(context).run()
