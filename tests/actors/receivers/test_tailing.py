from __future__ import annotations

import itertools
import os
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.receivers.tailing import MAX_LINE_BYTES, READ_BYTES, Line, Tail


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "app.log"
    path.touch()
    yield path


def open_tail(path: Path, cursor: dict[str, Any] | None = None, *, from_start: bool = True) -> closing[Tail]:
    return closing(Tail(str(path), cursor, from_start=from_start))


def read_all(tail: Tail, max_lines: int = 500) -> list[bytes]:
    bodies: list[bytes] = []
    while (lines := tail.read(max_lines)) is not None:
        assert len(lines) <= max_lines
        bodies += [line.body for line in lines]
    return bodies


def add(path: Path, content: bytes) -> None:
    with open(path, "ab") as file:
        file.write(content)


PARTS = {
    "line": b"one\n", "end": b"\n", "crlf": b"\r\n", "nul": b"\0", "text": b"caf\xc3\xa9", "long": b"x" * 70_000,
    "hole": b"\0" * 70_000, "many gaps": b"\n" * 300_000,
}  # fmt: skip
CONTENT = st.lists(st.sampled_from(sorted(PARTS.keys() - {"many gaps"})), max_size=12)


@settings(deadline=None, max_examples=50)
@given(CONTENT, st.lists(st.integers(0, 200_000), max_size=4), st.sampled_from([1, 2, 500]), st.booleans())
@example(["long", "long", "long", "long", "long", "end", "line"], [], 500, True)
@example(["many gaps", "line"], [], 500, False)
@example(["text", "hole"], [], 1, False)
@example(["long", "crlf", "long"], [4467], 1, False)
@example(["text", "hole", "text", "end"], [], 1, False)
def test_however_it_is_written_and_reopened_every_line_comes_once(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], cuts: list[int], max_lines: int, reopen: bool
) -> None:
    """The law: the same lines as when the whole file is read at once, over restarts at any moment."""
    path = tmp_path_factory.mktemp("tail") / "app.log"
    path.touch()
    content = b"".join([PARTS[part] for part in parts])
    places = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    cursor, bodies = None, []
    tail = Tail(str(path), None, from_start=True)
    for start, end in itertools.pairwise(places):
        add(path, content[start:end])
        bodies += read_all(tail, max_lines)
        if reopen:
            cursor = tail.cursor()
            tail.close()
            tail = Tail(str(path), cursor, from_start=True)
    bodies += read_all(tail, max_lines) + [line.body for line in tail.take_rest()]
    tail.close()
    wanted = [line.strip(b"\0").rstrip(b"\r\0") for line in content.split(b"\n")]
    assert bodies == [line[:MAX_LINE_BYTES].rstrip(b"\r\0") for line in wanted if line]


def test_endings_and_nuls(log: Path) -> None:
    with open_tail(log) as tail:
        add(log, b"unix\nwindows\r\n\r\n\n\0\0\0\0hole\n\0\n no \0 inner \n\xff\xfe\nrest")
        assert read_all(tail) == [b"unix", b"windows", b"hole", b" no \0 inner ", b"\xff\xfe"]
        assert tail.rest
        add(log, b" of it\n")
        assert read_all(tail) == [b"rest of it"]


def test_a_long_line_is_cut_marked_and_its_rest_skipped(log: Path) -> None:
    with open_tail(log) as tail:
        add(log, b"a" * MAX_LINE_BYTES + b"\n" + b"b" * (MAX_LINE_BYTES + 1) + b"\n" + b"c" * (5 * READ_BYTES))
        lines: list[Line] = []
        while (read := tail.read(500)) is not None:
            lines += read
        assert [(line.body[:1], len(line.body), line.cut) for line in lines] == [
            (b"a", MAX_LINE_BYTES, False),
            (b"b", MAX_LINE_BYTES, True),
            (b"c", MAX_LINE_BYTES, True),
        ]
        cursor = tail.cursor()
        add(log, b"c" * 100 + b"\nafter\n")
    with open_tail(log, cursor) as tail:
        assert read_all(tail) == [b"after"], "a restart inside the long line is no reason to hand on its end"


