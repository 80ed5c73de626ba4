"""Times in every usual spelling, without zone, without year."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.parsing.times import Clock
from protocol.clock import NS_PER_S, format_time, parse_time

OBSERVED_NS = parse_time("2026-06-15T00:00:00Z")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-13T15:29:59.998Z", "2026-05-13T15:29:59.998Z"),
        ("2026-05-13T15:29:59.998+02:00 x", "2026-05-13T13:29:59.998Z"),
        ("2015-10-18 18:01:47,978 INFO", "2015-10-18T18:01:47.978Z"),
        ("2005-06-03-15.42.50.675872", "2005-06-03T15:42:50.675Z"),
        ("20171224-0:2:37:24", "2017-12-24T00:02:37.240Z"),
        ("081109 203615 148", "2008-11-09T20:36:15.000Z"),
        ("17/06/09 20:10:40 INFO", "2017-06-09T20:10:40.000Z"),
        ("03/Nov/2026:10:00:00 +0100", "2026-11-03T09:00:00.000Z"),
        ("Sun Dec 04 04:47:44 2005", "2005-12-04T04:47:44.000Z"),
        ("Jun 14 15:16:01 host", "2026-06-14T15:16:01.000Z"),
        ("03-17 16:13:38.811", "2026-03-17T16:13:38.811Z"),
        ("1117838570 x", "2005-06-03T22:42:50.000Z"),
        ("1364481363.243", "2013-03-28T14:36:03.243Z"),
        ("1364481363243", "2013-03-28T14:36:03.243Z"),
        ("05/13/2026-22:15:37.909112  [**]", "2026-05-13T22:15:37.909Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
    ],
)
def test_spellings(text: str, expected: str) -> None:
    clock = Clock(UTC)
    for _ in range(2):  # the second time is from the cache
        time = clock.read(text, 0, OBSERVED_NS)
        assert time is not None
        assert format_time(time.ns) == expected


@pytest.mark.parametrize("text", ["", "hello", "May be", "2026-02-30 00:00:00", "12345", "10.0.0.1 x", "99:99:99"])
def test_what_is_no_time(text: str) -> None:
    assert Clock(UTC).read(text, 0, OBSERVED_NS) is None


@pytest.mark.parametrize(
    ("text", "observed", "expected"),
    [
        ("Dec 31 23:59:59", "2026-01-01T00:00:10Z", "2025-12-31T23:59:59.000Z"),
        ("Jan  1 00:00:01", "2025-12-31T23:59:00Z", "2026-01-01T00:00:01.000Z"),
        ("Feb 29 12:00:00", "2026-03-01T00:00:00Z", "2024-02-29T12:00:00.000Z"),
    ],
)
def test_a_missing_year_is_the_nearest(text: str, observed: str, expected: str) -> None:
    time = Clock(UTC).read(text, 0, parse_time(observed))
    assert time is not None
    assert format_time(time.ns) == expected


def test_a_missing_zone_is_the_sources() -> None:
    time = Clock(ZoneInfo("Europe/Berlin")).read("Jun 14 15:16:01", 0, OBSERVED_NS)
    assert time is not None
    assert time.zoneless
    assert format_time(time.ns) == "2026-06-14T13:16:01.000Z"


@given(st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1)), st.integers(-23 * 60, 23 * 60))
def test_rfc_3339_round_trip(moment: datetime, offset_minutes: int) -> None:
    sign, minutes = "-" if offset_minutes < 0 else "+", abs(offset_minutes)
    text = f"{moment:%Y-%m-%dT%H:%M:%S.%f}{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    time = Clock(UTC).read(text, 0, OBSERVED_NS)
    elapsed = moment - timedelta(minutes=offset_minutes) - datetime(1970, 1, 1)
    assert time is not None
    assert time.ns == (elapsed.days * 86_400 + elapsed.seconds) * NS_PER_S + elapsed.microseconds * 1000


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    Clock(UTC).read(text, 0, OBSERVED_NS)


FORMS = [  # how a moment is written, and whether its zone is
    ("%Y-%m-%dT%H:%M:%SZ", True), ("%Y-%m-%d %H:%M:%S", False), ("%Y/%m/%d %H:%M:%S.123", False), ("%Y%m%dT%H%M%SZ", True),
    ("%d/%b/%Y:%H:%M:%S +0000", True), ("%d-%b-%Y %H:%M:%S", False), ("%d%b%Y %H:%M:%S", False), ("%Y %b %d %H:%M:%S UTC:", True),
    ("%b %d %Y %H:%M:%S", False), ("%a %b %d %H:%M:%S %Y", False), ("%a %b %d %H:%M:%S UTC %Y", True),
    ("%G-W%V-%uT%H:%M:%SZ", True),
    ("%Y-%jT%H:%M:%SZ", True), ("%Y-%m-%d %I:%M:%S %p", False), ("%b %d, %Y %I:%M:%S %p", False),
    ("%A, %B %d, %Y %I:%M:%S %p", False),
    ("%H:%M:%S UTC %a %b %d %Y", True), ("%Y-%m-%d %H:%M:%S (GMT)", True), ("%d.%m.%Y %H:%M:%S", False),
]  # fmt: skip
MOMENTS = st.datetimes(datetime(2001, 1, 1), datetime(2035, 1, 1)).map(lambda moment: moment.replace(microsecond=0))


@pytest.mark.parametrize(("form", "zoned"), FORMS)
@given(moment=MOMENTS)
def test_a_moment_is_read_as_it_was_written(form: str, zoned: bool, moment: datetime) -> None:
    """The record comes when it was written; days before the thirteenth may stand for months."""
    observed_ns = int(moment.replace(tzinfo=UTC).timestamp()) * NS_PER_S + NS_PER_S
    time = Clock(UTC).read(moment.strftime(form) + " text", 0, observed_ns)
    assert time is not None
    assert time.ns // NS_PER_S == observed_ns // NS_PER_S - 1 and time.zoneless is not zoned


@given(MOMENTS, MOMENTS, st.sampled_from(["%b %d %H:%M:%S", "%m-%d %H:%M:%S.000", "%b %e %H:%M:%S"]))
def test_a_year_that_is_not_written_is_never_more_than_a_day_ahead(written: datetime, observed: datetime, form: str) -> None:
    observed_ns = int(observed.replace(tzinfo=UTC).timestamp()) * NS_PER_S
    time = Clock(UTC).read(written.strftime(form) + " text", 0, observed_ns)
    if time is not None:
        assert time.ns <= observed_ns + 86_400 * NS_PER_S
        assert time.ns > observed_ns - 9 * 366 * 86_400 * NS_PER_S


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-11-26 10:00:00 CET", "UTC", "2026-11-26T09:00:00.000Z"),
        ("2026-11-26 10:00:00 EST", "UTC", "2026-11-26T15:00:00.000Z"),
        ("2026-11-26 10:00:00 CST", "UTC", "2026-11-26T16:00:00.000Z"),
        ("2026-11-26 10:00:00 CST", "Asia/Shanghai", "2026-11-26T02:00:00.000Z"),
        ("2026-11-26 10:00:00 IST", "Asia/Jerusalem", "2026-11-26T08:00:00.000Z"),
        ("2026-11-26 10:00:00 UTC+2:00", "UTC", "2026-11-26T08:00:00.000Z"),
        ("2026-11-26T10:00:00+0530", "UTC", "2026-11-26T04:30:00.000Z"),
        ("2026-11-26 10:00:00 HSTX", "Europe/Berlin", "2026-11-26T09:00:00.000Z"),
        ("05/11/2026 10:00:00", "UTC", "2026-05-11T10:00:00.000Z"),
    ],
)
def test_names_of_zones(text: str, zone: str, expected: str) -> None:
    time = Clock(ZoneInfo(zone)).read(text, 0, parse_time("2026-11-26T12:00:00Z"))
    assert time is not None and format_time(time.ns) == expected
