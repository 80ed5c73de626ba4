"""Asking the supervisor over its control socket, which only its own user can reach."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import trio

from daemon.directories import DirectoryError, read_about
from daemon.transport import Post
from protocol.messages import Reply, Request

ANSWER_S = 5.0


def ask(state_dir: Path, verb: str, name: str = "", *, patience_s: float = ANSWER_S) -> int:
    """Ask the daemon that runs on a state directory, print its answer, return the exit status."""
    try:
        about = read_about(state_dir)
    except DirectoryError as error:
        print(f"tocsin: {error}", file=sys.stderr)
        return 1
    reply = trio.run(_ask, Path(about["runtime_dir"]), verb, name, patience_s)
    print(f"tocsin: {reply.text}", file=sys.stdout if reply.ok else sys.stderr)
    return 0 if reply.ok else 1


async def _ask(runtime_dir: Path, verb: str, name: str, patience_s: float) -> Reply:
    own = f"cli-{os.getpid()}"
    post = Post(runtime_dir, own, bound=16)
    inbox = post.inbox("control")
    try:
        with trio.move_on_after(patience_s):
            await post.outbox("supervisor", "control").send(Request(verb, name, own))
            message, _ = await inbox.receive()
            if isinstance(message, Reply):
                return message
        return Reply(False, f"the supervisor did not answer within {patience_s:.0f} s")
    finally:
        post.close()
        (runtime_dir / f"{own}.control").unlink(missing_ok=True)
