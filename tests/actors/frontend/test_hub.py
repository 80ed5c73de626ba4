from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
import trio.testing
from hypothesis import example, given
from hypothesis import strategies as st

from actors.frontend import hub as module
from actors.frontend.hub import CLOSE_GOING_AWAY, CLOSE_TRY_AGAIN, Client, Hub, close_frame, text_frame


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield opcode and payload of unmasked frames (RFC 6455, section 5.2)."""
    while data:
        assert data[0] & 0xF0 == 0x80 and not data[1] & 0x80
        length, offset = data[1], 2
        if length == 126:
            length, offset = int.from_bytes(data[2:4]), 4
            assert length >= 126
        elif length == 127:
            length, offset = int.from_bytes(data[2:10]), 10
            assert length >= 1 << 16
        yield data[0] & 15, data[offset : offset + length]
        assert len(data) >= offset + length
        data = data[offset + length :]


@given(st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536, 70_000]))
def test_frames_are_framed_as_the_standard_says(size: int) -> None:
    assert list(frames(text_frame(bytes(size)))) == [(1, bytes(size))]


@given(st.integers(1000, 4999), st.text(max_size=200))
@example(1000, 122 * "x" + "é")
def test_a_close_frame_fits_a_control_frame_and_is_text(code: int, reason: str) -> None:
    try:
        ((opcode, payload),) = frames(close_frame(code, reason))
    except UnicodeEncodeError:
        return
    assert opcode == 8 and len(payload) <= 125 and int.from_bytes(payload[:2]) == code
    assert reason.startswith(payload[2:].decode())


def make_hub(*clients: Client) -> Hub:
    hub = Hub()
    hub.clients.update(clients)
    return hub


def test_a_fast_client_gets_everything_and_a_slow_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED_BYTES", 10_000)

    async def test() -> None:
        fast, slow = Client(), Client()
        hub, got = make_hub(fast, slow), list[tuple[int, bytes]]()
        for number in range(1_000):
            hub.publish([b"%d" % number, b"x" * 100])
            assert slow.queued_bytes <= 10_000
            got += frames(await fast.take())
        assert [payload for _, payload in got if payload != b"x" * 100] == [b"%d" % number for number in range(1_000)]
        assert slow.closing == CLOSE_TRY_AGAIN and hub.closed_too_slow == 1
        assert slow.queued_bytes == 0 and not hub.is_busy(), "what was thrown away waits no more"
        ((opcode, payload),) = frames(await slow.take())
        assert opcode == 8 and int.from_bytes(payload[:2]) == 1013 and b"too slow" in payload

    trio.run(test)


def test_at_the_end_everyone_gets_what_is_queued_and_then_a_goodbye() -> None:
    async def test() -> None:
        client = Client()
        hub = make_hub(client)
        hub.publish([b"last"])
        hub.close_all(CLOSE_GOING_AWAY, "the daemon stops")
        hub.publish([b"after"])
        hub.close_all(CLOSE_GOING_AWAY, "the daemon stops")
        (text, goodbye) = frames(await client.take())
        assert text == (1, b"last") and int.from_bytes(goodbye[1][:2]) == CLOSE_GOING_AWAY

    trio.run(test)


def test_a_client_that_waits_is_woken() -> None:
    async def test() -> None:
        client = Client()
        hub = make_hub(client)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.take)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.deadline = trio.current_time() + 5
            hub.publish([b"news"])
        assert not nursery.cancel_scope.cancelled_caught and client.queued_bytes == 0

    trio.run(test)
