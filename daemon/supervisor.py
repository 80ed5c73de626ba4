"""One for one: starts the actors in order, watches each, restarts what dies or hangs, stops them in reverse.

An actor is watched in two ways: its process (a pidfd becomes readable when it exits) and its heartbeat (sent from its
own loop; silence for `HANG_S` means that it hangs, and it is killed and then treated like one that died). What to do
with a death is `daemon/restart.py`; how it looks from outside is `daemon/health.py`.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import trio

from daemon.child import Child, End
from daemon.configuration import Configuration, ConfigurationError
from daemon.health import make_status
from daemon.ledger import Ledger
from daemon.notify import notify
from daemon.places import last_alive_ns, mark_alive
from daemon.reload import compare
from daemon.restart import Decision
from daemon.runner import Assignment
from daemon.spawner import Spawner, SpawnError, become_subreaper
from daemon.suspects import Suspects, Verdict
from daemon.topology import INTERNAL, ChildSpec, child_specs
from daemon.trace import read_trace, take_failure
from daemon.transport import Post
from protocol.clock import format_time
from protocol.messages import Beat, Command, Isolate, Notice, Quarantine, Reply, Request

HANG_S = 2.5
READY_S = 15.0
STOP_S = 3.0  # for one actor to end once nobody sends to it
EDGE_BOUND = 64  # messages
CONTROL_BOUND = 4096
ABSENCE_S = 5.0  # a daemon that was away for longer has missed something
ERROR, WARN, INFO = 17, 13, 9  # SeverityNumber
AT_ONCE = Decision(0.0, down=False, escalate=False)  # what someone asked for is no fault of the actor

log = logging.getLogger(__name__)


class Escalation(Exception):
    """An actor that the daemon cannot live without died too often."""


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
        self._configuration = configuration
        self._sockets = sockets
        self._state_dir = state_dir
        self._runtime_dir = runtime_dir
        self._about = about
        self._spawner = Spawner()
        self._post = Post(runtime_dir, "supervisor", bound=CONTROL_BOUND)
        self._inbox = self._post.inbox("control")
        self.children = {spec.name: Child(spec) for spec in child_specs(configuration)}
        self._ledger = Ledger()
        self._suspects = Suspects()
        self._last_alive_ns = last_alive_ns(state_dir)
        self._stopping = False
        self._one_reload = trio.Lock()
        self._nursery: trio.Nursery

    # -- life

    async def run(self, *, started: trio.Event, stop: trio.Event) -> None:
        """Run the daemon until `stop` is set. `started` is set when every actor is ready. Raises Escalation."""
        become_subreaper()
        try:
            await self._spawner.start()
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._receive)
                nursery.start_soon(self._watch_beats)
                nursery.start_soon(self._publish_status)
                await self._start_all()
                self._tell_of_absence()
                started.set()
                notify("READY=1")
                await stop.wait()
                notify("STOPPING=1")
                await self._stop_all()
                nursery.cancel_scope.cancel()
        finally:
            for child in self.children.values():
                child.kill()
            self._spawner.close()
            self._post.close()

    async def _start_all(self) -> None:
        for child in self.children.values():
            self._nursery.start_soon(self._keep, child)
            await _wait_ready(child)

    async def _stop_all(self) -> None:
        """Let each role drain in turn, receivers first; then whatever is left is killed."""
        self._stopping = True
        upstream_first = reversed(self.children.values())
        for role, group in groupby(upstream_first, key=lambda child: child.spec.role):
            patience_s = self._configuration.daemon.drain_s if role == "receiver" else STOP_S
            members = list(group)
            with trio.move_on_after(patience_s):
                for child in members:
                    self._command(child, "drain")
                for child in members:
                    await child.ended.wait()
            for child in members:
                if not child.ended.is_set():
                    log.warning("%s did not finish within %.0f s and is killed", child.spec.name, patience_s)
                    child.kill()

    # -- one child

    async def _keep(self, child: Child) -> None:
        while True:
            end = await self._run_once(child)
            note = end.describe()
            if self._stopping or child.leaves:
                child.ended.set()
                return
            asked, child.wanted = child.wanted.is_set(), trio.Event()
            verdict = self._find_culprit(child, end)
            now_s = child.died_s = trio.current_time()
            forgiven = asked or verdict in ("quarantine", "pass over")
            decision = AT_ONCE if forgiven else child.history.decide(now_s, now_s - child.started_s)
            child.ready = trio.Event()
            child.health.take_death(down=decision.down, note=note)
            log.warning("%s %s; %s", child.spec.name, note, _what_next(decision))
            if not asked:
                text = f"tocsin: actor {child.spec.name} {note}; {_what_next(decision)}"
                self._tell("actor_died", text, severity=ERROR, actor=child.spec.name)
            if decision.escalate:
                raise Escalation(f"{child.spec.name} died too often: {note}")
            with trio.move_on_after(decision.delay_s):
                await child.wanted.wait()

    def _find_culprit(self, child: Child, end: End) -> Verdict | None:
        """Tell the receiver what to do with the batch that a child died of; return what that is."""
        key = read_trace(self._runtime_dir, child.spec.name)
        failure = take_failure(self._runtime_dir, child.spec.name)
        if key is None or not end.of_itself:
            return None
        name = child.spec.name
        verdict = self._suspects.judge(name, key, is_detector=child.spec.role == "detector")
        if verdict == "isolate":
            self._post.outbox(key.receiver, "control").send_nowait(Isolate(key.tag, key.first, key.last))
        elif verdict == "quarantine":
            reason = f"{end.describe()}\n{failure}".strip()
            self._post.outbox(key.receiver, "control").send_nowait(
                Quarantine(key.tag, key.first, key.last, name, reason)
            )
            text = f"tocsin: {key.count} records of {key.receiver} are put aside: actor {name} died of them twice"
            log.error("%s; see: tocsin quarantine", text)
            self._tell("quarantined", text, severity=ERROR, actor=name, receiver=key.receiver)
        elif verdict == "pass over":
            log.error("%s died twice of the same %d events and passes over them", name, key.count)
        return verdict

    async def _run_once(self, child: Child) -> End:
        """Start a child, see it through its life, return how it ended."""
        child.incarnation += 1
        child.hangs = False
        child.started_s = child.last_beat_s = trio.current_time()
        spec = child.spec
        assignment = Assignment(
            spec.name,
            child.incarnation,
            spec.target,
            spec.settings,
            str(self._state_dir),
            str(self._runtime_dir),
            os.getpid(),
            tuple(spec.sockets),
            EDGE_BOUND,
            INTERNAL if INTERNAL in self.children and spec.name != INTERNAL else "",
            self._suspects.poison(spec.name),
        )
        try:
            sockets = {name: self._sockets[bound] for name, bound in spec.sockets.items()}
            child.pid = child.health.pid = await self._spawner.spawn(assignment, sockets)
        except SpawnError as error:
            return End(note=f"was not started: {error}")
        pidfd = os.pidfd_open(child.pid)
        try:
            await trio.lowlevel.wait_readable(pidfd)
            _, status = os.waitpid(child.pid, 0)
        finally:
            os.close(pidfd)
        child.pid = 0
        return End(status, child.hangs)

    async def _watch_beats(self) -> None:
        while True:
            await trio.sleep(HANG_S / 10)
            notify("WATCHDOG=1")
            self._spawner.reap_orphans({child.pid for child in self.children.values()})
            now_s = trio.current_time()
            for child in self.children.values():
                if child.pid and now_s - child.last_beat_s > HANG_S:
                    log.warning("%s gave no heartbeat for %.1f s and is killed", child.spec.name, HANG_S)
                    child.last_beat_s, child.hangs = now_s, True
                    child.kill()

    def _command(self, child: Child, verb: str) -> None:
        self._post.outbox(child.spec.name, "control").send_nowait(Command(verb))

    # -- another configuration

    async def reload(self) -> Reply:
        """Read the configuration anew and restart what it changes; one with a fault changes nothing."""
        async with self._one_reload:
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
            done = await self._apply(configuration, sockets)
            text = f"tocsin: the configuration was read anew: {done}"
            log.info("%s", text.removeprefix("tocsin: "))
            self._tell("reload", text, severity=INFO)
            return Reply(True, text.removeprefix("tocsin: "))

    async def _apply(self, configuration: Configuration, sockets: Mapping[str, socket.socket]) -> str:
        """Bring the actors into line with a configuration; return in words what was done."""
        before = {name: child.spec for name, child in self.children.items()}
        moved = {name for name, bound in sockets.items() if self._sockets.get(name) is not bound}
        change = compare(before, child_specs(configuration), moved, keep_windows=self._has_same_bound(configuration))
        unused = [bound for bound in self._sockets.values() if bound not in sockets.values()]
        self._configuration, self._sockets = configuration, sockets
        for name in change.gone:
            await self._take_leave(self.children[name])
        for spec in change.specs:
            await self._follow(spec, restart=spec.name in change.changed)
        self.children = {spec.name: self.children[spec.name] for spec in change.specs}
        for bound in unused:
            bound.close()
        return change.describe()

    def _has_same_bound(self, configuration: Configuration) -> bool:
        return configuration.daemon.queue_max == self._configuration.daemon.queue_max

    async def _follow(self, spec: ChildSpec, *, restart: bool) -> None:
        child = self.children.get(spec.name)
        if child is None:
            child = self.children[spec.name] = Child(spec)
            self._nursery.start_soon(self._keep, child)
            await _wait_ready(child)
            return
        child.change(spec)
        if restart:
            child.wanted.set()
            await self._end(child)
            await _wait_ready(child)

    async def _take_leave(self, child: Child) -> None:
        child.leaves = True
        await self._end(child)
        child.wanted.set()  # should it be waiting for a restart
        await child.ended.wait()

    async def _end(self, child: Child) -> None:
        """End a child's present process: a receiver drains, for what it has read and not spooled would be lost."""
        child.ready = trio.Event()
        incarnation = child.incarnation
        if child.spec.role == "receiver":
            self._command(child, "drain")
            with trio.move_on_after(self._configuration.daemon.drain_s):
                while child.pid and child.incarnation == incarnation:
                    await trio.sleep(0.02)
        if child.incarnation == incarnation:
            child.kill()

    # -- what the daemon itself has seen

    def _tell(self, kind: str, text: str, *, severity: int = WARN, **fields: Any) -> None:
        """Put a notice into the stream."""
        if INTERNAL in self.children:
            self._post.outbox(INTERNAL).send_nowait(Notice(kind, text, time.time_ns(), severity, fields))

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
        first = not child.ready.is_set() and beat.state in ("ok", "degraded")
        child.health.take_beat(beat)
        self._ledger.take_beat(child.spec.role, beat)
        if first:
            child.ready.set()
            child.note_ready(trio.current_time())
            if child.incarnation > 1 and child.spec.loses_batches:
                self._announce_loss()

    def _announce_loss(self) -> None:
        """Tell the receivers that batches in flight may be lost, so that they send them again at once."""
        for child in self.children.values():
            if child.spec.role == "receiver":
                self._command(child, "resend")

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
        if not self._post.outbox(INTERNAL).send_nowait(request):
            return Reply(False, "the internal receiver takes nothing now; try again later")
        return Reply(True, f"{request.name} is sent again")

    # -- status

    async def _publish_status(self) -> None:
        broadcaster = self._post.outbox("broadcaster")
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
            broadcaster.send_nowait(
                make_status(
                    children,
                    ts_ns=now_ns,
                    throughput_eps=max(0, eps),
                    queue_max=self._configuration.daemon.queue_max,
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
        """Return what the daemon did, for the last words."""
        recorder = self.children["recorder"].health.counters
        restarts = sum(child.health.restarts for child in self.children.values())
        waiting = sum(child.health.gauges.get("queue_depth", 0) for child in self.children.values())
        return {
            "events": recorder.get("committed_events", 0),
            "alerts": recorder.get("committed_alerts", 0),
            "restarts": restarts,
            "waiting": waiting,
        }


def _what_next(decision: Decision) -> str:
    if decision.escalate:
        return "too often: the daemon gives up"
    return "restart now" if decision.delay_s == 0 else f"restart in {decision.delay_s:.1f} s"


async def _wait_ready(child: Child) -> None:
    with trio.move_on_after(READY_S) as patience:
        await child.ready.wait()
    if patience.cancelled_caught:
        log.warning("%s is not ready after %.0f s: %s", child.spec.name, READY_S, child.health.note)
