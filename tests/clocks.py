"""A clock that jumps to the next deadline, but never past work that is going on in the real world."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable

import trio
import trio.testing

CUSHION_S = 0.02  # of real time in which nothing happens


async def _jump_while_idle(clock: trio.testing.MockClock) -> None:
    """Jump when all tasks wait for the clock. One that waits for a thread waits for the world, which takes its real time."""
    threads, own = trio.to_thread.current_default_thread_limiter(), trio.CapacityLimiter(1)
    while True:
        await trio.testing.wait_all_tasks_blocked(CUSHION_S)
        if threads.borrowed_tokens:
            await trio.to_thread.run_sync(time.sleep, CUSHION_S / 4, limiter=own)
        elif math.isfinite(ahead_s := trio.lowlevel.current_statistics().seconds_to_next_deadline):
            clock.jump(max(0.0, ahead_s))
        else:
            await trio.to_thread.run_sync(time.sleep, CUSHION_S, limiter=own)


def run_jumping(test: Callable[[], Awaitable[None]]) -> None:
    """Run a test whose waits take no time. What the kernel has for a task (inotify, sockets) is there before the clock jumps."""
    clock = trio.testing.MockClock()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_jump_while_idle, clock)
            await test()
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)
