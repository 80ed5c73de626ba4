"""Health as Prometheus text (exposition format 0.0.4). Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from protocol.metrics import DAEMON, METRICS, Kind

STATES = ("ok", "starting", "degraded", "down")
_EDGE = re.compile(r"edge_(\w+)_(messages|waits|dropped)")
_DROPPED = re.compile(r"dropped_(\w+)")


def exposed_name(name: str, kind: Kind) -> str:
    """Return the name under which a number is exposed."""
    return f"tocsin_{name}_total" if kind == "counter" else f"tocsin_{name}"


def _help() -> Iterator[tuple[str, str]]:
    for catalogue in (METRICS, DAEMON):
        for name, metric in catalogue.items():
            unit = f" ({metric.unit})" if metric.unit and metric.unit not in metric.help else ""
            yield exposed_name(name, metric.kind), metric.help + unit


HELP = dict(_help())
HELP_OF_OTHERS = "a size of the state of its actor"  # a detector or a follower names those itself


class Exposition:
    """Samples by metric, so that each metric's lines stand together."""

    def __init__(self) -> None:
        self._samples: dict[tuple[str, Kind], list[str]] = defaultdict(list)

    def add(self, name: str, kind: Kind, value: float, **labels: str) -> None:
        """Add a sample of a metric that is called `name` in `protocol.metrics`."""
        exposed = exposed_name(name, kind)
        text = ",".join(f'{key}="{_escape(label)}"' for key, label in labels.items())
        self._samples[exposed, kind].append(f"{exposed}{{{text}}} {value}" if text else f"{exposed} {value}")

    def text(self) -> str:
        lines = []
        for (name, kind), samples in sorted(self._samples.items()):
            lines += [f"# HELP {name} {HELP.get(name, HELP_OF_OTHERS)}", f"# TYPE {name} {kind}", *samples]
        return "\n".join(lines) + "\n"


def _escape(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def expose(health: Mapping[str, Any], *, throughput_eps: int, queue_depth: int, queue_max: int) -> str:
    """Return the metrics of the whole daemon."""
    out = Exposition()
    out.add("throughput_events_per_second", "gauge", throughput_eps)
    out.add("queue_depth_records", "gauge", queue_depth)
    out.add("queue_max_records", "gauge", queue_max)
    for actor, account in health.get("actors", {}).items():
        out.add("actor_restarts", "counter", account["restarts"], actor=actor)
        out.add("actor_restart_seconds", "gauge", account["restart_ms"] / 1_000, actor=actor)
        for state in STATES:
            out.add("actor_state", "gauge", int(account["state"] == state), actor=actor, state=state)
        for name, value in account["counters"].items():
            _add_counter(out, actor, name, value)
        for name, value in account["gauges"].items():
            out.add(name, "gauge", value, actor=actor)
    _add_ledger(out, health.get("ledger", {}))
    return out.text()


def _add_ledger(out: Exposition, ledger: Mapping[str, Any]) -> None:
    for receiver, account in ledger.get("sources", {}).items():
        out.add("ledger_received_records", "counter", account["received"], receiver=receiver)
        out.add("ledger_committed_records", "counter", account["committed"], receiver=receiver)
        out.add("ledger_in_flight_records", "gauge", account["in_flight"], receiver=receiver)
        for reason, count in account["dropped"].items():
            out.add("ledger_dropped_records", "counter", count, receiver=receiver, reason=reason)
    for edge in ledger.get("edges", ()):
        ends = {"actor": edge["from"], "to": edge["to"]}
        out.add("edge_handled", "counter", edge["handled"], **ends)
        out.add("edge_lost", "counter", edge["lost"], **ends)
        out.add("edge_in_flight_messages", "gauge", edge["in_flight"], **ends)
    if ledger:
        out.add("ledger_breaks", "gauge", ledger["breaks"])


def _add_counter(out: Exposition, actor: str, name: str, value: int) -> None:
    if edge := _EDGE.fullmatch(name):
        out.add(f"edge_{edge[2]}", "counter", value, actor=actor, to=edge[1])
    elif dropped := _DROPPED.fullmatch(name):
        out.add("dropped", "counter", value, actor=actor, reason=dropped[1])
    else:
        out.add(f"{name}", "counter", value, actor=actor)
