from __future__ import annotations

import threading
from pathlib import Path

import pytest
import trio

from actors.alerting import actor
from actors.storage.writer import StoreWriter
from protocol.findings import Alert, AlertState
from protocol.messages import Judged
from tests.actors.alerting.test_deduplicator import again_of_entity, of_entity
from tests.fake_context import FakeContext


async def fired(folder: Path, *drafts: Alert) -> list[Alert]:
    """Return what an actor that starts now lets pass."""
    context = FakeContext(folder, "alerts")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.run, context)
        context.deliver(Judged(None, drafts))
        context.drain()
    return [alert for _, message, _ in context.sent if isinstance(message, Judged) for alert in message.alerts]


def test_what_was_stored_after_the_last_snapshot_is_not_shown_again(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store")
    writer.commit(None, [], [of_entity(1)], 0)
    assert trio.run(fired, tmp_path, again_of_entity(1), of_entity(1), of_entity(2)) == [of_entity(1), of_entity(2)]
    writer.close()


def test_a_store_that_cannot_be_read_does_not_keep_it_from_starting(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "main.db").write_bytes(b"no database" * 1_000)
    assert trio.run(fired, tmp_path, of_entity(1)) == [of_entity(1)]
    assert "may be shown once more" in caplog.text


def test_a_store_that_is_slow_to_read_does_not_hold_up_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that stands still for 2.5 s is taken for an actor that hangs, and killed."""
    free = threading.Event()

    class Slow:
        def alerts(self, query: object) -> tuple[list[Alert], None]:
            assert free.wait(10)
            return [of_entity(1)], None

        def alert_states(self, alerts: list[Alert]) -> dict[str, AlertState]:
            return {alert.id: AlertState.of(alert) for alert in alerts}

    monkeypatch.setattr(actor, "open_store_reader", lambda *_, **__: Slow())

    async def main() -> list[Alert]:
        context = FakeContext(tmp_path, "alerts")
        context.deliver(Judged(None, (again_of_entity(1), of_entity(2))))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(actor.run, context)
            for _ in range(5):
                await trio.sleep(0.01)
            assert (context.report.state, context.sent) == ("starting", [])
            free.set()
            while not context.sent:
                await trio.sleep(0.01)
            context.drain()
        return [alert for _, message, _ in context.sent if isinstance(message, Judged) for alert in message.alerts]

    assert trio.run(main) == [of_entity(2)]
