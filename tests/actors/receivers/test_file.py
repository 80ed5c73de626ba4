"""The file receiver on real files and inotify, with a clock that jumps."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from actors.receivers import turns
from actors.receivers.file import FileReceiver
from tests.clocks import run_jumping as run
from tests.fake_context import FakeContext, FakeRecorder


def add(path: Path, *lines: str, end: str = "\n") -> None:
    with open(path, "a") as file:
        file.write("\n".join(lines) + end)


class Running:
    def __init__(self, context: FakeContext, recorder: FakeRecorder) -> None:
        self.context, self.recorder = context, recorder

    @property
    def lines(self) -> list[str]:
        return [body.decode() for body in self.recorder.bodies]


@asynccontextmanager
async def receiving(folder: Path, *patterns: str, **settings: Any) -> AsyncIterator[Running]:
    """A file receiver whose records are all committed; in the end it is drained."""
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    paths = [str(logs / pattern) for pattern in patterns or ("*.log",)]
    context = FakeContext(folder / "state", "file", paths=paths, window=1_000, **settings)
    recorder = FakeRecorder(context)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.run)
        receiver = FileReceiver(context)
        nursery.start_soon(receiver.run)
        await trio.sleep(0.1)
        yield Running(context, recorder)
        await trio.sleep(1)
        context.drain()
        await trio.sleep(1)
        nursery.cancel_scope.cancel()


def test_new_lines_new_files_and_a_last_line_without_its_end(tmp_path: Path) -> None:
    async def test() -> None:
        (tmp_path / "logs").mkdir()
        add(tmp_path / "logs" / "a.log", "old")
        async with receiving(tmp_path) as it:
            add(tmp_path / "logs" / "a.log", "one", "two")
            await trio.sleep(1)
            assert it.lines == ["one", "two"]
            add(tmp_path / "logs" / "b.log", "three", "four", end="")
            await trio.sleep(1)
            assert it.lines == ["one", "two", "three"]
            await trio.sleep(5)
            assert it.lines == ["one", "two", "three", "four"]

    run(test)


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    async def test() -> None:
        log, lines = tmp_path / "logs" / "a.log", []
        for number in range(4):
            async with receiving(tmp_path) as it:
                add(log, f"line {number}")
            lines += it.lines
            add(log, f"meanwhile {number}")
        async with receiving(tmp_path) as it:
            pass
        assert lines + it.lines == [line for n in range(4) for line in (f"line {n}", f"meanwhile {n}")]

    run(test)


def test_rotation_by_rename_with_a_writer_that_learns_of_it_late(tmp_path: Path) -> None:
    async def test() -> None:
        log = tmp_path / "logs" / "a.log"
        async with receiving(tmp_path) as it:
            add(log, "one")
            await trio.sleep(0.5)
            log.rename(log.with_suffix(".log.1"))
            add(log, "two")
            await trio.sleep(0.5)
            add(log.with_suffix(".log.1"), "written to the old file")
            await trio.sleep(3)
            add(log.with_suffix(".log.1"), "and once more", end="")
            add(log, "three")
            await trio.sleep(30)
            assert Counter(it.lines) == Counter(["one", "two", "written to the old file", "and once more", "three"])
            assert it.context.report.counters["rotations"] == 1
            assert not any("log.1" in os.readlink(fd) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink())

    run(test)


@pytest.mark.parametrize("pattern", ["*.log", "*"])
def test_rotation_twice_while_the_pattern_may_match_both_names(tmp_path: Path, pattern: str) -> None:
    async def test() -> None:
        log = tmp_path / "logs" / "a.log"
        async with receiving(tmp_path, pattern) as it:
            for generation in range(3):
                add(log, *(f"{generation} {n}" for n in range(1_500)))
                await trio.sleep(0.5)
                for old in (2, 1):
                    if (path := log.with_name(f"a.{old}")).exists():
                        path.rename(log.with_name(f"a.{old + 1}"))
                log.rename(log.with_name("a.1"))
            await trio.sleep(60)
            assert it.lines == [f"{generation} {n}" for generation in range(3) for n in range(1_500)]

    run(test)


def test_rotation_while_nobody_reads(tmp_path: Path) -> None:
    async def test() -> None:
        log = tmp_path / "logs" / "a.log"
        async with receiving(tmp_path) as first:
            add(log, "one")
        add(log, "two")
        log.rename(log.with_name("a.log.1"))
        add(log, "three")
        async with receiving(tmp_path) as second:
            pass
        assert first.lines == ["one"] and sorted(second.lines) == ["three", "two"]

    run(test)


def test_copytruncate_and_deletion(tmp_path: Path) -> None:
    async def test() -> None:
        log = tmp_path / "logs" / "a.log"
        async with receiving(tmp_path) as it:
            add(log, "one", "two", "three")
            await trio.sleep(0.5)
            os.truncate(log, 0)
            add(log, "four")
            await trio.sleep(0.5)
            log.unlink()
            await trio.sleep(0.5)
            add(log, "five")
            await trio.sleep(0.5)
            assert it.lines == ["one", "two", "three", "four", "five"]

    run(test)


def test_a_directory_created_later(tmp_path: Path) -> None:
    async def test() -> None:
        async with receiving(tmp_path, "sub/*.log", "deep/**/*.log") as it:
            for folder in ("sub", "deep/er"):
                (tmp_path / "logs" / folder).mkdir(parents=True)
                add(tmp_path / "logs" / folder / "a.log", folder)
            await trio.sleep(35)
            assert sorted(it.lines) == ["deep/er", "sub"]
            add(tmp_path / "logs" / "deep" / "er" / "a.log", "seen at once")
            await trio.sleep(0.5)
            assert it.lines[-1] == "seen at once"

    run(test)


def test_many_files_and_names_that_are_not_utf8(tmp_path: Path) -> None:
    async def test() -> None:
        async with receiving(tmp_path) as it:
            for number in range(300):
                add(tmp_path / "logs" / f"{number}.log", *(f"{number} {n}" for n in range(20)))
            odd = os.fsencode(tmp_path / "logs") + b"/\xff.log"
            Path(os.fsdecode(odd)).write_text("odd\n")
            await trio.sleep(35)
            assert Counter(it.lines) == Counter([f"{number} {n}" for number in range(300) for n in range(20)] + ["odd"])
            assert it.recorder.committed[it.lines.index("odd")].origin.endswith("\\xff.log")
            Path(os.fsdecode(odd)).unlink()

    run(test)


def test_symbolic_links_are_followed_at_once_and_one_file_is_read_once(tmp_path: Path) -> None:
    async def test() -> None:
        target = tmp_path / "elsewhere.txt"
        add(target, "before")
        async with receiving(tmp_path) as it:
            (tmp_path / "logs" / "a.log").symlink_to(target)
            (tmp_path / "logs" / "b.log").symlink_to(target)
            await trio.sleep(0.5)
            add(target, "after")
            await trio.sleep(0.5)
            assert it.lines == ["before", "after"]
            other = tmp_path / "other.txt"
            add(other, "switched")
            for name in ("a.log", "b.log"):
                (tmp_path / "logs" / "new").symlink_to(other)
                (tmp_path / "logs" / "new").rename(tmp_path / "logs" / name)
            await trio.sleep(0.5)
            assert it.lines == ["before", "after", "switched"]

    run(test)


def test_the_target_of_a_link_is_rotated_as_kubelet_does_it(tmp_path: Path) -> None:
    async def test() -> None:
        pods, lines = tmp_path / "pods", []
        pods.mkdir()
        target = pods / "0.log"
        add(target, "line 0")
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / "shop.log").symlink_to(target)
        async with receiving(tmp_path, from_start=True) as it:
            lines.append("line 0")
            for rotation in range(4):
                for number in range(10):
                    lines.append(f"rotation {rotation} line {number}")
                    add(target, lines[-1])
                target.rename(pods / f"0.log.{rotation}")
                if rotation % 2:
                    await trio.sleep(0.1)
            await trio.sleep(1)
            assert sorted(it.lines) == sorted(lines)

    run(test)


def test_what_is_packed_is_passed_over(tmp_path: Path) -> None:
    async def test() -> None:
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / "a.log.1.gz").write_bytes(b"\x1f\x8b packed\n")
        add(tmp_path / "logs" / "a.log", "one")
        async with receiving(tmp_path, "*", from_start=True) as it:
            await trio.sleep(1)
            assert it.lines == ["one"]

    run(test)


def test_a_file_that_cannot_be_read_for_a_while_is_neither_skipped_nor_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read everything, so the refusal is a link into a directory that goes away and comes back."""

    async def test() -> None:
        real = tmp_path / "mounted"
        real.mkdir()
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / "here").symlink_to(real)
        async with receiving(tmp_path, "here/*.log", from_start=True) as it:
            add(real / "a.log", "one", "two")
            await trio.sleep(35)
            assert it.lines == ["one", "two"]
        real.rename(tmp_path / "away")
        async with receiving(tmp_path, "here/*.log", from_start=True) as it:
            await trio.sleep(35)
            (tmp_path / "away").rename(real)
            add(real / "a.log", "three")
            await trio.sleep(35)
            assert it.lines == ["three"]

    run(test)


