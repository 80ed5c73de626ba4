"""The difference between two configurations, as actors to start, restart and end. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import msgspec

from daemon.topology import ChildSpec

WINDOW = "window"


class Change(msgspec.Struct, frozen=True):
    """The actors to start, to end and to restart; `specs` are all of the new configuration, in start order."""

    specs: list[ChildSpec]
    new: list[str]
    gone: list[str]
    changed: list[str]

    def describe(self) -> str:
        parts = [
            f"{what} {', '.join(names)}"
            for what, names in (("started", self.new), ("restarted", self.changed), ("ended", self.gone))
            if names
        ]
        return "; ".join(parts) or "nothing changed"


def compare(
    before: Mapping[str, ChildSpec], specs: Sequence[ChildSpec], moved: Set[str], *, keep_windows: bool
) -> Change:
    """Return the change. `moved`: sockets that are others now.

    `keep_windows`: a receiver whose share of the window is all that changed, because another one came or went, goes on
    with the share that it has until it is started anew for another reason: its connections are worth more.
    """
    after = {spec.name: spec for spec in specs}
    changed = [
        name
        for name, spec in after.items()
        if name in before
        and (_essence(before[name], keep_windows) != _essence(spec, keep_windows) or not moved.isdisjoint(spec.sockets.values()))
    ]
    new, gone = [name for name in after if name not in before], [name for name in before if name not in after]
    return Change(list(specs), new, gone, changed)


def _essence(spec: ChildSpec, keep_windows: bool) -> ChildSpec:
    """Return the part of a spec whose change needs a restart. Other edges do not: an actor takes them while it runs."""
    settings = {name: value for name, value in spec.settings.items() if not keep_windows or name != WINDOW}
    return msgspec.structs.replace(spec, settings=settings, outputs={})
