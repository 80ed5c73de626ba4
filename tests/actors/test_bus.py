"""One suite for every bus: that of the daemon, over real sockets, and the double that the tests of actors stand on."""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

import pytest
import trio
import trio.testing

from actors.bus import Bus
from actors.context import Context
from daemon.runner import ActorContext, Assignment
from daemon.transport import Post
from protocol.edges import Edge, Outputs
from protocol.messages import Acknowledged, BatchKey, Command, Drafted, Frame, Header, Records
from tests.fake_context import FakeContext

OUTPUTS: Outputs = {
    "records": (Edge("first"), Edge("second", "drop", frames=1), Edge("third")),
    "acknowledged": (Edge("third"),),
    "drafted": (),
}
FILLER = 0  # tag of what fills an edge
FRAMES = [b"columns", b"events"]


def records(number: int) -> Records:
    return Records(BatchKey("any", 1, 0, number, 1))


class Site(Protocol):
    """A bus under test, the three actors that hear its actor `own`, and one that it hears."""

    bus: Bus

    def fill(self, to: str) -> None:
        """Let the edge to an actor be full, until it is emptied."""
        ...

    async def empty(self, to: str) -> list[tuple[Header, Sequence[Frame]]]:
        """Return what has come to an actor since, and let there be room; nothing more comes for a moment."""
        ...

    async def deliver(self, header: Header) -> None:
        """Send to the bus's own actor."""
        ...

    async def drain(self) -> None:
        """Tell the bus's own actor to drain."""
        ...

    def close(self) -> None: ...


class OverZeroMQ:
    def __init__(self, folder: Path, nursery: trio.Nursery) -> None:
        assignment = Assignment("own", 1, "", {}, str(folder), str(folder), os.getpid(), outputs=OUTPUTS)
        self._context = ActorContext(assignment, {})
        self.bus: Bus = self._context
        self._posts = {name: Post(folder, name, bound=4) for name in ("first", "second", "third", "sender", "supervisor")}
        self._inboxes = {name: self._posts[name].inbox("data") for name in ("first", "second", "third")}
        nursery.start_soon(self._context.follow_commands)

    def fill(self, to: str) -> None:
        while self.bus.emit_nowait(Records(BatchKey("any", FILLER, 0, 1, 1)), [bytes(100_000)] * 5, to=to):
            pass

    async def empty(self, to: str) -> list[tuple[Header, Sequence[Frame]]]:
        found: list[tuple[Header, Sequence[Frame]]] = []
        while True:
            with trio.move_on_after(0.3) as patience:
                message = await self._inboxes[to].receive()
            if patience.cancelled_caught:
                return found
            key = getattr(message[0], "key", None)
            if key is None or key.tag != FILLER:
                found.append((message[0], [bytes(frame) for frame in message[1]]))

    async def deliver(self, header: Header) -> None:
        await self._posts["sender"].outbox("own").send(header)

    async def drain(self) -> None:
        await self._posts["supervisor"].outbox("own", "control").send(Command("drain"))

    def close(self) -> None:
        self._context.close()
        for post in self._posts.values():
            post.close()


class InMemory:
    def __init__(self, folder: Path, nursery: trio.Nursery) -> None:
        self._context = FakeContext(folder)
        self._context.outputs = OUTPUTS
        self.bus: Bus = self._context

    def fill(self, to: str) -> None:
        self._context.full.add(to)

    async def empty(self, to: str) -> list[tuple[Header, Sequence[Frame]]]:
        self._context.full.discard(to)
        self._context.changed.set()
        await trio.testing.wait_all_tasks_blocked()
        found: list[tuple[Header, Sequence[Frame]]] = []
        found += [(header, list(frames)) for name, header, frames in self._context.sent if name == to]
        self._context.sent = [each for each in self._context.sent if each[0] != to]
        return found

    async def deliver(self, header: Header) -> None:
        self._context.deliver(header)

    async def drain(self) -> None:
        self._context.drain()

    def close(self) -> None:
        pass


Law = Callable[[Site], Awaitable[None]]


@pytest.fixture(params=[OverZeroMQ, InMemory])
def hold(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Law], None]:
    async def main(law: Law) -> None:
        async with trio.open_nursery() as nursery:
            site: Site = request.param(tmp_path, nursery)
            with trio.fail_after(20):
                await law(site)
            nursery.cancel_scope.cancel()
        site.close()

    return lambda law: trio.run(main, law)


