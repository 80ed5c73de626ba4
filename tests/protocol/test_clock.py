from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.clock import NS_PER_MS, NS_PER_S, format_day, format_time, parse_time

NAMEABLE = st.integers(-62_135_596_800 * NS_PER_S, 253_402_300_800 * NS_PER_S - 1)


@given(NAMEABLE)
@example(-1)
@example(0)
@example(253_402_300_800 * NS_PER_S - 1)
def test_a_time_read_again_is_itself_to_the_millisecond(time_ns: int) -> None:
    assert parse_time(format_time(time_ns)) == time_ns - time_ns % NS_PER_MS


@given(NAMEABLE)
def test_it_reads_as_the_standard_library_writes_it(time_ns: int) -> None:
    second = datetime(1970, 1, 1, tzinfo=UTC).timestamp() + time_ns // NS_PER_S
    text = datetime.fromtimestamp(second, UTC).strftime("%m-%dT%H:%M:%S")
    assert format_time(time_ns)[5:19] == text
    assert format_day(time_ns) == format_time(time_ns)[:10]


@given(st.integers(-(1 << 80), 1 << 80), st.integers(-(1 << 80), 1 << 80))
def test_every_clock_has_a_name_and_names_sort_as_days(one: int, other: int) -> None:
    assert len(format_time(one)) == 24
    if one <= other:
        assert format_day(one) <= format_day(other)


@given(st.text(max_size=40))
def test_text_is_a_time_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_time(text), int)


def test_zones() -> None:
    assert parse_time("2026-05-13T17:30:00+02:00") == parse_time("2026-05-13T15:30:00Z") == parse_time("2026-05-13T15:30:00")
    with pytest.raises(ValueError, match="Invalid isoformat"):
        parse_time("yesterday")
