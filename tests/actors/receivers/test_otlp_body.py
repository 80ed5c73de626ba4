"""Bodies of requests are bounded in size, in time and in what all of them hold together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import trio

from actors.receivers import otlp_body
from actors.receivers.otlp_body import BODY_S, Body, ClientGone, Held
from tests.clocks import run_jumping as run


def receiving(*parts: bytes, ends: bool = True, pause_s: float = 0.0) -> Any:
    events: Iterator[dict[str, Any]] = iter(
        {"type": "http.request", "body": part, "more_body": not ends or number + 1 < len(parts)}
        for number, part in enumerate(parts)
    )

    async def receive() -> dict[str, Any]:
        await trio.sleep(pause_s)
        event = next(events, None)
        if event is None:
            await trio.sleep_forever()
        assert event is not None
        return event

    return receive


def test_a_body_is_what_came(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        held = Held()
        with Body(held) as body:
            await body.read(receiving(b"one", b"", b"two"))
            assert (body.fault, body.size, held.bytes) == ("", 6, 6)
            assert body.take() == b"onetwo" and held.bytes == 0

    run(test)


def test_what_is_too_large_is_read_to_its_end_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_body, "MAX_BODY_BYTES", 10)

    async def test() -> None:
        held = Held()
        with Body(held) as body:
            await body.read(receiving(b"x" * 8, b"x" * 8, b"x"))
            assert (body.fault, body.size, held.bytes) == ("too large", 0, 0)

    run(test)


def test_all_together_hold_no_more_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_body, "MAX_HELD_BYTES", 20)

    async def test() -> None:
        held = Held()
        with Body(held) as first:
            await first.read(receiving(b"x" * 15))
            with Body(held) as second:
                await second.read(receiving(b"x" * 4, b"x" * 4))
                assert (second.fault, held.bytes) == ("too much", 15)
        assert held.bytes == 0
        with Body(held) as third:
            await third.read(receiving(b"x" * 20))
            assert third.fault == ""

    run(test)


def test_one_that_takes_too_long_gives_back_what_it_holds() -> None:
    async def test() -> None:
        held = Held()
        with Body(held) as body:
            await body.read(receiving(*[b"x"] * 1_000, pause_s=1.0))
            assert (body.fault, held.bytes) == ("too slow", 0) and trio.current_time() >= BODY_S

    run(test)


def test_a_client_that_goes_leaves_nothing() -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def test() -> None:
        held = Held()
        with pytest.raises(ClientGone), Body(held) as body:
            await body.read(gone)
        assert held.bytes == 0

    run(test)
