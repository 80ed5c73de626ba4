from __future__ import annotations

from actors.clock import JUMP_NS, STEADY_NS, SteadyClock
from protocol.clock import NS_PER_S, format_day, format_time

DAY_NS = 86_400 * NS_PER_S
NOON_NS = 1_778_673_600 * NS_PER_S


def test_a_jump_is_told_once_and_believed_when_it_was_steady_for_a_while() -> None:
    for jump_ns in (DAY_NS, 365 * DAY_NS, 20 * 365 * DAY_NS, -DAY_NS, -300 * DAY_NS):
        clock = SteadyClock(NOON_NS, 0)
        assert not clock.is_steady(STEADY_NS - 1) and clock.look(NOON_NS + STEADY_NS, STEADY_NS) == 0
        assert clock.is_steady(STEADY_NS)
        wall, elapsed = NOON_NS + STEADY_NS, STEADY_NS
        assert clock.look(wall + jump_ns, elapsed) == jump_ns
        for second in range(1, 600, 7):
            assert clock.look(wall + jump_ns + second * NS_PER_S, elapsed + second * NS_PER_S) == 0
            assert not clock.is_steady(elapsed + second * NS_PER_S)
            assert clock.believed(elapsed + second * NS_PER_S) == wall + second * NS_PER_S
        assert clock.look(wall + jump_ns + STEADY_NS, elapsed + STEADY_NS) == 0
        assert clock.believed(elapsed + STEADY_NS) == wall + jump_ns + STEADY_NS


def test_a_jump_that_is_taken_back_leaves_nothing_behind() -> None:
    clock = SteadyClock(NOON_NS, 0)
    assert clock.look(NOON_NS + DAY_NS, 0) == DAY_NS
    assert clock.look(NOON_NS + NS_PER_S, NS_PER_S) == -DAY_NS
    assert clock.look(NOON_NS + 2 * NS_PER_S, 2 * NS_PER_S) == 0
    assert clock.believed(2 * NS_PER_S) == NOON_NS + 2 * NS_PER_S


def test_what_a_time_server_slews_is_followed() -> None:
    clock = SteadyClock(NOON_NS, 0)
    for second in range(100_000):
        assert clock.look(NOON_NS + second * (NS_PER_S + 500_000), second * NS_PER_S) == 0
    assert clock.believed(99_999 * NS_PER_S) == NOON_NS + 99_999 * (NS_PER_S + 500_000)
    assert JUMP_NS < 99_999 * 500_000


def test_times_beyond_2038_have_names() -> None:
    assert format_day((1 << 31) * NS_PER_S) == "2038-01-19"
    assert format_time((1 << 33) * NS_PER_S) == "2242-03-16T12:56:32.000Z"
