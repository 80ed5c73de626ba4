"""`tocsin check --store` on a store that is good, under load too, and on every kind of damage."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from tests.daemon_process import ROOT, DaemonProcess
from tests.system.test_recovery import Traffic


def check(daemon: DaemonProcess, state_dir: Path) -> subprocess.CompletedProcess[str]:
    command = [*daemon.command("check", "--store"), "--state-dir", str(state_dir)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon that has stored something and was checked while it did."""
    daemon = DaemonProcess(tmp_path_factory.mktemp("daemon"))
    daemon.start()
    traffic = Traffic(daemon, rate=2_000)
    traffic.start()
    daemon.wait_until(lambda: len(daemon.events()) > 3_000)
    for _ in range(3):
        checked = check(daemon, daemon.state_dir)
        assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout
    traffic.finish()
    daemon.wait_until(lambda: daemon.health()["queue_depth"] == 0)
    assert daemon.stop() == 0
    yield daemon
    daemon.end()


def ruin(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 20_000] = b"\xc1" * len(raw[middle : middle + 20_000])
    path.write_bytes(raw)


def edit(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        connection = apsw.Connection(str(path))
        connection.execute(statement).fetchall()
        connection.close()

    return change


CASES = {
    "an overwritten day": ("store/events-*.db", ruin, "events-"),
    "a missing event": ("store/events-*.db", edit("delete from events where seq = 77"), "commit sequences"),
    "an account": ("store/events-*.db", edit("update batches set count = count + 1 where seq = 1"), "its batches hold"),
    "an unknown template": ("store/main.db", edit("delete from templates"), "main.db: 1 templates of events are not in it"),
    "main": ("store/main.db", lambda path: path.write_bytes(b"\xa5" * 9_000), "main.db"),
    "a segment": ("spool/syslog/*.segment", ruin, "is damaged at byte"),
    "a position": ("spool/syslog/position", lambda path: path.write_bytes(b"\xc1"), "spool/syslog/position"),
    "the journal": ("templates.journal", lambda path: path.write_bytes(path.read_bytes() + b"\xc1"), "templates.journal"),
    "a snapshot": ("snapshots/hst.msgpack", lambda path: path.write_bytes(b"\xc1"), "snapshots/hst.msgpack"),
}


@pytest.mark.parametrize("case", CASES)
def test_every_fault_is_found_with_its_file(stopped: DaemonProcess, tmp_path: Path, case: str) -> None:
    copy = tmp_path / "state"
    shutil.copytree(stopped.state_dir, copy)
    pattern, damage, said = CASES[case]
    damage(max(copy.glob(pattern)))
    checked = check(stopped, copy)
    assert checked.returncode == 1
    assert said in checked.stdout
    assert "faults." in checked.stdout and checked.stderr == ""


def test_a_good_store_is_good_and_no_store_is_said(stopped: DaemonProcess, tmp_path: Path) -> None:
    good = check(stopped, stopped.state_dir)
    assert (good.returncode, good.stdout) == (0, f"{stopped.state_dir}: everything that is stored is good.\n")
    assert check(stopped, tmp_path).returncode == 1
