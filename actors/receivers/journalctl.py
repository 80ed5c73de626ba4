"""A running `journalctl`, and its output as a stream.

It ends with this process: its output is a pipe that nobody else holds, and `journalctl --follow` ends when that is
closed, be it waiting (it watches the pipe for that) or writing. It is started from the main thread and not through trio,
whose worker threads come and go. It gets nothing of our environment: a token may stand there.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

import trio

_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"}
_RECEIVE_BYTES = 64 << 10
_MAX_ERROR_BYTES = 2_000
_EXIT_S = 1.0  # between the end of the output and that of the process


class Journalctl:
    """Raises OSError if it cannot be started. `close` it in the end."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            ["journalctl", "--no-pager", "--output=export", *arguments],  # noqa: S607
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_ENVIRONMENT,
        )
        assert self._process.stdout is not None and self._process.stderr is not None
        self._output = trio.lowlevel.FdStream(os.dup(self._process.stdout.fileno()))
        self._errors = trio.lowlevel.FdStream(os.dup(self._process.stderr.fileno()))
        self._process.stdout.close()
        self._process.stderr.close()
        self._error_text = b""
        self._silent = trio.Event()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def receive(self) -> bytes:
        """Return what it wrote next; b"" once it has ended."""
        return bytes(await self._output.receive_some(_RECEIVE_BYTES))

    async def listen_to_errors(self) -> None:
        """Keep the last words that it says on standard error, so that it can go on talking. Runs until it ends."""
        while said := await self._errors.receive_some(_MAX_ERROR_BYTES):
            self._error_text = (self._error_text + said)[-_MAX_ERROR_BYTES:]
        self._silent.set()

    async def wait_end(self) -> tuple[int, str]:
        """Return its exit status and what it said last. To be called when its output has ended."""
        with trio.move_on_after(_EXIT_S):
            await self._silent.wait()
            await _wait_exit(self._process.pid)
        self._process.kill()
        status = self._process.wait()
        lines = self._error_text.decode("utf-8", "backslashreplace").split("\n")
        return status, next((line.strip() for line in reversed(lines) if line.strip()), f"exit status {status}")

    async def aclose(self) -> None:
        self._process.kill()
        self._process.wait()
        with trio.CancelScope(shield=True):  # closing a descriptor does not wait
            await self._output.aclose()
            await self._errors.aclose()


async def _wait_exit(pid: int) -> None:
    pidfd = os.pidfd_open(pid)
    try:
        await trio.lowlevel.wait_readable(pidfd)
    finally:
        os.close(pidfd)
