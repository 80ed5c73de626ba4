"""One actor as the supervisor sees it: spec, present process, health, and end."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import msgspec
import trio

from actors.signal import Signal
from daemon.health import ChildHealth
from daemon.restart import RestartHistory
from daemon.topology import ChildSpec

FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Child:
    """One actor: its spec, its present process, and its health."""

    def __init__(self, spec: ChildSpec, incarnation: int = 0) -> None:
        """`incarnation`: the last of an actor of this name that ran before; none of its numbers is given again."""
        self.spec = spec
        self.health = ChildHealth(spec)
        self.history = RestartHistory(spec.policy)
        self.incarnation = incarnation
        self.is_starting = False  # its process is asked for, and there is no process id yet
        self.pid = 0
        self.started_s = 0.0
        self.last_beat_s = 0.0
        self.died_s = 0.0  # 0: never yet
        self._ready = 0  # the last incarnation that was ready
        self._got_ready = Signal()
        self.ended = trio.Event()
        self.wanted = trio.Event()  # someone asked for a restart now
        self.hangs = False  # it is being killed because it gave no heartbeat
        self.leaves = False  # the configuration has no place for it any more

    @property
    def is_ready(self) -> bool:
        return self._ready == self.incarnation

    def note_ready(self, now_s: float) -> None:
        """Note that it is ready, and how long that took since it died."""
        self._ready = self.incarnation
        self._got_ready.set()
        if self.died_s:
            self.health.restart_ms = round(1_000 * (now_s - self.died_s))

    async def wait_ready(self, incarnation: int) -> None:
        """Return when this incarnation, or a later one, is ready. It may never be: set a deadline."""
        while self._ready < incarnation:
            await self._got_ready.wait()

    def change(self, spec: ChildSpec) -> None:
        """Take another spec; it counts from the next start on."""
        self.spec = self.health.spec = spec

    def kill(self) -> None:
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


class End(msgspec.Struct, frozen=True):
    """How a child ended."""

    status: int = 0  # as wait(2) has it
    hung: bool = False
    note: str = ""

    @property
    def of_itself(self) -> bool:
        """Tell whether it was its own doing: SIGKILL from outside says nothing of what it was handling."""
        return self.hung or (self.status != 0 and not (os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) in FROM_OUTSIDE))

    def describe(self) -> str:
        if self.note:
            return self.note
        if self.hung:
            return "hung and was killed"
        if os.WIFSIGNALED(self.status):
            return f"was ended by {signal.Signals(os.WTERMSIG(self.status)).name}"
        return f"exited with status {os.WEXITSTATUS(self.status)}"
