"""Work that may take seconds of a whole core, in processes of their own: a few at once and for so long, so that the stream
does not wait for them.
"""

from __future__ import annotations

import trio

from actors.frontend.rest import Problem
from actors.process import ProcessFailed, run_module

MAX_HEAVY = 2
LIMIT_S = 30.0  # waiting for others included


class Heavy:
    """State: who works and who waits."""

    def __init__(self) -> None:
        self._places = trio.CapacityLimiter(MAX_HEAVY)

    async def run(self, module: str, order: bytes, instead: str) -> bytes:
        """Have a process carry out an order. `instead`: the command that does it without a limit. Raises Problem."""
        with trio.move_on_after(LIMIT_S):
            async with self._places:
                try:
                    return await run_module(module, order)
                except ProcessFailed as error:
                    raise Problem(500, "Internal error", f"the process for it ended badly: {str(error)[:300]}") from error
        raise Problem(503, "Busy", f"this took longer than {LIMIT_S:g} s; ask for less, or on the machine itself: {instead}")
