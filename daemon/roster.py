"""The actors of the configuration in force: started in order, stopped in reverse, changed one by one when it changes.

How one of them is kept running is `daemon/keeper.py`; what another configuration means for them `daemon/reload.py`.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping, Sequence
from itertools import groupby

import trio

from daemon.child import Child
from daemon.configuration import Configuration
from daemon.emitter import Emitter
from daemon.keeper import Keeper
from daemon.reload import compare
from daemon.routes import SUPERVISOR, outputs_of
from daemon.topology import ChildSpec, child_specs

READY_S = 15.0
STOP_S = 3.0  # for one actor to end once nobody sends to it

log = logging.getLogger(__name__)


class Roster:
    """See the module. `children` are in start order: downstream first."""

    def __init__(self, configuration: Configuration, keeper: Keeper, emitter: Emitter) -> None:
        """`emitter` is the supervisor's own; its edges follow the configuration as those of the actors do."""
        self.configuration = configuration
        self.children = {spec.name: Child(spec) for spec in child_specs(configuration)}
        self._keeper = keeper
        self._emitter = emitter
        self._last_incarnations: dict[str, int] = {}  # of actors that the configuration has no place for now
        self._nursery: trio.Nursery

    async def start_all(self, nursery: trio.Nursery) -> None:
        """Start one actor after the other, each when the one before is ready, or after `READY_S`. They run in the nursery."""
        self._nursery = nursery
        for child in self.children.values():
            await self._start(child)

    async def _start(self, child: Child) -> None:
        first = child.incarnation + 1
        self._nursery.start_soon(self._keeper.keep, child)
        await _wait_ready(child, first)

    async def stop_all(self) -> None:
        """Let each role drain in turn, receivers first; then kill the rest."""
        self._keeper.stopping = True
        for child in self.children.values():
            if not child.pid:
                child.wanted.set()  # it waits for a restart that does not come
        upstream_first = list(self.children.values())[::-1]  # a reload may be under way
        for role, group in groupby(upstream_first, key=lambda child: child.spec.role):
            patience_s = self.configuration.daemon.drain_s if role == "receiver" else STOP_S
            members = list(group)
            with trio.move_on_after(patience_s):
                for child in members:
                    self._keeper.command(child, "drain")
                for child in members:
                    await child.ended.wait()
            for child in members:
                if not child.ended.is_set():
                    log.warning("%s did not finish within %.0f s and is killed", child.spec.name, patience_s)
                    child.kill()

    def kill_all(self) -> None:
        for child in self.children.values():
            child.kill()

    # -- another configuration

    async def apply(self, configuration: Configuration, sockets: Mapping[str, socket.socket]) -> str:
        """Bring the actors into line with a configuration; return a summary in words."""
        before = {name: child.spec for name, child in self.children.items()}
        before_sockets = self._keeper.sockets
        moved = {name for name, bound in sockets.items() if before_sockets.get(name) is not bound}
        same_bound = configuration.daemon.queue_max == self.configuration.daemon.queue_max
        change = compare(before, child_specs(configuration), moved, keep_windows=same_bound)
        self.configuration, self._keeper.sockets = configuration, sockets
        for spec in change.specs:  # all of them before anything is waited for: who dies meanwhile starts with what is new
            if spec.name in self.children:
                self.children[spec.name].change(spec)
        leaving = [self.children[name].spec for name in change.gone]
        self._rewire([*change.specs, *leaving])  # an actor that leaves is spoken to until it has drained
        await self._take_leave(change.gone)
        for spec in change.specs:
            if self._keeper.stopping:
                return "the daemon is stopping"
            await self._follow(spec, restart=spec.name in change.changed)
        self.children = {spec.name: self.children[spec.name] for spec in change.specs}
        self._rewire(change.specs)
        for bound in before_sockets.values():
            if bound not in sockets.values():
                bound.close()
        return change.describe()

    async def _take_leave(self, gone: Sequence[str]) -> None:
        for name in gone:
            self.children[name].leaves = True
        for name in gone:
            await self._keeper.take_leave(self.children[name], self.configuration.daemon.drain_s)
            self._last_incarnations[name] = self.children[name].incarnation

    def _rewire(self, specs: Sequence[ChildSpec]) -> None:
        """Tell all running actors the edges between these actors."""
        kinds = {spec.name: spec.kind for spec in specs}
        for name, child in self.children.items():
            self._keeper.rewire(child, outputs_of(name, child.spec.kind, kinds))
        self._emitter.rewire(outputs_of(SUPERVISOR, SUPERVISOR, kinds))

    async def _follow(self, spec: ChildSpec, *, restart: bool) -> None:
        child = self.children.get(spec.name)
        if child is None:
            child = self.children[spec.name] = Child(spec, self._last_incarnations.get(spec.name, 0))
            await self._start(child)
        elif restart:
            before = child.incarnation
            child.wanted.set()
            await self._keeper.end(child, self.configuration.daemon.drain_s)
            await _wait_ready(child, before + 1)


async def _wait_ready(child: Child, incarnation: int) -> None:
    with trio.move_on_after(READY_S) as patience:
        await child.wait_ready(incarnation)
    if patience.cancelled_caught:
        log.warning("%s is not ready after %.0f s: %s", child.spec.name, READY_S, child.health.note)
