from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.records import Event
from protocol.streams import MAX_NAME, Stream, stream_key, stream_of

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from(["", "a", "a\0", "\0a", "b"])


def event_of(source: str, **fields: object) -> Event:
    return Event("", 0, 0, source, 9, "", 1, "", [], dict(fields))


@given(NAMES, NAMES, NAMES, NAMES, NAMES, NAMES)
def test_a_stream_is_source_host_and_program_and_nothing_else(a: str, b: str, c: str, d: str, e: str, f: str) -> None:
    one, other = event_of(a, host=b, app=c, procid="1"), event_of(d, host=e, app=f)
    assert (stream_key(one) == stream_key(other)) == (stream_of(one) == stream_of(other))
    assert 0 <= stream_key(one) < 1 << 63


def test_the_key_is_the_same_for_ever() -> None:
    """Snapshots, stores and other machines know a stream by it."""
    assert stream_key(event_of("syslog", host="bastion", app="sshd")) == 4_718_280_701_492_524_543


@pytest.mark.parametrize("host", ["WEB1", "web1.", "Web1"])
def test_a_host_is_one_however_it_is_spelled(host: str) -> None:
    assert stream_of(event_of("syslog", host=host, app="sshd")) == Stream("syslog", "web1", "sshd")


@pytest.mark.parametrize("hostile", [None, 7, ["web1"], {"a": 1}, b"web1", True])
def test_what_is_no_name_names_nothing(hostile: object) -> None:
    assert stream_of(event_of("otlp", host=hostile, app=hostile)) == Stream("otlp", "", "")


def test_a_name_is_bounded() -> None:
    long = stream_of(event_of("otlp", host="h" * 70_000, app="p" * 70_000))
    assert (len(long.host), len(long.program)) == (MAX_NAME, MAX_NAME)
