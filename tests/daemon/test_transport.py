"""ZeroMQ under Trio, both ends in one process: real sockets, no waiting for a clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from daemon.transport import Post, endpoint
from protocol.messages import Command, Request

BOUND = 8


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("t")


@pytest.fixture
def posts(folder: Path) -> Iterator[tuple[Post, Post]]:
    one, other = Post(folder, "one", bound=BOUND), Post(folder, "other", bound=BOUND)
    yield one, other
    for post in (one, other):
        for box in post._outboxes.values():
            box._socket.setsockopt(17, 0)  # LINGER: nobody reads what is left
        post.close()


def command(number: int) -> Command:
    return Command(str(number))


def test_ten_thousand_messages_both_ways_in_order(posts: tuple[Post, Post]) -> None:
    async def send(post: Post, to: str) -> None:
        for number in range(10_000):
            await post.outbox(to).send(command(number), [b"frame %d" % number])

    async def receive(post: Post) -> None:
        inbox = post.inbox("data")
        for number in range(10_000):
            message, frames = await inbox.receive()
            assert message == command(number) and frames == [b"frame %d" % number]

    async def test() -> None:
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                for post, to in ((posts[0], "other"), (posts[1], "one")):
                    nursery.start_soon(receive, post)
                    nursery.start_soon(send, post, to)

    trio.run(test)
    assert posts[0].statistics()["other"].messages == 10_000


def test_one_at_a_time_is_never_a_lost_wake_up(posts: tuple[Post, Post]) -> None:
    async def echo(post: Post, to: str, *, begins: bool) -> None:
        inbox, outbox = post.inbox("data"), post.outbox(to)
        for number in range(2_000):
            if begins:
                await outbox.send(command(number))
            message, _ = await inbox.receive()
            assert message == command(number)
            if not begins:
                await outbox.send(message)

    async def test() -> None:
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: echo(posts[0], "other", begins=True))
                nursery.start_soon(lambda: echo(posts[1], "one", begins=False))

    trio.run(test)


def test_a_full_edge_makes_the_sender_wait_and_a_nowait_drop(posts: tuple[Post, Post]) -> None:
    async def test() -> None:
        sender, outbox, inbox = posts[0], posts[0].outbox("other"), posts[1].inbox("data")
        sent = 0

        async def send_all() -> None:
            nonlocal sent
            for number in range(500):
                await outbox.send(command(number), [bytes(100_000)])
                sent += 1

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_all)
                before = -1
                while before < sent:
                    before = sent
                    await trio.sleep(0.05)
                assert sent < 500, "the edge is bounded"
                assert not outbox.send_nowait(command(-1))
                assert sender.statistics()["other"].dropped == 1
                for number in range(500):
                    message, _ = await inbox.receive()
                    assert message == command(number)
        assert sent == 500 and sender.statistics()["other"].waits >= 1

    trio.run(test)


def test_without_a_peer_nothing_is_lost_up_to_the_bound_and_its_successor_gets_it(folder: Path, posts: tuple[Post, Post]) -> None:
    async def test() -> None:
        outbox = posts[0].outbox("late")
        accepted = sum(outbox.send_nowait(command(number)) for number in range(3 * BOUND))
        assert accepted == BOUND and outbox.statistics.dropped == 2 * BOUND
        for life in range(3):
            late = Post(folder, "late", bound=BOUND)
            inbox = late.inbox("data")
            with trio.fail_after(5):
                if life == 0:
                    for number in range(accepted):
                        assert (await inbox.receive())[0] == command(number)
                # What is sent before the death is noticed goes down with the dead: so it is said until it is heard.
                heard = None
                while heard != Request("hello", str(life), ""):
                    await outbox.send(Request("hello", str(life), ""))
                    with trio.move_on_after(0.1):
                        heard, _ = await inbox.receive()
            late.close()

    trio.run(test)


def test_a_cancelled_receive_loses_nothing(posts: tuple[Post, Post]) -> None:
    async def test() -> None:
        outbox, inbox = posts[0].outbox("other"), posts[1].inbox("data")
        received: list[Any] = []
        async with trio.open_nursery() as nursery:

            async def send_all() -> None:
                for number in range(300):
                    await outbox.send(command(number))
                    await trio.lowlevel.checkpoint()

            nursery.start_soon(send_all)
            with trio.fail_after(20):
                while len(received) < 300:
                    with trio.move_on_after(0.0005):
                        received.append((await inbox.receive())[0])
        assert received == [command(number) for number in range(300)]

    trio.run(test)


def test_a_path_that_the_kernel_would_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too long for a socket"):
        endpoint(tmp_path / ("x" * 100), "recorder", "data")
