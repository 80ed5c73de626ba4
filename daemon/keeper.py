"""Keeps one actor running: starts its process, watches it, finds the cause of its death, starts it again.

An actor is watched in two ways: its process (a pidfd becomes readable when it exits) and its heartbeat (sent from its
own loop; silence for `HANG_S` means that it hangs, and it is killed and then treated like one that died). What to do
with a death is `daemon/restart.py`; whose fault it is `daemon/suspects.py`.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import trio

from daemon.child import Child, End
from daemon.restart import Decision
from daemon.runner import Assignment
from daemon.spawner import Spawner, SpawnError
from daemon.suspects import Suspects, Verdict
from daemon.trace import take_failure, take_trace
from daemon.transport import Post
from protocol.edges import Outputs
from protocol.messages import Command, Isolate, Quarantine, Rewire

HANG_S = 2.5
ERROR = 17  # SeverityNumber
AT_ONCE = Decision(0.0, down=False, escalate=False)  # what someone asked for is no fault of the actor

log = logging.getLogger(__name__)


class Escalation(Exception):
    """An actor that the daemon cannot live without died too often."""


class Tell(Protocol):
    """Puts a notice into the stream."""

    def __call__(self, kind: str, text: str, *, severity: int, **fields: Any) -> None: ...


class Keeper:
    """See the module. `sockets` are the listening ones, by the supervisor's names; they may be exchanged."""

    def __init__(
        self, post: Post, tell: Tell, sockets: Mapping[str, socket.socket], *, state_dir: Path, runtime_dir: Path
    ) -> None:
        self.sockets = sockets
        self.stopping = False  # nothing is started any more
        self._post = post
        self._tell = tell
        self._state_dir = state_dir
        self._runtime_dir = runtime_dir
        self._spawner = Spawner()
        self._suspects = Suspects()

    async def start(self) -> None:
        """Start the fork server. Raises SpawnError."""
        await self._spawner.start()

    def close(self) -> None:
        self._spawner.close()

    def command(self, child: Child, verb: str) -> None:
        self._post.outbox(child.spec.name, "control").send_nowait(Command(verb))

    def rewire(self, child: Child, outputs: Outputs) -> None:
        """Give a running child other edges; one that starts has them from its assignment."""
        self._post.outbox(child.spec.name, "control").send_nowait(Rewire(outputs))

    async def keep(self, child: Child) -> None:
        """Run a child again and again, until nothing is started any more or it leaves. Raises Escalation."""
        while not self._is_over(child):
            end = await self._run_once(child)
            if not self._is_over(child):
                await self._wait_restart(child, end)
        child.ended.set()

    def _is_over(self, child: Child) -> bool:
        return self.stopping or child.leaves

    async def _wait_restart(self, child: Child, end: End) -> None:
        """Decide when to start a child again that has died, say so, and wait for it."""
        note = end.describe()
        asked, child.wanted = child.wanted.is_set(), trio.Event()
        verdict = self._find_culprit(child, end)
        now_s = child.died_s = trio.current_time()
        forgiven = asked or (verdict is not None and self._suspects.forgives(now_s))
        decision = AT_ONCE if forgiven else child.history.decide(now_s, now_s - child.started_s)
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
        """Tell the receiver the verdict on the batch that a child died of; return it."""
        key = take_trace(self._runtime_dir, child.spec.name)
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
        child.is_starting = True
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
            spec.outputs,
            self._suspects.poison(spec.name),
        )
        try:
            sockets = {name: self.sockets[bound] for name, bound in spec.sockets.items()}
            child.pid = child.health.pid = await self._spawner.spawn(assignment, sockets)
        except SpawnError as error:
            return End(note=f"was not started: {error}")
        finally:
            child.is_starting = False
        pidfd = os.pidfd_open(child.pid)
        try:
            await trio.lowlevel.wait_readable(pidfd)
            _, status = os.waitpid(child.pid, 0)  # noqa: ASYNC222 - it has ended, so this returns at once
        finally:
            os.close(pidfd)
        child.pid = 0
        return End(status, child.hangs)

    def look_after(self, children: Iterable[Child]) -> None:
        """Kill actors that hang, and reap the children of dead ones."""
        children = list(children)
        self._spawner.reap_orphans({child.pid for child in children})
        now_s = trio.current_time()
        for child in children:
            if child.pid and now_s - child.last_beat_s > HANG_S:
                log.warning("%s gave no heartbeat for %.1f s and is killed", child.spec.name, HANG_S)
                child.last_beat_s, child.hangs = now_s, True
                child.kill()

    async def end(self, child: Child, drain_s: float) -> None:
        """End a child's present process: a receiver drains, for what it has read and not spooled would be lost."""
        # It starts with what it was assigned before, and has no process yet that could be ended.
        while child.is_starting:  # noqa: ASYNC110 - some milliseconds, at a reload
            await trio.sleep(0.01)
        if not child.pid:  # it waits for its restart, and what it is told now would end the next
            return
        incarnation = child.incarnation
        if child.spec.role == "receiver":
            self.command(child, "drain")
            with trio.move_on_after(drain_s):
                while child.pid and child.incarnation == incarnation:  # noqa: ASYNC110 - at a reload
                    await trio.sleep(0.02)
        if child.incarnation == incarnation:
            child.kill()

    async def take_leave(self, child: Child, drain_s: float) -> None:
        """End a child for good."""
        child.leaves = True
        await self.end(child, drain_s)
        child.wanted.set()  # should it be waiting for a restart
        await child.ended.wait()


def _what_next(decision: Decision) -> str:
    if decision.escalate:
        return "too often: the daemon gives up"
    return "restart now" if decision.delay_s == 0 else f"restart in {decision.delay_s:.1f} s"
