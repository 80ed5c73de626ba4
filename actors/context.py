"""What an actor is given by the runner: mailboxes, health, its listening sockets and a place for its state.

An actor is an `async def run(context: Context)`. It reads its inbox, emits messages, and returns when it has drained;
who hears a message stands in its child spec. It opens no ZeroMQ socket and knows no process but its own.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from actors.signal import Signal
from protocol.messages import BatchKey, Frame, Header, Isolate, Quarantine


class Report:
    """An actor's own account of itself; the runner sends it to the supervisor with every heartbeat."""

    def __init__(self) -> None:
        self.state = "starting"  # starting, ok, degraded
        self.note = ""  # why, for people
        self.counters: Counter[str] = Counter()  # only ever grow
        self.gauges: dict[str, int] = {}
        self.ledger: dict[str, int] = {}  # of receivers and the recorder: what `daemon/ledger.py` reads
        self.changed = Signal()  # the state is another one

    def ok(self) -> None:
        self._become("ok", "")

    def degraded(self, note: str) -> None:
        self._become("degraded", note)

    def _become(self, state: str, note: str) -> None:
        if state != self.state:
            self.changed.set()
        self.state, self.note = state, note


class Context(Protocol):
    name: str
    settings: Mapping[str, Any]  # this actor's part of the configuration
    sockets: Mapping[str, socket.socket]  # bound by the supervisor, by name
    state_dir: Path
    report: Report

    def messages(self) -> AsyncIterator[tuple[Header, Sequence[Frame]]]:
        """Yield what arrives, until the actor is told to drain and its inbox is empty."""
        ...

    async def emit(self, header: Header, frames: Sequence[Frame] = (), *, to: str = "") -> tuple[str, ...]:
        """Send a message along every edge that the child spec has for its type; return the actors that were given it.

        An edge that waits is waited for while it is full; one that drops counts the drop. `to`: along this edge only.
        Cancelled while it waits, the edges before have the message, that one and those behind it have not.
        Raises LookupError for a type of message that no route lets this actor send.
        """
        ...

    def emit_nowait(self, header: Header, frames: Sequence[Frame] = (), *, to: str = "") -> tuple[str, ...]:
        """Do the same without waiting: an edge that is full drops the message, whatever its policy, and counts it."""
        ...

    def tell(self, kind: str, text: str, *, severity: int = 13, **fields: Any) -> None:
        """Put what the daemon itself has seen into the stream, as an event of the internal receiver."""
        ...

    def begin(self, key: BatchKey | None) -> None:
        """Say which batch is being handled from here on (None: none), should this actor die of it.

        `messages` says it for every message that names a batch; an actor that turns to another one says it itself.
        """
        ...

    def is_poison(self, key: BatchKey) -> bool:
        """Tell whether this actor has died of this batch, or a part of it, more than once."""
        ...

    async def wait_verdict(self) -> Isolate | Quarantine:
        """Return the next thing that is to be done with a batch of this receiver of which an actor has died."""
        ...

    async def wait_drain(self) -> None:
        """Return when the supervisor has told this actor to finish."""
        ...

    async def wait_resend(self) -> None:
        """Return when something downstream was lost since the last call."""
        ...
