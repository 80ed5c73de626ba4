from __future__ import annotations

import threading
import time
from typing import Any

import trio

from actors.frontend.app import MAX_QUERIES, Door


def test_who_goes_away_does_not_wait_for_a_query_and_its_place_is_taken_until_it_ends() -> None:
    nothing: Any = None
    free = threading.Event()
    running: list[int] = []

    def query() -> None:
        running.append(1)
        assert free.wait(10)

    async def main() -> None:
        door = Door(nothing, nothing, nothing)
        began = time.monotonic()
        with trio.move_on_after(0.05):
            async with trio.open_nursery() as nursery:
                for _ in range(MAX_QUERIES):
                    nursery.start_soon(door.read, query)
        assert time.monotonic() - began < 5, "those who went away did not wait"
        with trio.move_on_after(0.05) as waiting:
            await door.read(query)
        assert waiting.cancelled_caught and len(running) == MAX_QUERIES, "no more queries than places"
        free.set()
        assert await door.read(lambda: 7) == 7

    trio.run(main)
