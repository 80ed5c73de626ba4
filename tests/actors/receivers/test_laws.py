"""Laws that hold for every registered receiver."""

from __future__ import annotations

import importlib
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trio

from actors.spool.spool import Spool
from daemon.receivers import RECEIVERS
from protocol.messages import encode
from protocol.records import Record
from tests.fake_context import FakeContext, FakeRecorder, everything

LEFT = [Record(1_790_000_000_000_000_000 + n, "old", "line", "here", f"left {n}".encode()) for n in range(5)]


@pytest.fixture(params=list(RECEIVERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(name: str, folder: Path, test: Any) -> FakeContext:
    """Run a receiver with what its configuration says, on free ports; `test` is to drain it."""
    context = FakeContext(folder, name)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(test, context)
            await importlib.import_module(RECEIVERS[name].target).run(context)

    with ExitStack() as stack:
        sockets = {}
        for listener in everything().receivers[name].listeners():
            sockets[listener.handle] = bound = stack.enter_context(socket.socket(type=listener.kind))
            bound.bind(("127.0.0.1", 0))
            if listener.kind == socket.SOCK_STREAM:
                bound.listen()
        context.sockets = sockets
        trio.run(main)
    return context


async def until(holds: Any) -> None:
    with trio.fail_after(20):
        while not holds():
            await trio.sleep(0.005)


def test_it_says_that_it_is_ready_and_ends_when_it_has_drained(name: str, tmp_path: Path) -> None:
    async def test(context: FakeContext) -> None:
        await until(lambda: context.report.state != "starting")
        context.drain()

    context = run(name, tmp_path, test)
    assert context.batches() == []
    assert context.report.gauges["queue_depth"] == 0


def test_what_was_left_in_its_spool_is_handed_on_with_its_sequences(name: str, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool" / name, max_bytes=1 << 20)
    spool.append([(encode(LEFT), len(LEFT))])
    spool.close()

    async def test(context: FakeContext) -> None:
        recorder = FakeRecorder(context)
        await until(context.batches)
        context.announce_loss()
        await until(lambda: len(context.batches()) == 2)
        recorder.take_all()
        context.drain()

    context = run(name, tmp_path, test)
    (key, records), (again, same) = context.batches()
    assert (key.tag, key.first, key.count, records) == (spool.tag, 1, len(LEFT), LEFT)
    assert (again.first, again.attempt, same) == (1, 1, LEFT)
    assert context.report.gauges["queue_depth"] == 0
