"""The broadcaster: one ordered stream of what is committed, raised and beating, for everyone who shows it.

Today that is the front end. A subscriber that does not keep up fills its edge; the broadcaster then waits for
`PATIENCE_S` and after that drops for it, counted: a front end that hangs is killed by the supervisor before that, and
its clients come back and read the history.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from actors.context import Context
from protocol.messages import Committed, Frame, Header, Status

SUBSCRIBERS = ("frontend",)
PATIENCE_S = 5.0


async def _hand_on(context: Context, subscriber: str, message: Header, frames: Sequence[Frame]) -> None:
    if context.send_nowait(subscriber, message, frames):
        return
    if isinstance(message, Committed):
        with trio.move_on_after(PATIENCE_S) as patience:
            await context.send(subscriber, message, frames)
        if not patience.cancelled_caught:
            return
    context.report.counters["dropped_slow_subscriber"] += 1


async def run(context: Context) -> None:
    context.report.ok()
    async for message, frames in context.messages():
        if isinstance(message, Committed | Status):
            for subscriber in SUBSCRIBERS:
                await _hand_on(context, subscriber, message, frames)
            context.report.counters["messages"] += 1
