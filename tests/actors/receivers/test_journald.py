"""The journald receiver on real journals, read by the real journalctl."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from actors.receivers import journald
from actors.receivers.journal_export import JournalEntry
from actors.receivers.journald import JournaldReceiver
from actors.receivers.own_lines import OwnLines, own_services
from protocol.records import JournalRecord, Record
from tests.fake_context import FakeContext, FakeRecorder
from tests.journal import HERE, Journal

with_journal = pytest.mark.skipif(not HERE, reason="journalctl and systemd-journal-remote are not installed")
PATIENCE_S = 30.0


def fields_of(record: Record) -> JournalRecord:
    return msgspec.msgpack.decode(record.body, type=JournalRecord)


class Running:
    def __init__(self, context: FakeContext, recorder: FakeRecorder) -> None:
        self.context, self.recorder = context, recorder
        self.report = context.report

    @property
    def said(self) -> list[str]:
        return [dict(fields_of(each).fields)["MESSAGE"].decode() for each in self.recorder.committed]

    async def wait_for(self, holds: Callable[[], bool]) -> None:
        with trio.fail_after(PATIENCE_S):
            while not holds():
                await trio.sleep(0.02)

    async def wait_said(self, *messages: str) -> None:
        await self.wait_for(lambda: len(self.said) >= len(messages))
        assert self.said == list(messages)


@asynccontextmanager
async def receiving(folder: Path, journal: Journal, **settings: Any) -> AsyncIterator[Running]:
    """A receiver whose records are all committed; in the end it is drained."""
    context = FakeContext(folder / "state", "journald", directory=str(journal.folder), **{"window": 1_000, **settings})
    recorder = FakeRecorder(context)
    running = Running(context, recorder)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.run)
        nursery.start_soon(JournaldReceiver(context).run)
        await running.wait_for(lambda: len(children()) == 1)
        yield running
        context.drain()
        await running.wait_for(lambda: not children())
        nursery.cancel_scope.cancel()


def children() -> list[int]:
    """Return the journalctls that follow, below this process."""
    found = []
    for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"journalctl\0" in arguments and b"--follow" in arguments:
            found.append(int(pid))
    return found


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def run(test: Callable[[], Awaitable[None]]) -> None:
    trio.run(test)


@with_journal
def test_what_comes_from_now_on_is_read_with_all_its_fields(tmp_path: Path, journal: Journal) -> None:
    async def test() -> None:
        journal.say("before our time")
        async with receiving(tmp_path, journal) as it:
            blob = bytes(range(256))
            unit = ("_SYSTEMD_UNIT", b"a.service")
            journal.add([("MESSAGE", b"hello\nworld"), ("BLOB", blob), ("TWICE", b"1"), ("TWICE", b"2"), unit])
            await it.wait_said("hello\nworld")
            record = it.recorder.committed[0]
            assert (record.form, record.source, record.origin, record.cut) == ("journal", "journald", "a.service", False)
            fields = fields_of(record).fields
            assert ("BLOB", blob) in fields and ("_HOSTNAME", b"web-1") in fields
            assert sorted(value for name, value in fields if name == "TWICE") == [b"1", b"2"]
            assert it.report.state == "ok"

    run(test)


@with_journal
@pytest.mark.parametrize("from_start", [False, True])
def test_a_restart_neither_skips_nor_doubles(tmp_path: Path, journal: Journal, from_start: bool) -> None:
    async def test() -> None:
        journal.say("old")
        said = []
        for number in range(3):
            async with receiving(tmp_path, journal, from_start=from_start) as it:
                journal.say(f"live {number}")
                await it.wait_for(lambda it=it, number=number: f"live {number}" in it.said)  # type: ignore[misc]
            said += it.said
            journal.say(f"meanwhile {number}")
        async with receiving(tmp_path, journal, from_start=from_start) as it:
            await it.wait_for(lambda: "meanwhile 2" in it.said)
        expected = [f"{when} {n}" for n in range(3) for when in ("live", "meanwhile")]
        assert said + it.said == (["old", *expected] if from_start else expected)

    run(test)


@with_journal
def test_what_was_written_before_the_first_record_is_not_skipped_by_a_restart(tmp_path: Path, journal: Journal) -> None:
    async def test() -> None:
        journal.say("old")
        async with receiving(tmp_path, journal):
            pass  # it has noted where the journal ends, and read nothing
        journal.say("meanwhile")
        async with receiving(tmp_path, journal) as it:
            await it.wait_said("meanwhile")

    run(test)


@with_journal
def test_a_journalctl_that_is_killed_is_started_again_where_it_was(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journald, "RETRY_S", 0.05)
    monkeypatch.setattr(journald, "SETTLED_S", 0.2)

    async def test() -> None:
        journal.say("old")
        async with receiving(tmp_path, journal) as it:
            for number in range(3):
                journal.say(f"{number}")
                await it.wait_for(lambda number=number: len(it.said) > number)  # type: ignore[misc]
                (killed,) = children()
                os.kill(killed, signal.SIGKILL)
                await it.wait_for(lambda killed=killed: children() not in ([], [killed]))  # type: ignore[misc]
            await it.wait_for(lambda: it.report.state == "ok")
            journal.say("3")
            await it.wait_said("0", "1", "2", "3")
            assert it.report.counters["journalctl_ends"] == 3

    run(test)


@with_journal
def test_a_journal_that_cannot_be_read_is_said_and_read_from_where_it_ends_once_it_can(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journald, "RETRY_S", 0.05)
    monkeypatch.setattr(journald, "SETTLED_S", 0.2)
    away = journal.folder.with_name("away")

    async def test() -> None:
        journal.say("old")
        journal.folder.rename(away)
        context = FakeContext(tmp_path / "state", "journald", directory=str(journal.folder), window=1_000)
        it = Running(context, FakeRecorder(context))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.recorder.run)
            nursery.start_soon(JournaldReceiver(context).run)
            await it.wait_for(lambda: it.report.state == "degraded")
            assert "No such file or directory" in it.report.note
            away.rename(journal.folder)
            await it.wait_for(lambda: it.report.state == "ok")
            journal.say("new")
            await it.wait_said("new")
            nursery.cancel_scope.cancel()
        assert children() == []

    run(test)


@with_journal
def test_what_was_said_before_a_reboot_is_not_skipped(tmp_path: Path, journal: Journal) -> None:
    async def test() -> None:
        journal.say("old")
        async with receiving(tmp_path, journal) as first:
            journal.say("one")
            await first.wait_said("one")
        journal.say("two", "three")
        journal.reboot()
        journal.say("four", "five")
        async with receiving(tmp_path, journal) as it:
            await it.wait_said("two", "three", "four", "five")
            journal.say("six")
            await it.wait_said("two", "three", "four", "five", "six")

    run(test)


@with_journal
def test_without_credit_nothing_is_read_and_nothing_is_lost(tmp_path: Path, journal: Journal) -> None:
    async def test() -> None:
        expected = [f"{n} " + "x" * 1_000 for n in range(1_000)]
        journal.say("old")
        async with receiving(tmp_path, journal, window=50) as it:
            it.context.full.add("parser")
            journal.say(*expected)
            await it.wait_for(lambda: it.report.gauges.get("queue_depth", 0) >= 50)
            await trio.sleep(0.3)
            assert it.report.gauges["queue_depth"] < 200  # what one piece of the pipe may hold beyond the window
            it.context.full.clear()
            it.context.changed.set()
            await it.wait_for(lambda: len(it.said) >= len(expected))
            assert it.said == expected

    run(test)


@with_journal
def test_a_value_that_is_too_long_is_cut_and_counted(tmp_path: Path, journal: Journal) -> None:
    async def test() -> None:
        journal.say("old")
        async with receiving(tmp_path, journal) as it:
            journal.add([("MESSAGE", b"short"), ("CORE", b"\0" * 1_000_000)])
            await it.wait_said("short")
            (record,) = it.recorder.committed
            assert record.cut and fields_of(record).cut == ["CORE"] and len(record.body) < 100_000
            assert it.report.counters["cut_records"] == 1

    run(test)


@with_journal
def test_own_lines_are_left_out_and_counted_and_only_they(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journald, "own_services", lambda text: ("/outside/system.slice/tocsin.service",))

    async def test() -> None:
        journal.say("old")
        async with receiving(tmp_path, journal) as it:
            journal.add(
                [("MESSAGE", b"ours"), ("_SYSTEMD_CGROUP", b"/system.slice/tocsin.service")],
                [("MESSAGE", b"calls itself so"), ("SYSLOG_IDENTIFIER", b"tocsin"), ("_SYSTEMD_CGROUP", b"/user.slice/x")],
                [("MESSAGE", b"another"), ("_SYSTEMD_CGROUP", b"/system.slice/not-tocsin.service")],
                [("MESSAGE", b"forged"), ("SYSTEMD_CGROUP", b"/system.slice/tocsin.service")],
                [("MESSAGE", b"kernel")],
            )
            await it.wait_said("calls itself so", "another", "forged", "kernel")
            assert it.report.counters["own_records"] == 1

    run(test)


def entry(**fields: str) -> JournalEntry:
    return JournalEntry([(name, value.encode()) for name, value in fields.items()], [])


def test_the_control_group_of_a_service_is_ours_alone_and_that_of_a_session_is_not() -> None:
    assert own_services("0::/system.slice/tocsin.service\n") == ("/system.slice/tocsin.service",)
    assert own_services("4:memory:/x\n1:name=systemd:/a/tocsin.service\n0::/\n") == ("/a/tocsin.service",)
    assert own_services("0::/user.slice/user-1000.slice/session-3.scope\n") == ()
    assert own_services("0::/user.slice/user-1000.slice/user@1000.service\n") == ()


def test_outside_a_service_the_supervisor_and_its_children_are_ours() -> None:
    own, uid = OwnLines((), os.getpid()), str(os.getuid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert own.covers(entry(_UID=uid, _PID=str(os.getpid())))
        assert own.covers(entry(_UID=uid, _PID=str(child.pid)))
        assert not own.covers(entry(_UID="4711", _PID=str(child.pid)))
        assert not own.covers(entry(_UID=uid, _PID=str(os.getppid())))
        assert not own.covers(entry(_UID=uid, _PID="no number"))
        assert not own.covers(entry(_UID=uid))
        child.communicate(b"\n")


@with_journal
def test_journalctl_ends_with_the_process_that_reads_it(tmp_path: Path, journal: Journal) -> None:
    """Also when that is killed, and journalctl is waiting for news or for room in the pipe."""
    script = (
        "import sys, time\n"
        "from actors.receivers.journalctl import Journalctl\n"
        "import trio\n"
        "async def main():\n"
        "    print(Journalctl(sys.argv[1:]).pid, flush=True)\n"
        "    await trio.sleep_forever()\n"
        "trio.run(main)\n"
    )
    journal.say("little")
    for _ in ("waits for news", "waits for room"):
        command = [sys.executable, "-c", script, f"--directory={journal.folder}", "--follow", "--no-tail"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as reader:
            assert reader.stdout is not None
            pid = int(reader.stdout.readline())
            time.sleep(0.3)
            assert Path(f"/proc/{pid}").exists()
            reader.kill()
        end_s = time.monotonic() + 5
        while Path(f"/proc/{pid}").exists() and _state(pid) != "Z":
            assert time.monotonic() < end_s, "journalctl lives on"
            time.sleep(0.02)
        journal.say(*("much " + "x" * 1_000 for _ in range(300)))


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
