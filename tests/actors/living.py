"""An actor at work in a test, and its two ends: it drains, or it is killed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

import trio

from tests.fake_context import FakeContext


class Runs(Protocol):
    async def run(self) -> Any: ...


T = TypeVar("T", bound=Runs)


class Living(Generic[T]):
    """An actor that runs in a nursery from its making on."""

    def __init__(self, context: FakeContext, actor: T, nursery: trio.Nursery) -> None:
        self.context, self.actor = context, actor
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        nursery.start_soon(self._live)

    async def _live(self) -> None:
        with self._scope:
            await self.actor.run()
        self._ended.set()

    async def kill(self) -> None:
        """End it as SIGKILL does: it gets no chance to write anything."""
        self._scope.cancel()
        await self._ended.wait()

    async def drain(self) -> None:
        self.context.drain()
        await self._ended.wait()


async def wait_until(holds: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not holds():
            await trio.sleep(0.005)


def run_in_nursery(test: Callable[[trio.Nursery], Awaitable[None]]) -> None:
    async def within() -> None:
        async with trio.open_nursery() as nursery:
            await test(nursery)

    trio.run(within)