def test_an_unreadable_file_is_told_and_read_when_it_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        log = tmp_path / "logs" / "a.log"
        async with receiving(tmp_path) as it:
            refused = True
            really = os.open

            def refuse(path: Any, *arguments: Any, **more: Any) -> int:
                if refused and str(path) == str(log):
                    raise PermissionError(13, "Permission denied", path)
                return really(path, *arguments, **more)

            monkeypatch.setattr(os, "open", refuse)
            add(log, "one")
            add(log.with_name("b.log"), "readable")
            await trio.sleep(1)
            assert it.lines == ["readable"]
            assert it.context.report.state == "degraded" and "cannot read" in it.context.report.note
            assert it.context.report.counters["unreadable_files"] == 1
            refused = False
            log.chmod(0o644)
            await trio.sleep(0.5)
            assert it.lines == ["readable", "one"]
            assert it.context.report.state == "ok"

    run(test)


def test_a_full_spool_holds_the_file_back_and_loses_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        log = tmp_path / "logs" / "a.log"
        async with receiving(tmp_path, spool_bytes=60_000) as it:
            it.context.full.add("parser")
            add(log, *(f"line {n}" for n in range(10_000)))
            await trio.sleep(5)
            it.context.full.clear()
            it.context.changed.set()
            await trio.sleep(30)
            assert it.lines == [f"line {n}" for n in range(10_000)]
            assert not any(name.startswith("dropped") for name in it.context.report.counters)

    run(test)


