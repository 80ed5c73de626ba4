"""`tocsin restart ACTOR`: asks the supervisor over its control socket, which only its own user can reach."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import trio

from daemon.configuration import Configuration
from daemon.places import PlaceError, read_about, state_directory
from daemon.transport import Post
from protocol.messages import Reply, Request

ANSWER_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("actor", metavar="ACTOR", help="name of the actor, as `tocsin status` shows it")


def run_command(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Ask a running daemon to restart an actor; return the exit status."""
    try:
        about = read_about(state_directory(configuration, arguments.state_dir))
    except PlaceError as error:
        print(f"tocsin: {error}", file=sys.stderr)
        return 1
    reply = trio.run(_ask, Path(about["runtime_dir"]), arguments.actor)
    print(f"tocsin: {reply.text}", file=sys.stdout if reply.ok else sys.stderr)
    return 0 if reply.ok else 1


async def _ask(runtime_dir: Path, actor: str) -> Reply:
    name = f"cli-{os.getpid()}"
    post = Post(runtime_dir, name, bound=16)
    inbox = post.inbox("control")
    try:
        with trio.move_on_after(ANSWER_S):
            await post.outbox("supervisor", "control").send(Request("restart", actor, name))
            message, _ = await inbox.receive()
            if isinstance(message, Reply):
                return message
        return Reply(False, f"the supervisor did not answer within {ANSWER_S:.0f} s")
    finally:
        post.close()
        (runtime_dir / f"{name}.control").unlink(missing_ok=True)
