"""RFC 6587: messages out of a stream, whatever the chunks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.receivers.framing import Framing


def split(framing: Framing, *chunks: bytes) -> list[tuple[bytes, bool]]:
    messages = [message for chunk in chunks for message in framing.feed(chunk)]
    return messages + framing.close()


def test_octet_counted_message_may_hold_a_newline() -> None:
    assert split(Framing(), b"9 <1>a\nb\ncd") == [(b"<1>a\nb\ncd"[:9], False)]


def test_two_counted_messages_need_no_separator() -> None:
    assert split(Framing(), b"4 <1>a5 <2>bc") == [(b"<1>a", False), (b"<2>bc", False)]


def test_lines_end_with_newline_or_nul_and_the_last_needs_none() -> None:
    assert split(Framing(), b"<1>a\r\n<2>b\x00<3>c") == [(b"<1>a", False), (b"<2>b", False), (b"<3>c", False)]


def test_the_framing_is_decided_once_for_a_connection() -> None:
    lines = [(b"<2>b", False), (b"4 <3>c", False)]  # the parser takes the count off
    assert split(Framing(), b"4 <1>a\n<2>b\n4 <3>c") == [(b"<1>a", False), *lines]
    assert split(Framing(), b"<2>b\n4 <3>c\n") == lines
    assert split(Framing(), b"4 <1>a4 <2>b\nlost its count\n4 <3>c") == [
        (b"<1>a", False), (b"<2>b", False), (b"lost its count", False), (b"<3>c", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line", [b"999999999 <y", b"999999999 <13>y", b"60000 <13>y", b"900 <13>y", b"54 <1 minute elapsed", b"4 <134", b"4 <1345>"]
)
@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_line_that_looks_like_a_count_blinds_nobody(line: bytes, before: int) -> None:
    others = [b"<13>line number %d" % number for number in range(5)]
    lines = [*others[:before], line, *others[before:]]
    assert split(Framing(1_000), b"\n".join(lines)) == [(each, False) for each in lines]


@given(st.lists(st.binary(min_size=1, max_size=40).filter(lambda text: text.strip(b"\r\n\x00") != b""), min_size=2))
def test_counted_messages_hold_any_bytes(bodies: list[bytes]) -> None:
    messages = [b"<13>" + body.replace(b"\n<", b"\n ").rstrip(b"\r\n\x00") for body in bodies]
    stream = b"".join(b"%d %s" % (len(message), message) for message in messages)
    assert split(Framing(), stream) == [(message, False) for message in messages]


def test_a_line_that_starts_with_a_number_is_a_line() -> None:
    assert split(Framing(), b"081109 203615 148 INFO x\n") == [(b"081109 203615 148 INFO x", False)]
    assert split(Framing(), b"12 monkeys\n") == [(b"12 monkeys", False)]


def test_overlong_messages_are_cut_counted_and_skipped() -> None:
    long_line = b"<1>" + b"x" * 100
    lines, counts = Framing(max_message_bytes=8), Framing(max_message_bytes=8)
    assert split(lines, long_line, b"yyy\n<2>b\n") == [(b"<1>xxxxx", True), (b"<2>b", False)]
    assert split(counts, b"4 <0>a4 <0>b20 ", long_line[:20] + b"4 <3>c\n") == [
        (b"<0>a", False), (b"<0>b", False), (b"<1>xxxxx", True), (b"<3>c", False),
    ]  # fmt: skip
    assert lines.cut_messages_total == counts.cut_messages_total == 1


def test_a_counted_frame_that_ends_early_is_handed_on_cut() -> None:
    assert split(Framing(), b"30 <1>half") == [(b"<1>half", True)]


@given(st.lists(st.sampled_from([b"4 <1>a", b"<1>a\n", b"12 ", b"\n", b"\x00", b"\r", b"<", b"9", b" ", b"x" * 30])))
def test_chunks_do_not_matter(parts: list[bytes]) -> None:
    stream = b"".join(parts)
    whole = split(Framing(16), stream)
    assert split(Framing(16), *[stream[i : i + 1] for i in range(len(stream))]) == whole
    assert split(Framing(16), *parts) == whole


@given(st.binary(max_size=200))
def test_any_bytes_give_bounded_messages(stream: bytes) -> None:
    framing = Framing(16)
    assert all(0 < len(body) <= 16 for body, _ in split(framing, stream))