def test_100_megabytes_are_read_to_the_end_in_bounded_memory(log: Path) -> None:
    block = b"".join(b"%07d %s\n" % (number, b"x" * 91) for number in range(10_000))
    with open(log, "wb") as file:
        for _ in range(100):  # 100 MB
            file.write(block)
    count = 0
    with open_tail(log) as tail:
        tracemalloc.start()
        while (lines := tail.read(500)) is not None:
            count += len(lines)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert count == 1_000_000
    assert peak < 2 << 20


def test_copytruncate(log: Path) -> None:
    with open_tail(log) as tail:
        add(log, b"one\ntwo\nthree without end")
        assert read_all(tail) == [b"one", b"two"]
        os.truncate(log, 0)
        add(log, b"four\n")
        assert read_all(tail) == [b"three without end", b"four"]
        assert tail.truncations == 1
        os.truncate(log, 0)
        add(log, b"regrown and longer than what was there before\n" * 3)
        assert read_all(tail) == [b"regrown and longer than what was there before"] * 3
        assert tail.truncations == 2


def test_a_writer_that_keeps_its_offset_leaves_a_hole(log: Path) -> None:
    with open_tail(log) as tail, open(log, "r+b", buffering=0) as writer:
        writer.write(b"before\n" * 20_000)
        assert len(read_all(tail)) == 20_000
        os.truncate(log, 0)
        writer.write(b"after\n")
        assert log.stat().st_size > MAX_LINE_BYTES
        assert read_all(tail) == [b"after"]


@pytest.mark.parametrize("regrown", [b"", b"other\n", b"other and a good deal longer\n" * 3, b"line 0\n"])
def test_copytruncate_while_nobody_read(log: Path, regrown: bytes) -> None:
    add(log, b"line 0\nline 1\nline 2\n")
    with open_tail(log) as tail:
        read_all(tail)
        cursor = tail.cursor()
    log.write_bytes(regrown)
    with open_tail(log, cursor) as tail:
        assert read_all(tail) == regrown.splitlines()


def test_the_inode_of_another_file(log: Path) -> None:
    add(log, b"a\n")
    with open_tail(log) as tail:
        assert read_all(tail) == [b"a"]
        cursor = tail.cursor()
    assert cursor["fingerprint"] == b"a\n", "the very first cursor must know its file"
    log.write_bytes(b"quite another file\nwith this inode\n")
    with open_tail(log, cursor) as tail:
        assert read_all(tail) == [b"quite another file", b"with this inode"]


def test_the_end_without_a_newline_is_not_read_twice(log: Path) -> None:
    add(log, b"one\ntwo")
    with open_tail(log) as tail:
        assert read_all(tail) == [b"one"]
        assert [line.body for line in tail.take_rest()] == [b"two"]
        assert tail.take_rest() == []
        cursor = tail.cursor()
    with open_tail(log, cursor, from_start=False) as tail:
        assert read_all(tail) == []


def test_a_file_is_read_from_its_end_unless_told_otherwise(log: Path) -> None:
    add(log, b"old\n")
    with open_tail(log, from_start=False) as tail:
        assert read_all(tail) == []
        add(log, b"new\n")
        assert read_all(tail) == [b"new"]


def test_a_hole_is_passed_over_once_something_stands_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "sparse.log"
    path.write_bytes(b"one\ntwo")
    tail = Tail(str(path), None, from_start=True)
    assert read_all(tail) == [b"one"]
    with open(path, "r+b") as file:
        file.truncate(10 << 30)
        began_s = time.monotonic()
        assert tail.read(100) is None and not tail.is_behind()
        file.seek(8 << 30)
        file.write(b"three\n")
        file.flush()
        assert tail.is_behind()
        assert read_all(tail) == [b"two", b"three"]
    assert time.monotonic() - began_s < 5 and tail.truncations == 0
    again = Tail(str(path), tail.cursor(), from_start=True)
    assert read_all(again) == []


def test_what_is_written_into_a_hole_that_nothing_stands_behind_is_read(tmp_path: Path) -> None:
    path = tmp_path / "allocated.log"
    with open(path, "wb") as file:
        file.truncate(1 << 20)
        tail = Tail(str(path), None, from_start=True)
        assert read_all(tail) == []
        file.write(b"one\n")
        file.flush()
        assert read_all(tail) == [b"one"]
        file.write(b"two\n")
        file.flush()
        assert read_all(tail) == [b"two"]
