"""A backup under load, and a daemon that is started on it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import apsw
import pytest

from tests.daemon_process import ROOT, DaemonProcess
from tests.system.test_recovery import Traffic


def run(daemon: DaemonProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        daemon.command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def numbers(daemon: DaemonProcess) -> Counter[int]:
    return Counter(int(event["message"].split()[1]) for event in daemon.events())


def on_copy(folder: Path, copy: Path) -> DaemonProcess:
    """Return another daemon whose state is a copy."""
    folder.mkdir()
    daemon = DaemonProcess(folder)
    shutil.copytree(copy, daemon.state_dir)
    return daemon


@pytest.mark.parametrize("how", ["under load", "with a full spool", "stopped"])
def test_a_daemon_starts_on_a_backup_and_goes_on(own_daemon: DaemonProcess, tmp_path: Path, how: str) -> None:
    own_daemon.start()
    traffic = Traffic(own_daemon, rate=2_000)
    traffic.start()
    own_daemon.wait_until(lambda: len(own_daemon.events()) > 2_000)
    if how == "with a full spool":
        own_daemon.signal("parser", signal.SIGSTOP)
        own_daemon.wait_until(lambda: own_daemon.health()["queue_depth"] > 500, 2)
    if how == "stopped":
        traffic.finish()
        own_daemon.wait_until(lambda: own_daemon.health()["queue_depth"] == 0)
    sources = own_daemon.health()["ledger"]["sources"]
    before = {event["id"]: (event["message"], event["template_id"]) for event in own_daemon.events()}
    accepted = sources["syslog"]["received"]
    if how == "stopped":
        assert own_daemon.stop() == 0
    done = run(own_daemon, "backup", str(tmp_path / "copy"))
    assert done.returncode == 0, done.stderr
    if how != "stopped":
        traffic.finish()
    for path in sorted((tmp_path / "copy" / "store").glob("*.db")):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        assert connection.pragma("integrity_check") == "ok", path
        connection.close()
    assert not list(tmp_path.glob("*.partial-*"))
    copy = on_copy(tmp_path / "other", tmp_path / "copy")
    try:
        copy.start()
        copy.wait_until(lambda: copy.health()["queue_depth"] == 0)
        copy.wait_until(lambda: len(copy.events()) >= accepted)
        after = {event["id"]: (event["message"], event["template_id"]) for event in copy.events()}
        assert before.items() <= after.items(), "what was committed keeps its ids and their meaning"
        stored = numbers(copy)
        assert stored == Counter(range(len(stored))), "without a gap and without a double"
        copy.send_tcp(b"".join(b"<38>Nov 23 10:00:00 web app[7]: request %d served\n" % n for n in range(10_000_000, 10_000_500)))
        copy.wait_until(lambda: len(numbers(copy)) == len(stored) + 500)
        events = copy.events()
        assert len({event["id"] for event in events}) == len(events)
        assert events[-1]["template_id"] == events[0]["template_id"]
        time.sleep(2)
        assert copy.health()["ledger"]["breaks"] == 0, copy.log.read_text()
    finally:
        copy.end()


def test_a_backup_that_cannot_be_made_leaves_nothing(own_daemon: DaemonProcess, tmp_path: Path) -> None:
    assert "there is no store" in run(own_daemon, "backup", str(tmp_path / "copy")).stderr
    own_daemon.start()
    full = tmp_path / "full"
    full.mkdir()
    (full / "something").touch()
    refused = run(own_daemon, "backup", str(full))
    assert refused.returncode == 1 and "is not empty" in refused.stderr
    assert run(own_daemon, "backup", str(own_daemon.state_dir / "copy")).returncode == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["daemon.log", "full", "state", "tocsin.toml"]
    assert own_daemon.stop() == 0
    day = max((own_daemon.state_dir / "store").glob("*.db"))
    day.write_bytes(b"\xa5" * 100_000)
    assert run(own_daemon, "backup", str(tmp_path / "copy")).returncode == 1
    assert not list(tmp_path.glob("copy*"))
    (tmp_path / "empty").mkdir()