def test_a_message_goes_along_all_edges_of_its_type_in_order(hold: Callable[[Law], None]) -> None:
    async def law(site: Site) -> None:
        sent = [records(number) for number in range(1, 4)]
        for each in sent:
            assert await site.bus.emit(each, FRAMES) == ("first", "second", "third")
        assert site.bus.emit_nowait(Acknowledged(1, 3)) == ("third",)
        assert await site.empty("first") == [(each, FRAMES) for each in sent]
        assert await site.empty("second") == [(each, FRAMES[:1]) for each in sent], "an edge carries the frames that it names"
        assert await site.empty("third") == [*((each, FRAMES) for each in sent), (Acknowledged(1, 3), [])]

    hold(law)


def test_along_one_edge_only(hold: Callable[[Law], None]) -> None:
    async def law(site: Site) -> None:
        assert await site.bus.emit(records(1), FRAMES, to="third") == ("third",)
        assert site.bus.emit_nowait(records(2), FRAMES, to="nobody") == ()
        assert [await site.empty(name) for name in ("first", "second", "third")] == [[], [], [(records(1), FRAMES)]]

    hold(law)


def test_what_no_route_declares_is_a_fault_and_what_nobody_hears_is_none(hold: Callable[[Law], None]) -> None:
    async def law(site: Site) -> None:
        assert await site.bus.emit(Drafted(())) == ()
        with pytest.raises(LookupError):
            await site.bus.emit(Command("drain"))
        with pytest.raises(LookupError):
            site.bus.emit_nowait(Command("drain"))

    hold(law)


def test_a_full_edge_that_drops_holds_nobody_up(hold: Callable[[Law], None]) -> None:
    async def law(site: Site) -> None:
        site.fill("second")
        assert await site.bus.emit(records(1), FRAMES) == ("first", "third")
        assert await site.empty("second") == []
        assert await site.bus.emit(records(2), FRAMES) == ("first", "second", "third")
        assert await site.empty("second") == [(records(2), FRAMES[:1])]

    hold(law)


def test_a_full_edge_that_waits_holds_the_sender_and_loses_nothing(hold: Callable[[Law], None]) -> None:
    async def law(site: Site) -> None:
        site.fill("third")
        assert site.bus.emit_nowait(records(1), FRAMES) == ("first", "second"), "whoever cannot wait does not"
        given: list[tuple[str, ...]] = []
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                given.append(await site.bus.emit(records(2), FRAMES))

            nursery.start_soon(send)
            await trio.sleep(0.05)
            assert given == []
            assert await site.empty("third") == [(records(2), FRAMES)]
        assert given == [("first", "second", "third")]

    hold(law)


def test_cancelled_while_it_waits_the_edges_before_have_it_and_the_others_have_not(hold: Callable[[Law], None]) -> None:
    async def law(site: Site) -> None:
        site.fill("third")
        with trio.move_on_after(0.05) as patience:
            await site.bus.emit(records(1), FRAMES)
        assert patience.cancelled_caught
        assert [len(await site.empty(name)) for name in ("first", "second", "third")] == [1, 1, 0]

    hold(law)


def test_what_came_is_handled_before_a_drain_ends(hold: Callable[[Law], None]) -> None:
    async def law(site: Site) -> None:
        for number in range(5):
            await site.deliver(Acknowledged(1, number))
        got = []
        async for header, _ in site.bus.messages():
            got.append(header)
            if len(got) == 2:
                await site.drain()
                await trio.sleep(0.02)
        assert got == [Acknowledged(1, number) for number in range(5)]

    hold(law)


@pytest.mark.parametrize("kind", [ActorContext, FakeContext])
def test_a_context_has_what_the_protocol_says_with_the_same_signatures(kind: type) -> None:
    for name, wanted in inspect.getmembers(Context, inspect.isfunction):
        if not name.startswith("_"):
            assert str(inspect.signature(getattr(kind, name))) == str(inspect.signature(wanted)), name
            assert inspect.iscoroutinefunction(getattr(kind, name)) == inspect.iscoroutinefunction(wanted), name
