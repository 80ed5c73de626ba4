"""The journal through the whole daemon."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.daemon_process import DaemonProcess
from tests.journal import HERE, Journal


@pytest.mark.skipif(not HERE, reason="journalctl and systemd-journal-remote are not installed")
def test_entries_are_events_once_whoever_is_killed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.say("before our time")
    daemon = DaemonProcess(tmp_path, more=f'[receivers.journald]\nenabled = true\ndirectory = "{journal.folder}"\n')

    def receiver() -> int:
        return daemon.pid_of("journald")

    def journalctl() -> list[int]:
        children = Path(f"/proc/{receiver()}/task/{receiver()}/children").read_text().split()
        return [int(pid) for pid in children if b"--follow" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def is_gone(pid: int) -> bool:
        return not Path(f"/proc/{pid}").exists()

    expected: list[str] = []

    def all_there() -> bool:
        return len(daemon.events()) >= len(expected)

    with daemon:
        for round_ in range(4):
            daemon.wait_until(lambda: len(journalctl()) == 1)
            (followed,) = journalctl()
            said = [f"round {round_} number {number}" for number in range(200)]
            journal.say(*said[:100])
            os.kill(followed if round_ % 2 else receiver(), signal.SIGKILL)
            journal.say(*said[100:])
            expected += said
            daemon.wait_until(all_there, 30)
            daemon.wait_until(partial(is_gone, followed))  # and no zombie of it is left
        events = daemon.events()
        assert sorted(event["message"] for event in events) == sorted(expected)
        assert {(event["source"], event["severity"]) for event in events} == {("journald", 9)}
        daemon.wait_until(lambda: daemon.health()["state"] == "ok")
    assert "the journal in " in daemon.log.read_text()
