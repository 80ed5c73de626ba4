"""The routes of the daemon (sender, message, receiver), and the edges of one actor that follow from them. Data only.

An end of a route is the name of an actor, its kind, or `ANY`. Kinds are those of `daemon/topology.py`. Two ends are
no actors: the supervisor, and the command line, which asks the supervisor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from protocol.edges import ALL_FRAMES, BOUND, COLUMN_FRAMES, Edge, Outputs, Plane, WhenFull
from protocol.messages import (
    Acknowledged,
    Action,
    ActionDone,
    Beat,
    Command,
    Committed,
    Drafted,
    Events,
    Findings,
    Header,
    Isolate,
    Judged,
    Matched,
    Notice,
    Parsed,
    Quarantine,
    Records,
    Reply,
    Request,
    Rewire,
    Scored,
    Status,
    type_name,
)

ANY = "*"
SUPERVISOR = "supervisor"
COMMAND_LINE = "command line"
CONTROL_BOUND = 4_096  # messages in the supervisor: every actor beats several times a second


class Route(msgspec.Struct, frozen=True):
    """One row of the table: a message, both ends, and the policy of the edges between them."""

    message: type[Header]
    sender: str
    receiver: str
    when_full: WhenFull = "wait"
    bound: int = BOUND
    frames: int = ALL_FRAMES
    plane: Plane = "data"


ROUTES = (
    Route(Records, "receiver", "parser"),
    Route(Events, "parser", "detector", "drop", frames=COLUMN_FRAMES),
    Route(Events, "parser", "sigma", "drop"),
    Route(Parsed, "parser", "scorer"),
    Route(Scored, "detector", "scorer"),
    Route(Findings, "detector", "scorer"),
    Route(Matched, "sigma", "scorer"),
    Route(Judged, "scorer", "alerts"),
    Route(Drafted, "scorer", "alerts"),
    Route(Drafted, "sigma", "alerts"),
    Route(Drafted, "follower", "alerts"),
    Route(Judged, "alerts", "recorder"),
    Route(Committed, "recorder", "broadcaster"),
    Route(Committed, "broadcaster", "front end", "drop"),
    Route(Committed, "broadcaster", "follower", "drop"),
    Route(Acknowledged, "recorder", "receiver", "drop"),
    Route(Action, "front end", "recorder"),
    Route(ActionDone, "recorder", "front end", "drop"),
    Route(Notice, ANY, "internal", "drop"),
    Route(Notice, SUPERVISOR, "internal", "drop"),
    Route(Status, SUPERVISOR, "broadcaster", "drop"),
    Route(Status, "broadcaster", "front end", "drop"),
    Route(Request, SUPERVISOR, "internal", "drop"),
    Route(Beat, ANY, SUPERVISOR, "drop", CONTROL_BOUND, plane="control"),
    Route(Command, SUPERVISOR, ANY, "drop", plane="control"),
    Route(Rewire, SUPERVISOR, ANY, "drop", plane="control"),
    Route(Isolate, SUPERVISOR, "receiver", "drop", plane="control"),
    Route(Quarantine, SUPERVISOR, "receiver", "drop", plane="control"),
    Route(Request, COMMAND_LINE, SUPERVISOR, plane="control"),
    Route(Reply, SUPERVISOR, COMMAND_LINE, "drop", plane="control"),
)


def _is_end(end: str, name: str, kind: str) -> bool:
    return end in (name, kind) or (end == ANY and name not in (SUPERVISOR, COMMAND_LINE))


def outputs_of(name: str, kind: str, actors: Mapping[str, str], plane: Plane = "data") -> Outputs:
    """Return the edges that lead out of an actor. `actors`: the kind of each one that there is, by name."""
    outputs: Outputs = {}
    for route in ROUTES:
        if route.plane == plane and _is_end(route.sender, name, kind):
            edges = (
                Edge(to, route.when_full, route.bound, route.frames)
                for to, its_kind in actors.items()
                if to != name and _is_end(route.receiver, to, its_kind)
            )
            message = type_name(route.message)
            outputs[message] = (*outputs.get(message, ()), *edges)
    return outputs


class Wire(msgspec.Struct, frozen=True):
    """One edge of the graph, with both of its ends."""

    message: str
    sender: str
    edge: Edge
    plane: Plane


def wires(actors: Mapping[str, str]) -> Iterator[Wire]:
    """Yield every edge between these actors, the supervisor and the command line, those of data first."""
    everyone = {**actors, SUPERVISOR: SUPERVISOR, COMMAND_LINE: COMMAND_LINE}
    planes: tuple[Plane, ...] = ("data", "control")
    for plane in planes:
        for sender, kind in everyone.items():
            for message, edges in outputs_of(sender, kind, everyone, plane).items():
                yield from (Wire(message, sender, edge, plane) for edge in edges)
