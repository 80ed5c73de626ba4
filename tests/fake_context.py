"""`actors.context.Context` in memory: the transport's test double, and a recorder that acknowledges as the real one does."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import trio

from actors.context import Report
from actors.signal import Signal
from daemon.configuration import Configuration
from daemon.configuration_loader import read_configuration
from daemon.routes import outputs_of
from daemon.topology import child_specs
from protocol.edges import ALL_FRAMES, Edge
from protocol.messages import (
    Acknowledged,
    BatchKey,
    Frame,
    Header,
    Isolate,
    Quarantine,
    Records,
    decode_records,
    type_name,
)
from protocol.records import Record


@cache
def everything() -> Configuration:
    """Return a configuration with every actor that there is."""
    return read_configuration(None, {"TOCSIN_RECEIVERS__JOURNALD__ENABLED": "true"})


class FakeContext:
    """What is sent is kept in `sent`; `deliver` puts a message into the inbox."""

    def __init__(self, folder: Path, name: str = "syslog", *, kind: str = "receiver", **settings: Any) -> None:
        """`kind`: of an actor that no configuration has."""
        self.name = name
        specs = {spec.name: spec for spec in child_specs(everything())}
        own = dict(specs[name].settings) if name in specs else {}
        self.settings: Mapping[str, Any] = own | {"window": 100, "spool_bytes": 1 << 20} | settings
        self.sockets: Mapping[str, socket.socket] = {}
        self.state_dir = folder
        self.report = Report()
        self.sent: list[tuple[str, Header, Sequence[Frame]]] = []
        kinds = {name: spec.kind for name, spec in specs.items()}
        self.outputs = outputs_of(name, kinds.get(name, kind), kinds)  # those of the actor of this name
        self.full: set[str] = set()  # actors whose edge is full
        self.changed = Signal()
        self.handling: BatchKey | None = None
        self.say_verdict, self._verdicts = trio.open_memory_channel[Isolate | Quarantine](100)
        self.told: list[tuple[str, str]] = []
        self._deliver, self._inbox = trio.open_memory_channel[tuple[Header, Sequence[Frame]]](1_000)
        self._drain = trio.Event()
        self._receiving = trio.CancelScope()
        self._resends = self._seen = 0

    # -- what the actor sees

    async def messages(self) -> AsyncIterator[tuple[Header, Sequence[Frame]]]:
        while True:
            with trio.move_on_after(0.05 if self._drain.is_set() else float("inf")) as self._receiving:
                message = await self._inbox.receive()
            if self._receiving.cancelled_caught:
                return
            yield message

    def _edges(self, header: Header, to: str) -> list[Edge]:
        return [edge for edge in self.outputs[type_name(type(header))] if not to or edge.to == to]

    async def emit(self, header: Header, frames: Sequence[Frame] = (), *, to: str = "") -> tuple[str, ...]:
        await trio.lowlevel.checkpoint()
        given = []
        for edge in self._edges(header, to):
            while edge.to in self.full and edge.when_full == "wait":
                await self.changed.wait()
            if edge.to not in self.full:
                self._keep(edge, header, frames)
                given.append(edge.to)
        return tuple(given)

    def emit_nowait(self, header: Header, frames: Sequence[Frame] = (), *, to: str = "") -> tuple[str, ...]:
        open_edges = [edge for edge in self._edges(header, to) if edge.to not in self.full]
        for edge in open_edges:
            self._keep(edge, header, frames)
        return tuple(edge.to for edge in open_edges)

    def _keep(self, edge: Edge, header: Header, frames: Sequence[Frame]) -> None:
        self.sent.append((edge.to, header, frames if edge.frames == ALL_FRAMES else frames[: edge.frames]))
        self.changed.set()

    def tell(self, kind: str, text: str, *, severity: int = 13, **fields: Any) -> None:
        self.told.append((kind, text))

    def begin(self, key: BatchKey | None) -> None:
        self.handling = key

    def is_poison(self, key: BatchKey) -> bool:
        return False

    async def wait_verdict(self) -> Isolate | Quarantine:
        return await self._verdicts.receive()

    async def wait_drain(self) -> None:
        await self._drain.wait()

    async def wait_resend(self) -> None:
        while self._resends == self._seen:
            await self.changed.wait()
        self._seen = self._resends

    # -- what the test does

    def drain(self) -> None:
        self._drain.set()
        self._receiving.deadline = trio.current_time() + 0.05

    def announce_loss(self) -> None:
        self._resends += 1
        self.changed.set()

    def deliver(self, header: Header, frames: Sequence[Frame] = ()) -> None:
        self._deliver.send_nowait((header, frames))

    def batches(self) -> list[tuple[BatchKey, list[Record]]]:
        """Return the batches that were sent, oldest first."""
        return [(header.key, decode_records(frames[0])) for _, header, frames in self.sent if isinstance(header, Records)]

    def bodies(self) -> list[bytes]:
        return [record.body for _, records in self.batches() for record in records]


class FakeRecorder:
    """Commits what is sent, by the rules of `actors.storage.writer`, and acknowledges it."""

    def __init__(self, context: FakeContext) -> None:
        self._context = context
        self._seen = 0
        self.positions: dict[int, int] = {}
        self.committed: list[Record] = []
        self.out_of_order = 0

    def take_all(self, *, acknowledge: bool = True) -> None:
        batches = self._context.batches()
        for key, records in batches[self._seen :]:
            position = max(self.positions.get(key.tag, key.base), key.base)
            if key.first > position + 1:
                self.out_of_order += 1
            else:
                self.committed += records[position + 1 - key.first :]
                self.positions[key.tag] = position = max(position, key.last)
            if acknowledge:
                self._context.deliver(Acknowledged(key.tag, position))
        self._seen = len(batches)

    async def run(self) -> None:
        while True:
            self.take_all()
            await self._context.changed.wait()

    @property
    def bodies(self) -> list[bytes]:
        return [record.body for record in self.committed]
