"""The context that the runner gives an actor: mailboxes, health, listening sockets and a directory for its state.

An actor is an `async def run(context: Context)`. It reads its inbox, emits messages, and returns when it has drained;
who hears a message stands in its child spec. It opens no ZeroMQ socket and knows no process but its own.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from actors.bus import Bus
from actors.signal import Signal
from protocol.messages import BatchKey, Isolate, Quarantine, SpoolAccount
from protocol.metrics import DropReason, Metrics

# What can be wrong with an actor that works; `docs/operations.md` explains each.
Condition = Literal[
    "certificate", "files", "journalctl", "quarantine", "reading", "rules", "spool", "store", "sync", "templates"
]
State = Literal["starting", "ok", "degraded", "drained"]

M = TypeVar("M", bound=Metrics)


class Report:
    """An actor's own account of itself; the runner sends it to the supervisor with every heartbeat.

    Its state is derived: `degraded` while any condition is set, else `ok` once it is ready, `starting` before.
    """

    def __init__(self) -> None:
        self.progress = ""  # what it is at while it starts, for people
        self.dropped: Counter[DropReason] = Counter()  # what was lost, by reason
        self.statistics: dict[str, int] = {}  # sizes of a state, by names that a detector or follower gives them
        self.spool: SpoolAccount | None = None  # of receivers
        self.committed: dict[str, int] = {}  # of the recorder: {account of a spool: records stored}
        self.changed = Signal()  # the state is another one
        self._metrics: list[Metrics] = []
        self._conditions: dict[Condition, str] = {}
        self._is_ready = self._has_drained = False

    # -- state

    @property
    def state(self) -> State:
        if self._has_drained:
            return "drained"
        if self._conditions:
            return "degraded"
        return "ok" if self._is_ready else "starting"

    @property
    def note(self) -> str:
        """Why the state is not `ok`, for people."""
        return "; ".join(self._conditions.values()) or ("" if self._is_ready else self.progress)

    def ready(self) -> None:
        """Say that the actor has started."""
        self._is_ready = True
        self.changed.set()

    def drained(self) -> None:
        """Say that the actor has ended as it was told to."""
        self._has_drained = True

    def set(self, condition: Condition, note: str) -> bool:
        """Set a condition; tell whether it was clear before. Only its owner, which sets it, clears it."""
        is_new = condition not in self._conditions
        self._conditions[condition] = note
        if is_new:
            self.changed.set()
        return is_new

    def clear(self, condition: Condition) -> bool:
        """Clear a condition; tell whether it was set before."""
        was_set = self._conditions.pop(condition, None) is not None
        if was_set:
            self.changed.set()
        return was_set

    def has(self, condition: Condition) -> bool:
        """Tell whether a condition is set."""
        return condition in self._conditions

    # -- numbers

    def measure(self, kind: type[M]) -> M:
        """Return numbers that the report shows from now on."""
        numbers = kind()
        self._metrics.append(numbers)
        return numbers

    def drop(self, reason: DropReason, count: int) -> None:
        """Count lost records."""
        self.dropped[reason] += count

    @property
    def counters(self) -> Counter[str]:
        """All counters by name, those of drops as `dropped_` and the reason."""
        total = Counter({f"dropped_{reason}": count for reason, count in self.dropped.items()})
        for numbers in self._metrics:
            for name, value in numbers.of_kind("counter"):
                total[name] += value
        return total

    @property
    def gauges(self) -> dict[str, int]:
        """All gauges by name, statistics among them."""
        return {name: value for numbers in self._metrics for name, value in numbers.of_kind("gauge")} | self.statistics


class Context(Bus, Protocol):
    """An actor's way to everything outside of it."""

    name: str
    settings: Mapping[str, Any]  # this actor's part of the configuration
    sockets: Mapping[str, socket.socket]  # bound by the supervisor, by name
    state_dir: Path
    report: Report

    def tell(self, kind: str, text: str, *, severity: int = 13, **fields: Any) -> None:
        """Put a notice of the daemon itself into the stream, as an event of the internal receiver."""
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
        """Return the next verdict on a batch of this receiver that has killed an actor. Cancelled, none is lost."""
        ...

    async def wait_drain(self) -> None:
        """Return when the supervisor has told this actor to finish."""
        ...

    async def wait_resend(self) -> None:
        """Return when something downstream was lost since the last call. Cancelled, the loss is told to the next call."""
        ...
