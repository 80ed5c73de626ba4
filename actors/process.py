"""Work that takes a process of its own: one of our modules, with an order on its standard input.

What it takes of memory goes with it, and the loop of the actor that asked goes on beating meanwhile.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import trio

_ROOT = Path(__file__).resolve().parents[1]


class ProcessFailed(Exception):
    """The process ended badly; the message is the last line that it said."""


async def run_module(name: str, order: bytes) -> bytes:
    """Run `python -m name`; return its standard output. Cancelled, the process is killed. Raises ProcessFailed."""
    done = await trio.run_process(
        [sys.executable, "-P", "-s", "-m", name],
        stdin=order,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        deliver_cancel=_kill,
        env={"PYTHONPATH": str(_ROOT), "PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
    )
    if done.returncode:
        said = done.stderr.decode("utf-8", "backslashreplace").strip().rpartition("\n")[2]
        raise ProcessFailed(said or f"{name} ended with status {done.returncode}")
    return done.stdout


async def _kill(process: trio.Process) -> None:
    """End it at once: like every actor, and so whoever an actor starts, it ignores the gentler signals."""
    process.kill()
