"""What fuzzing has found: each was one datagram away from anybody."""

from __future__ import annotations

import time

import pytest

from actors.parsing.drain import Drain
from actors.parsing.masking import Masking
from actors.parsing.parse import Parser
from actors.parsing.times import Clock
from protocol.messages import decode_events, encode
from protocol.records import Event, Form, Record

NOW_NS = 1_778_686_199_998_000_000
MAX_S = 0.1  # of the processor for 64 KiB; it takes a tenth of that


def parse(body: bytes, form: Form = "syslog") -> Event:
    (event,) = decode_events(encode(Parser().parse([Record(NOW_NS, "s", form, "peer", body)], 7, 1)[0]))
    return event


@pytest.mark.parametrize(
    "body",
    [
        b"type=SYSCALL msg=audit(1364481363.243:" + b"9" * 30 + b"): arch=c000003e",
        b"type=SYSCALL msg=audit(1364481363.243:" + b"9" * 6_000 + b"): arch=c000003e",
        b'192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 ' + b"9" * 30,
        b'192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 ' + b"9" * 6_000 + b' "-" "x"',
        b'{"n":' + b"9" * 30 + b"}",
    ],
)
def test_a_number_beyond_64_bits_reaches_nobody(body: bytes) -> None:
    """msgpack has no room for it: the parser died of the event, and of the same again and again."""
    event = parse(body)
    assert "parse_error" not in event.fields
    assert body.decode()[:60] in event.message or event.fields


@pytest.mark.parametrize(
    "unit",
    ["a" * 100 + "1" + "b" * 200 + "2" + "c" * 150, "a:" * 250 + "g", "a" * 500, "a." * 240, "1-" * 200 + "x"],
    ids=["two digits", "colons", "letters", "dots", "dashes"],
)
def test_long_words_cost_what_their_length_costs(unit: str) -> None:
    message = "".join(unit + chr(97 + number % 26) * (number % 40) + " " for number in range(110))[:65_536]
    spent_s = []
    for _ in range(3):
        drain, began_s = Drain(), time.process_time()
        drain.learn(message)
        spent_s.append(time.process_time() - began_s)
    assert min(spent_s) < MAX_S


def test_what_is_remembered_of_words_and_messages_is_bounded() -> None:
    masking, drain = Masking(), Drain()
    for number in range(200):
        word = chr(97 + number % 26) * (60_000 + number)
        masking.tokens(word, 96)
        template = drain.learn(f"{word} " + " ".join(f"{'abcdefghij'[number % 10] * (50 + place)}" for place in range(96)))
        assert len(template.text) <= 2_048
    assert max(map(len, masking._cache)) <= 128


def test_a_date_with_a_gap_is_read_and_not_remembered() -> None:
    clock = Clock()
    text = "Jun" + " " * 60_000 + "14 15:16:01 x"
    assert clock.read(text, 0, NOW_NS) is not None
    assert clock.read("Jun 14 15:16:01 x", 0, NOW_NS) is not None
    assert max(len(written) for written, _ in clock._seconds) <= 64
