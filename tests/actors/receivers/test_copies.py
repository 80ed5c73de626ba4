"""A copy that a rotation makes of a file comes once, whatever its timing; what only looks like one comes whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import trio

from actors.receivers.copies import Copies, is_name_of_copy
from tests.actors.receivers.test_file import add, receiving
from tests.clocks import run_jumping as run

FIRST = "the same first line, longer than what a file is known by: ............."
LINES = [f"line {number} of a file that is copied" for number in range(300)]


@pytest.mark.parametrize(
    ("name", "is_copy"),
    [
        ("a.log.1", True), ("a.log.2026-11-30", True), ("a.log-20261130", True), ("a.log.old", True), ("a-20261130.log", True),
        ("a.1.log", True), ("a.log", False), ("ab.log", False), ("b.log", False), ("a.log.worker", False), ("a.txt", False),
    ],
)  # fmt: skip
def test_names_of_copies(name: str, is_copy: bool) -> None:
    assert is_name_of_copy(f"/x/{name}", "/x/a.log") is is_copy
    assert not is_name_of_copy(f"/y/{name}", "/x/a.log")


@pytest.mark.parametrize("name", ["a.log.1", "a-20261130.log"])
@pytest.mark.parametrize("seen_before_it_is_cut", [True, False])
def test_copytruncate_doubles_nothing(tmp_path: Path, name: str, seen_before_it_is_cut: bool) -> None:
    async def test() -> None:
        log, copy = tmp_path / "logs" / "a.log", tmp_path / "logs" / name
        async with receiving(tmp_path, "a*") as it:
            add(log, *LINES[:200])
            await trio.sleep(1)
            shutil.copy(log, copy)
            if seen_before_it_is_cut:
                await trio.sleep(1)
            log.write_text("")
            add(log, *LINES[200:])
            await trio.sleep(5)
        assert sorted(it.lines) == sorted(LINES)

    run(test)


def test_a_copy_that_grows_slowly_and_has_more_than_was_read(tmp_path: Path) -> None:
    async def test() -> None:
        log, copy = tmp_path / "logs" / "a.log", tmp_path / "logs" / "a.log.1"
        async with receiving(tmp_path, "a*") as it:
            add(log, *LINES[:200])
            await trio.sleep(1)
            for start in range(0, 200, 50):
                add(copy, *LINES[start : start + 50])
                await trio.sleep(0.5)
            log.write_text("")
            add(copy, *LINES[200:])  # was written to the file just before it was copied to its end
            await trio.sleep(5)
        assert it.lines == LINES

    run(test)


def test_a_copy_made_while_nobody_reads(tmp_path: Path) -> None:
    async def test() -> None:
        log, copy = tmp_path / "logs" / "a.log", tmp_path / "logs" / "a.log.1"
        async with receiving(tmp_path, "a*") as first:
            add(log, *LINES[:200])
            await trio.sleep(1)
        shutil.copy(log, copy)
        log.write_text("")
        add(log, *LINES[200:])
        async with receiving(tmp_path, "a*") as second:
            await trio.sleep(5)
        assert sorted(first.lines + second.lines) == sorted(LINES)

    run(test)


@pytest.mark.parametrize("name", ["b.log", "a.log.1"])
def test_what_only_begins_alike_comes_whole(tmp_path: Path, name: str) -> None:
    async def test() -> None:
        async with receiving(tmp_path, "*.log*") as it:
            add(tmp_path / "logs" / "a.log", FIRST, *LINES[:200])
            await trio.sleep(1)
            add(tmp_path / "logs" / name, FIRST, *LINES[200:])
            await trio.sleep(5)
        assert len(it.lines) == 302 and set(LINES) < set(it.lines)

    run(test)


def test_a_file_that_is_renamed_away_and_made_anew_with_the_same_text_comes_again(tmp_path: Path) -> None:
    async def test() -> None:
        log = tmp_path / "logs" / "a.log"
        async with receiving(tmp_path, "a*") as it:
            for number in range(3):
                add(log, *LINES[:50])
                await trio.sleep(1)
                log.rename(log.with_name(f"a.log.{number}"))
            await trio.sleep(1)
        assert len(it.lines) == 150

    run(test)


def test_a_new_file_that_nobody_read_before_it_was_renamed_away_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiver is gone between opening a file and reading of it; meanwhile the file is renamed to what no pattern matches."""

    async def test() -> None:
        log = tmp_path / "logs" / "a.log"
        async with receiving(tmp_path) as first:
            add(tmp_path / "logs" / "b.log", "seen")
            await trio.sleep(1)
        add(log, *LINES)
        with monkeypatch.context() as patched:
            patched.setattr(Copies, "may_read", lambda self, tail: False)
            async with receiving(tmp_path) as second:
                await trio.sleep(0.5)
        log.rename(tmp_path / "logs" / "a.log.1")
        async with receiving(tmp_path) as third:
            await trio.sleep(2)
        assert first.lines + second.lines + third.lines == ["seen", *LINES]

    run(test)
