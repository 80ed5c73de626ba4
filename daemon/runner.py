"""The process of an actor after the fork: transport, heartbeats, commands, and the actor itself."""

from __future__ import annotations

import ctypes
import gc
import importlib
import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import trio

from actors.context import Report
from actors.signal import Signal
from daemon.emitter import Emitter
from daemon.logs import set_up_logging
from daemon.trace import Trace, write_failure
from daemon.transport import Post
from protocol.edges import BOUND, Outputs
from protocol.messages import BatchKey, Beat, Command, EdgeCounts, Frame, Header, Isolate, Notice, Quarantine, Rewire

BEAT_S = 0.25
MAX_VERDICTS = 64
DRAINED_IDLE_S = 0.05  # an inbox that stays empty so long after the drain began is drained

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15

log = logging.getLogger(__name__)


class Assignment(msgspec.Struct, frozen=True):
    """Everything an actor's process needs to know. Crosses the fork as msgpack."""

    actor: str
    incarnation: int
    target: str  # `actors.parsing.actor`: a module with `async def run(context)`
    settings: dict[str, Any]
    state_dir: str
    runtime_dir: str
    supervisor_pid: int
    socket_names: tuple[str, ...] = ()
    outputs: Outputs = {}  # edges that lead out of it
    poison: tuple[tuple[int, int, int], ...] = ()  # spool tag, first and last sequence of what it died of more than once


class ActorContext:
    """`actors.context.Context` over ZeroMQ."""

    def __init__(self, assignment: Assignment, sockets: Mapping[str, socket.socket]) -> None:
        self.name = assignment.actor
        self.settings = assignment.settings
        self.sockets = sockets
        self.state_dir = Path(assignment.state_dir)
        self.report = Report()
        self._incarnation = assignment.incarnation
        self._post = Post(
            Path(assignment.runtime_dir), assignment.actor, bound=BOUND, incarnation=assignment.incarnation
        )
        self._emitter = Emitter(self._post, assignment.actor, assignment.outputs)
        self._data = self._post.inbox("data")
        self._commands = self._post.inbox("control")
        self._supervisor = self._post.outbox("supervisor", "control")
        self._drain = trio.Event()
        self._receiving = trio.CancelScope()
        self._resend = Signal()
        self._resends = self._resends_seen = 0
        self._say_verdict, self._verdicts = trio.open_memory_channel[Isolate | Quarantine](MAX_VERDICTS)
        self._trace = Trace(Path(assignment.runtime_dir), assignment.actor)
        self._poison = assignment.poison

    async def messages(self) -> AsyncIterator[tuple[Header, Sequence[Frame]]]:
        while True:
            self.begin(None)
            with trio.CancelScope() as self._receiving:
                if self._drain.is_set():
                    self._receiving.deadline = trio.current_time() + DRAINED_IDLE_S
                message = await self._data.receive()
            if self._receiving.cancelled_caught:
                return
            self.begin(getattr(message[0], "key", None))
            yield message

    async def emit(self, header: Header, frames: Sequence[Frame] = (), *, to: str = "") -> tuple[str, ...]:
        return await self._emitter.emit(header, frames, to=to)

    def emit_nowait(self, header: Header, frames: Sequence[Frame] = (), *, to: str = "") -> tuple[str, ...]:
        return self._emitter.emit_nowait(header, frames, to=to)

    def tell(self, kind: str, text: str, *, severity: int = 13, **fields: Any) -> None:
        self.emit_nowait(Notice(kind, text, time.time_ns(), severity, {"actor": self.name} | fields))

    async def wait_drain(self) -> None:
        await self._drain.wait()

    async def wait_resend(self) -> None:
        while self._resends == self._resends_seen:
            await self._resend.wait()
        self._resends_seen = self._resends

    def begin(self, key: BatchKey | None) -> None:
        self._trace.write(key)

    def is_poison(self, key: BatchKey) -> bool:
        return any(key.tag == tag and key.first <= last and key.last >= first for tag, first, last in self._poison)

    async def wait_verdict(self) -> Isolate | Quarantine:
        return await self._verdicts.receive()

    # -- to and from the supervisor

    async def follow_commands(self) -> None:
        while True:
            message, _ = await self._commands.receive()
            if isinstance(message, Command) and message.verb == "drain":
                self._drain.set()
                self._receiving.deadline = trio.current_time() + DRAINED_IDLE_S
            elif isinstance(message, Command) and message.verb == "resend":
                self._resends += 1
                self._resend.set()
            elif isinstance(message, Rewire):
                self._emitter.rewire(message.outputs)
            elif isinstance(message, Isolate | Quarantine):
                with suppress(trio.WouldBlock):  # it will be said again if the actor dies of it again
                    self._say_verdict.send_nowait(message)

    def _beat(self) -> Beat:
        report, edges = self.report, self._post.statistics()
        return Beat(
            self.name,
            self._incarnation,
            report.state,
            report.note,
            report.counters,
            report.gauges,
            report.spool,
            report.committed,
            {actor: EdgeCounts(edge.messages, edge.waits, edge.dropped) for actor, edge in edges.items()},
            self._data.passed,
        )

    async def beat(self) -> None:
        """Tell the supervisor that the actor's own loop turns, and how the actor is; another state it hears at once."""
        while True:
            self._supervisor.send_nowait(self._beat())
            with trio.move_on_after(BEAT_S):
                await self.report.changed.wait()

    def close(self) -> None:
        self.report.drained()
        self._supervisor.send_nowait(self._beat())
        self._post.close()


async def _run_actor(assignment: Assignment, sockets: Mapping[str, socket.socket]) -> None:
    run: Callable[[ActorContext], Awaitable[None]] = importlib.import_module(assignment.target).run
    context = ActorContext(assignment, sockets)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(context.beat)
        nursery.start_soon(context.follow_commands)
        await run(context)
        nursery.cancel_scope.cancel()
    context.close()


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions inside the groups that nurseries make."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def _die_with(supervisor_pid: int) -> None:
    """Ask the kernel to kill this process when its parent, the supervisor, is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor_pid:
        os._exit(1)


def _name_process(name: str) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_NAME, f"tocsin:{name}"[:15].encode(), 0, 0, 0)


def run_in_fork(raw: bytes, sockets: Sequence[socket.socket]) -> int:
    """Run the assigned actor to its end in this freshly forked process; return the exit status."""
    assignment = msgspec.msgpack.decode(raw, type=Assignment)
    _die_with(assignment.supervisor_pid)
    _name_process(assignment.actor)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # the supervisor decides when and in which order actors end
    gc.enable()
    set_up_logging(assignment.actor)
    try:
        trio.run(_run_actor, assignment, dict(zip(assignment.socket_names, sockets, strict=True)))
    except BaseException as error:
        failure = "".join(line for leaf in leaves(error) for line in traceback.format_exception(leaf))
        log.error("the actor failed:\n%s", failure)
        write_failure(Path(assignment.runtime_dir), assignment.actor, failure)
        return 1
    finally:
        sys.stderr.flush()
    return 0
