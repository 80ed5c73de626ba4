"""Edges between actors: the type of message, the bound, and the policy of a full edge. Data only.

The routes of the daemon are in `daemon/routes.py`; a child spec carries the edges that follow from them for one actor.
"""

from __future__ import annotations

from typing import Literal

import msgspec

BOUND = 64  # messages that wait in the sender, and as many in the receiver
ALL_FRAMES = -1
COLUMN_FRAMES = 9  # raw frames that `protocol.columns.Columns.pack` makes

Plane = Literal["data", "control"]
WhenFull = Literal["wait", "drop"]  # the sender waits; the message is dropped and counted


class Edge(msgspec.Struct, frozen=True, array_like=True):
    """One way from an actor to another, for one type of message."""

    to: str  # name of the receiving actor
    when_full: WhenFull = "wait"
    bound: int = BOUND
    frames: int = ALL_FRAMES  # leading frames that go along


Outputs = dict[str, tuple[Edge, ...]]  # {type of the message: edges}; a type without an edge is declared, and nobody hears it
