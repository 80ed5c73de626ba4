"""Wake every task that waits for a change of state."""

from __future__ import annotations

import trio


class Signal:
    """`wait` returns at the next `set`. Read the state, then wait, with no await between: no change is missed."""

    def __init__(self) -> None:
        self._waiting = trio.lowlevel.ParkingLot()

    async def wait(self) -> None:
        await self._waiting.park()

    def set(self) -> None:
        self._waiting.unpark_all()
