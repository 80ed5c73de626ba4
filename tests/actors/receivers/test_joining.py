"""Records of several lines, put together where they are read."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.receivers.joining import MAX_LINES, Joined, Joiner
from actors.receivers.tailing import Line

JAVA = """2026-11-26 10:20:44,381 ERROR [main] com.acme.Shop: order failed
java.lang.IllegalStateException: null
\tat com.acme.Shop.pay(Shop.java:577)
Caused by: java.io.IOException: reset
\t... 12 more"""
PYTHON = """ERROR:root:job failed
Traceback (most recent call last):
  File "job.py", line 3, in <module>
    run()
ValueError: not a number"""
GO = """panic: runtime error: index out of range [5] with length 3
goroutine 1 [running]:
main.pick(...)
\t/src/main.go:8 +0x1d
exit status 2"""
DOTNET = """fail: Acme.Worker[0] could not run
System.InvalidOperationException: no rows
   at Acme.Worker.Run() in /src/Worker.cs:line 12
--- End of stack trace from previous location ---"""
PHP = """PHP Fatal error:  Uncaught Exception: no in /srv/a.php:3
Stack trace:
#0 /srv/b.php(7): f()
#1 {main}
  thrown in /srv/a.php on line 3"""
JSON = """2026-11-26 10:20:44 INFO request {
    "id": 7
}"""
WRITTEN = [JAVA, PYTHON, GO, DOTNET, PHP, JSON]
ALONE = ["2026-11-26 10:20:45,000 INFO [main] com.acme.Shop: next", "Nov 26 10:20:45 web app: hello", '{"msg": "one"}', "plain"]


def lines_of(text: str) -> list[Line]:
    lines, start = [], 0
    for body in text.encode().split(b"\n"):
        lines.append(Line(body, False, start))
        start += len(body) + 1
    return lines


def join(*texts: str, first: str = "") -> list[str]:
    joiner = Joiner(re.compile(first.encode()) if first else None)
    records = joiner.feed(lines_of("\n".join(texts)), "a") + joiner.flush()
    return [record.body.decode() for record in records]


@pytest.mark.parametrize("text", WRITTEN, ids=["java", "python", "go", "dotnet", "php", "json"])
def test_a_record_of_several_lines_is_one(text: str) -> None:
    assert join(ALONE[0], text, *ALONE) == [ALONE[0], text, *ALONE]


@given(st.lists(st.sampled_from([*WRITTEN, *ALONE])))
def test_whatever_stands_together_is_told_apart(records: list[str]) -> None:
    assert join(*records) == records or not records


@given(st.lists(st.binary(min_size=1, max_size=40).filter(lambda body: b"\n" not in body), max_size=30), st.integers(1, 5))
def test_no_byte_of_a_line_is_lost_or_doubled_whatever_the_portions(bodies: list[bytes], most: int) -> None:
    joiner, records = Joiner(), list[Joined]()
    lines = [Line(body, False, place) for place, body in enumerate(bodies)]
    for place in range(0, len(lines), most):
        records += joiner.feed(lines[place : place + most], "a")
        handed_on = sum(record.lines for record in records)
        assert joiner.held() == ({"a": handed_on} if handed_on < place + len(lines[place : place + most]) else {})
    records += joiner.flush()
    assert [line for record in records for line in record.body.split(b"\n")] == bodies
    assert sum(record.lines for record in records) == len(bodies)


def cri(stream: str, tag: str, text: str) -> str:
    return f"2026-11-26T10:17:09.669794202Z {stream} {tag} {text}"


def test_what_kubernetes_has_cut_is_one_line_again_and_streams_do_not_mix() -> None:
    assert sorted(
        join(cri("stdout", "P", '{"a":'), cri("stderr", "F", "oops"), cri("stdout", "P", "1"), cri("stdout", "F", "}"))
    ) == [cri("stderr", "F", "oops"), cri("stdout", "F", '{"a":1}')]


def test_a_trace_within_the_lines_of_a_container_is_one_record() -> None:
    lines = [cri("stderr", "F", line) for line in JAVA.split("\n")]
    assert join(*lines, cri("stderr", "F", "next")) == [
        cri("stderr", "F", JAVA.split("\n")[0]) + "\n" + "\n".join(JAVA.split("\n")[1:]), cri("stderr", "F", "next"),
    ]  # fmt: skip


def test_what_docker_has_cut_is_one_object_again() -> None:
    def docker(text: str) -> str:
        return f'{{"log":"{text}","stream":"stdout","time":"2026-11-26T10:17:09.669794202Z"}}'

    assert join(docker("one "), docker("line\\n"), docker("two\\n")) == [docker("one line\\n"), docker("two\\n")]


def test_a_pattern_of_ones_own() -> None:
    assert join("=== one", "x", "y", "=== two", first="^===") == ["=== one\nx\ny", "=== two"]


def test_a_record_has_a_bound_and_nothing_is_lost_beyond_it() -> None:
    text = "\n".join(["head", *(f"  line {number}" for number in range(MAX_LINES + 10))])
    records = join(text)
    assert "\n".join(records) == text and len(records) == 2