def test_a_large_file_leaves_the_others_their_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_BYTES", 1_000)
    large = [f"large {number:06}" for number in range(5_000)]

    async def test() -> None:
        (tmp_path / "logs").mkdir()
        async with receiving(tmp_path) as it:
            add(tmp_path / "logs" / "a.log", *large)
            add(tmp_path / "logs" / "b.log", "small", "small")
            await trio.sleep(1)
            assert it.lines.index("small") < 1_000
            add(tmp_path / "logs" / "a.log", "last")
            await trio.sleep(1)
        assert [line for line in it.lines if line != "small"] == [*large, "last"]

    run(test)


def test_what_took_the_place_of_a_large_file_is_read_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_BYTES", 1_000)
    lines = [f"line {number:06}" for number in range(3_000)]

    async def test() -> None:
        log = tmp_path / "logs" / "a.log"
        async with receiving(tmp_path) as it:
            for start in range(0, 3_000, 600):
                add(log, *lines[start : start + 600])
                log.rename(tmp_path / "logs" / f"a.log.{start}")
            add(log, "last")
            await trio.sleep(2)
        assert it.lines == [*lines, "last"]

    run(test)


def test_a_drain_in_the_middle_of_a_large_file_goes_on_after_the_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_BYTES", 500)
    lines = [f"line {number:06}" for number in range(3_000)]
    read: list[str] = []

    async def test() -> None:
        (tmp_path / "logs").mkdir()
        async with receiving(tmp_path) as it:
            add(tmp_path / "logs" / "a.log", *lines)
            it.context.drain()
        read.extend(it.lines)
        for _ in range(2):
            async with receiving(tmp_path) as it:
                await trio.sleep(1)
            read.extend(it.lines)
        assert read == lines

    run(test)
