"""One for one: has the actors started, kept running and stopped; hears their heartbeats; answers people; says how all are.

Which actors there are, and in what order they start and stop, is `daemon/roster.py`; how one is kept running
`daemon/keeper.py`; how all look from outside `daemon/health.py`; whether their accounts add up `daemon/ledger.py`.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import trio

from daemon.child import Child
from daemon.configuration import Configuration
from daemon.configuration_loader import ConfigurationError
from daemon.directories import last_alive_ns, mark_alive
from daemon.emitter import Emitter
from daemon.health import make_status
from daemon.keeper import HANG_S, Keeper
from daemon.ledger import Ledger
from daemon.notify import notify
from daemon.receivers import INTERNAL
from daemon.roster import Roster
from daemon.routes import SUPERVISOR, outputs_of
from daemon.spawner import become_subreaper
from daemon.topology import child_specs
from daemon.transport import Post
from protocol.clock import format_time
from protocol.messages import Beat, Notice, Reply, Request

CONTROL_BOUND = 4096
ABSENCE_S = 5.0  # a daemon that was away for longer has missed something
ERROR, WARN, INFO = 17, 13, 9  # SeverityNumber

log = logging.getLogger(__name__)


class Supervisor:
    def __init__(
        self,
        configuration: Configuration,
        sockets: Mapping[str, socket.socket],
        *,
        state_dir: Path,
        runtime_dir: Path,
        about: dict[str, Any],
        reread: Callable[[], tuple[Configuration, Mapping[str, socket.socket]]],
    ) -> None:
        """`reread` returns the configuration as it is now, and the sockets for it. Raises ConfigurationError."""
        self._reread = reread
        self._state_dir = state_dir
        self._about = about
        self._post = Post(runtime_dir, "supervisor", bound=CONTROL_BOUND)
        self._inbox = self._post.inbox("control")
        kinds = {spec.name: spec.kind for spec in child_specs(configuration)}
        self._emitter = Emitter(self._post, SUPERVISOR, outputs_of(SUPERVISOR, SUPERVISOR, kinds))
        self._keeper = Keeper(self._post, self._tell, sockets, state_dir=state_dir, runtime_dir=runtime_dir)
        self._roster = Roster(configuration, self._keeper, self._emitter)
        self._ledger = Ledger()
        self._last_alive_ns = last_alive_ns(state_dir)
        self._one_reload = trio.Lock()
        self._started = trio.Event()
        self._nursery: trio.Nursery

    @property
    def children(self) -> Mapping[str, Child]:
        return self._roster.children

    # -- life

    async def run(self, *, started: trio.Event, stop: trio.Event) -> None:
        """Run the daemon until `stop` is set. `started` is set when every actor is ready. Raises Escalation."""
        become_subreaper()
        try:
            await self._keeper.start()
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._receive)
                nursery.start_soon(self._look_after)
                nursery.start_soon(self._publish_status)
                await self._roster.start_all(nursery)
                self._tell_of_absence()
                self._started.set()
                started.set()
                notify("READY=1")
                await stop.wait()
                notify("STOPPING=1")
                await self._roster.stop_all()
                nursery.cancel_scope.cancel()
        finally:
            self._roster.kill_all()
            self._keeper.close()
            self._post.close()

    async def _look_after(self) -> None:
        """Keep systemd's watchdog fed, from this loop: if it stands still, so does everything."""
        while True:
            await trio.sleep(HANG_S / 10)
            notify("WATCHDOG=1")
            self._keeper.look_after(self.children.values())

    # -- another configuration

    async def reload(self) -> Reply:
        """Read the configuration anew and restart what it changes; one with a fault changes nothing."""
        await self._started.wait()
        async with self._one_reload:
            if self._keeper.stopping:
                return Reply(False, "the daemon is stopping: the configuration stays as it was")
            notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                configuration, sockets = self._reread()
            except ConfigurationError as error:
                for fault in error.faults:
                    log.error("the configuration has a fault and stays as it was: %s", fault)
                self._tell("reload_refused", "tocsin: the configuration has faults and stays as it was", severity=ERROR)
                return Reply(False, "\n".join(["the configuration stays as it was:", *map(str, error.faults)]))
            finally:
                notify("READY=1")
            done = await self._roster.apply(configuration, sockets)
            text = f"tocsin: the configuration was read anew: {done}"
            log.info("%s", text.removeprefix("tocsin: "))
            self._tell("reload", text, severity=INFO)
            return Reply(True, text.removeprefix("tocsin: "))

    # -- what the daemon itself has seen

    def _tell(self, kind: str, text: str, *, severity: int = WARN, **fields: Any) -> None:
        """Put a notice into the stream."""
        self._emitter.emit_nowait(Notice(kind, text, time.time_ns(), severity, fields))

    def _tell_of_absence(self) -> None:
        since_ns, now_ns = self._last_alive_ns, time.time_ns()
        if since_ns is not None and now_ns - since_ns > ABSENCE_S * 1e9:
            since, now = format_time(since_ns), format_time(now_ns)
            text = f"tocsin did not run from {since} to {now}: what nobody kept for it meanwhile is missing"
            self._tell("absence", text, since=since, until=now)

    # -- what arrives

    async def _receive(self) -> None:
        while True:
            message, _ = await self._inbox.receive()
            if isinstance(message, Beat):
                self._take_beat(message)
            elif isinstance(message, Request):
                self._nursery.start_soon(self._answer, message)

    def _take_beat(self, beat: Beat) -> None:
        child = self.children.get(beat.actor)
        if child is None or beat.incarnation != child.incarnation:
            return
        child.last_beat_s = trio.current_time()
        first = not child.is_ready and beat.state in ("ok", "degraded")
        child.health.take_beat(beat)
        self._ledger.take_beat(beat)
        if first:
            child.note_ready(trio.current_time())
            if child.incarnation > 1 and child.spec.loses_batches:
                self._announce_loss()

    def _announce_loss(self) -> None:
        """Tell the actors that keep messages in flight to send them again."""
        for child in self.children.values():
            if child.spec.hears_losses:
                self._keeper.command(child, "resend")

    async def _answer(self, request: Request) -> None:
        if request.verb == "restart":
            reply = self._restart(request.name)
        elif request.verb == "retry":
            reply = self._retry(request)
        elif request.verb == "reload":
            reply = await self.reload()
        else:
            reply = Reply(False, f"the daemon does not know how to {request.verb}")
        self._post.outbox(request.reply_to, "control").send_nowait(reply)
        self._post.forget(request.reply_to, "control")

    def _restart(self, name: str) -> Reply:
        child = self.children.get(name)
        if child is None:
            return Reply(False, f"there is no actor {name!r}; there are {', '.join(self.children)}")
        child.wanted.set()
        child.kill()
        return Reply(True, f"{name} is restarting")

    def _retry(self, request: Request) -> Reply:
        if INTERNAL not in self.children:
            return Reply(False, "receivers.internal is not enabled; it is what sends records again")
        if not self._emitter.emit_nowait(request):
            return Reply(False, "the internal receiver takes nothing now; try again later")
        return Reply(True, f"{request.name} is sent again")

    # -- status

    async def _publish_status(self) -> None:
        committed_before, before_s = 0, trio.current_time()
        while True:
            await trio.sleep(1 - time.time() % 1)
            now_s = trio.current_time()
            committed = self._committed()
            eps = round((committed - committed_before) / max(now_s - before_s, 0.5))
            committed_before, before_s = committed, now_s
            self._check_ledger()
            mark_alive(self._state_dir)
            children = [child.health for child in self.children.values()]
            now_ns = time.time_ns()
            self._emitter.emit_nowait(
                make_status(
                    children,
                    ts_ns=now_ns,
                    throughput_eps=max(0, eps),
                    queue_max=self._roster.configuration.daemon.queue_max,
                    about=self._about | {"ts": format_time(now_ns), "ledger": self._ledger.describe(children)},
                )
            )

    def _check_ledger(self) -> None:
        for broken in self._ledger.check():
            log.error("the ledger is broken: %s", broken)
            self._tell("ledger_broken", f"tocsin: the ledger is broken: {broken}", severity=ERROR)

    def _committed(self) -> int:
        return self.children["recorder"].health.counters.get("committed_events", 0)

    def summary(self) -> dict[str, int]:
        """Return the totals for the final message."""
        recorder = self.children["recorder"].health.counters
        restarts = sum(child.health.restarts for child in self.children.values())
        waiting = sum(child.health.gauges.get("queue_depth", 0) for child in self.children.values())
        return {
            "events": recorder.get("committed_events", 0),
            "alerts": recorder.get("committed_alerts", 0),
            "restarts": restarts,
            "waiting": waiting,
        }

