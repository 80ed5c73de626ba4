"""The supervisor's side of the fork server: starts it, asks it for actors, replaces it when it dies."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Container, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
import trio

from daemon.runner import Assignment

START_S = 30.0
FORK_S = 10.0
_PR_SET_CHILD_SUBREAPER = 36
# One thread a process, one arena: an actor is one core's work, and each further arena costs memory in every process.
_ROOT = Path(__file__).resolve().parent.parent
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


class SpawnError(Exception):
    """The fork server failed; the message says how."""


def become_subreaper() -> None:
    """Make this process the parent of every actor whose own parent exits (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Spawner:
    """Forks actors through a fork server. One request at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control: trio.socket.SocketType | None = None
        self._lock = trio.Lock()

    async def start(self) -> None:
        """Start the fork server and wait until it has imported everything. Raises SpawnError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        python_path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        with theirs:
            # -P and -s: no module out of the directory in which we happen to have been started, where anybody's `daemon`
            # may lie, nor out of the home of the user, which for the service is the directory that actors write to.
            # From the main thread, and not through trio: a child that trio starts is the child of a worker thread.
            self._process = subprocess.Popen(  # noqa: S603, ASYNC220
                [sys.executable, "-P", "-s", "-m", "daemon.forkserver", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=os.environ | _ENVIRONMENT | {"PYTHONPATH": python_path},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._control = trio.socket.from_stdlib_socket(ours)
        if await self._answer(START_S) != b"ready":
            raise SpawnError("the fork server did not start; what it printed stands above")

    async def _answer(self, patience_s: float) -> bytes:
        assert self._control is not None
        try:
            with trio.fail_after(patience_s):
                return await self._control.recv(1024)
        except (OSError, trio.TooSlowError):
            return b""

    async def spawn(self, assignment: Assignment, sockets: Mapping[str, socket.socket]) -> int:
        """Fork an actor and return its process id; a dead fork server is replaced first. Raises SpawnError."""
        async with self._lock:
            if self._process is None or self._process.poll() is not None:
                await self.start()
            assert self._control is not None
            fds = [sockets[name].fileno() for name in assignment.socket_names]
            try:
                await trio.lowlevel.wait_writable(self._control)
                _send_fds(self._control, msgspec.msgpack.encode(assignment), fds)
            except OSError as error:
                raise SpawnError(f"the fork server is gone: {error}") from error
            pid = int(await self._answer(FORK_S) or b"0")
            if pid <= 0:
                self.close()
                raise SpawnError(f"the fork server could not fork {assignment.actor}")
            return pid

    def reap_orphans(self, actors: Container[int]) -> None:
        """Reap dead processes that nobody waits for: the children of a dead actor become ours.

        `actors` are the process ids that someone waits for. While an actor is being forked nothing is done: it might be
        dead already, and not be among them yet.
        """
        if self._lock.locked():
            return
        with suppress(ChildProcessError):
            while dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if dead.si_pid in actors or (self._process is not None and dead.si_pid == self._process.pid):
                    return  # whoever waits for it does so now; the others have time
                os.waitpid(dead.si_pid, 0)

    def close(self) -> None:
        """End the fork server; the actors that it forked live on."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self._process = None


def _send_fds(control: trio.socket.SocketType, packet: bytes, fds: list[int]) -> None:
    with socket.socket(fileno=os.dup(control.fileno())) as plain:
        socket.send_fds(plain, [packet], fds)
