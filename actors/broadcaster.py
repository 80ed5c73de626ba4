"""The broadcaster: one ordered stream of commits and heartbeats, for every follower and the front end.

It waits for nobody: each follower has an edge of its own, and one that does not keep up fills that edge and misses what
comes then, counted. Commit sequences have no gaps, so the follower sees what it missed and reads it from the store; the
others notice nothing.
"""

from __future__ import annotations

from actors.context import Context
from protocol.messages import Committed, Status
from protocol.metrics import BroadcasterMetrics


async def run(context: Context) -> None:
    metrics = context.report.measure(BroadcasterMetrics)
    context.report.ready()
    async for message, frames in context.messages():
        if isinstance(message, Committed | Status):
            await context.emit(message, frames)
            metrics.messages += 1
