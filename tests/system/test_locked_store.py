"""A store that refuses for a while: locked by another program, or not to be written to. The stream waits, then goes on."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from tests.daemon_process import DaemonProcess
from tests.system.test_recovery import Traffic


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process's exclusive lock (to SQLite this one is another than the daemon's)."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(10_000)
    connection.execute("begin exclusive")
    try:
        yield
    finally:
        connection.close()


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    """A database and its log that nobody can write to, not even root with the file open (ext4; on others this is skipped)."""
    files = [str(path), f"{path}-wal"]
    with open(files[1], "r+b") as opened:
        if os.geteuid() != 0 or subprocess.run(["chattr", "+i", *files], check=False, capture_output=True).returncode:
            pytest.skip("only root can make a file immutable, and not on every file system")
        try:
            try:
                os.pwrite(opened.fileno(), b"", 0)
                os.utime(opened.fileno())
            except OSError:
                yield
            else:
                pytest.skip("this file system lets an open file be written to")
        finally:
            subprocess.run(["chattr", "-i", *files], check=True)


def check_all_is_there(daemon: DaemonProcess, sent: int) -> None:
    daemon.wait_until(lambda: daemon.health()["state"] == "ok", 30)
    daemon.wait_until(lambda: daemon.health()["queue_depth"] == 0, 30)
    stored = [int(event["message"].split()[1]) for event in daemon.events()]
    assert stored == list(range(sent))
    health = daemon.health()
    assert health["ledger"]["breaks"] == 0
    assert all(account["restarts"] == 0 for account in health["actors"].values()), daemon.log.read_text()


def note(daemon: DaemonProcess, actor: str = "recorder") -> str:
    account = daemon.actor(actor)
    return str(account["note"]) if account["state"] == "degraded" else ""


@pytest.mark.parametrize("name", ["main.db", "the newest day"])
def test_a_locked_database_holds_the_stream_back_until_it_is_free(own_daemon: DaemonProcess, name: str) -> None:
    own_daemon.start()
    traffic = Traffic(own_daemon)
    traffic.start()
    own_daemon.wait_until(lambda: len(own_daemon.events()) > 100)
    store = own_daemon.state_dir / "store"
    with locked(store / "main.db" if name == "main.db" else max(store.glob("events-*.db"))):
        own_daemon.wait_until(lambda: "database is locked" in note(own_daemon), 15)
        before = own_daemon.actor("recorder")["counters"]["committed_events"]
        time.sleep(2)
        assert own_daemon.actor("recorder")["counters"]["committed_events"] == before
    check_all_is_there(own_daemon, traffic.finish())


@pytest.mark.parametrize("name", ["main.db", "the newest day"])
def test_a_file_that_cannot_be_written_to_holds_the_stream_back_until_it_can(own_daemon: DaemonProcess, name: str) -> None:
    own_daemon.start()
    traffic = Traffic(own_daemon)
    traffic.start()
    own_daemon.wait_until(lambda: len(own_daemon.events()) > 100)
    store = own_daemon.state_dir / "store"
    with immutable(store / "main.db" if name == "main.db" else max(store.glob("events-*.db"))):
        own_daemon.wait_until(lambda: "cannot commit" in note(own_daemon), 15)
        before = own_daemon.actor("recorder")["counters"]["committed_events"]
        time.sleep(2)
        assert own_daemon.actor("recorder")["counters"]["committed_events"] == before
        assert own_daemon.events(), "the history is read meanwhile"
    check_all_is_there(own_daemon, traffic.finish())
    assert not list(store.glob("*.damaged*"))
