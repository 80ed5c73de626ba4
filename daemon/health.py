"""The health of every actor, as the status frame and as REST shows it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from daemon.topology import ChildSpec
from protocol.messages import Beat, Status

STATES = ("ok", "starting", "degraded", "down")


class ChildHealth:
    """One actor's health over all its incarnations."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.state = "starting"
        self.note = ""
        self.pid = 0
        self.restarts = 0
        self.restart_ms = 0  # from its last death to the heartbeat that said it was ready again
        self.disturbed = False  # it died since the last status frame, however fast it was back
        self.gauges: dict[str, int] = {}
        self._counters: Counter[str] = Counter()  # of this incarnation
        self._counted: Counter[str] = Counter()  # of those before

    @property
    def counters(self) -> dict[str, int]:
        """Counters summed over incarnations, so that they only grow."""
        total = Counter(self._counted)
        total.update(self._counters)
        return dict(total)

    def take_beat(self, beat: Beat) -> None:
        self.state, self.note = beat.state, beat.note
        self._counters = Counter(beat.counters)
        for actor, edge in beat.edges.items():
            self._counters[f"edge_{actor}_messages"] = edge.messages
            self._counters[f"edge_{actor}_waits"] = edge.waits
            self._counters[f"edge_{actor}_dropped"] = edge.dropped
        self.gauges = beat.gauges

    def take_death(self, *, down: bool, note: str) -> None:
        self._counted += self._counters
        self._counters = Counter()
        self.state = "down" if down else "starting"
        self.note, self.disturbed = note, True
        self.restarts += 1
        self.pid = 0

    def shown_state(self) -> str:
        """Return the state for a status frame: a death between two frames is seen in one of them."""
        if self.state == "ok" and self.disturbed:
            return "starting"
        return self.state if self.state in STATES else "starting"

    def describe(self) -> dict[str, Any]:
        return {
            "role": self.spec.role,
            "state": self.shown_state(),
            "note": self.note,
            "pid": self.pid,
            "restarts": self.restarts,
            "restart_ms": self.restart_ms,
            "counters": self.counters,
            "gauges": self.gauges,
        }


def make_status(
    children: Iterable[ChildHealth],
    *,
    ts_ns: int,
    throughput_eps: int,
    queue_max: int,
    about: dict[str, Any],
) -> Status:
    """Return the heartbeat; the disturbances it shows are then forgotten."""
    children = list(children)
    status = Status(
        ts_ns,
        throughput_eps,
        sum(child.gauges.get("queue_depth", 0) for child in children if child.spec.role == "receiver"),
        queue_max,
        {child.spec.name: child.shown_state() for child in children if child.spec.role == "receiver"},
        {child.spec.name: child.shown_state() for child in children if child.spec.role == "detector"},
        {**about, "actors": {child.spec.name: child.describe() for child in children}},
    )
    for child in children:
        child.disturbed = False
    return status
