"""One actor as the supervisor sees it: its spec, its present process, what is known of it, and how it ended."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import msgspec
import trio

from daemon.health import ChildHealth
from daemon.restart import RestartHistory
from daemon.topology import ChildSpec

FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Child:
    """One actor: its spec, its present process, and what is known of it."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.health = ChildHealth(spec)
        self.history = RestartHistory(spec.policy)
        self.incarnation = 0
        self.pid = 0
        self.started_s = 0.0
        self.last_beat_s = 0.0
        self.died_s = 0.0  # 0: never yet
        self.ready = trio.Event()
        self.ended = trio.Event()
        self.wanted = trio.Event()  # someone asked for a restart now
        self.hangs = False  # it is being killed because it gave no heartbeat
        self.leaves = False  # the configuration has no place for it any more

    def note_ready(self, now_s: float) -> None:
        """Note that it is ready, and how long that took since it died."""
        if self.died_s:
            self.health.restart_ms = round(1_000 * (now_s - self.died_s))

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
