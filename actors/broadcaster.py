"""The broadcaster: one ordered stream of what is committed, and of heartbeats, for every follower and the front end.

It waits for nobody: each follower has an edge of its own, and one that does not keep up fills that edge and misses what
comes then, counted. Commit sequences have no gaps, so the follower sees what it missed and reads it from the store; the
others notice nothing.
"""

from __future__ import annotations

from actors.context import Context
from protocol.messages import Committed, Status


async def run(context: Context) -> None:
    context.report.ok()
    async for message, frames in context.messages():
        if isinstance(message, Committed | Status):
            await context.emit(message, frames)
            context.report.counters["messages"] += 1
