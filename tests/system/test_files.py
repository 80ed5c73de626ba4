"""Files that rotate under a real daemon that is killed meanwhile: every line exactly once."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

from actors.receivers.file import MAX_FILES
from tests.daemon_process import DaemonProcess


class Writer:
    """Numbered lines into files that are rotated."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "app.log"
        self.count = 0

    def write(self, lines: int) -> None:
        with open(self.log, "ab") as file:
            for _ in range(lines):
                file.write(b"request %d served\n" % self.count)
                self.count += 1


def numbers(daemon: DaemonProcess) -> list[int]:
    return sorted(int(event["message"].split()[1]) for event in daemon.events(source="file"))


def test_rotations_restarts_and_kills_lose_and_double_no_line(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    writer = Writer(logs)
    writer.log.touch()
    daemon = DaemonProcess(tmp_path, files=[str(logs / "*.log")])
    try:
        daemon.start()
        writer.write(2_000)
        writer.log.rename(logs / "app.log.1")
        writer.write(2_000)
        daemon.wait_until(lambda: len(numbers(daemon)) == 4_000, 30)

        shutil.copy(writer.log, logs / "app.log.copy")  # copytruncate
        os.truncate(writer.log, 0)
        writer.write(3_000)
        daemon.wait_until(lambda: len(numbers(daemon)) == 7_000, 30)

        writer.write(20_000)  # killed in the midst of a burst, twice, and rotated meanwhile
        for name in ("app.log.2", "app.log.3"):
            killed = daemon.pid_of("file")
            time.sleep(0.05)
            os.kill(killed, signal.SIGKILL)
            writer.write(5_000)
            writer.log.rename(logs / name)
            writer.write(5_000)
            # A file that comes and goes while no receiver runs is never seen by one: let this one be seen.
            before = daemon.actor("file")["counters"].get("accepted_records", 0)
            daemon.wait_until(lambda before=before: daemon.actor("file")["counters"].get("accepted_records", 0) > before, 20)
            daemon.wait_until(lambda killed=killed: daemon.actor("file")["pid"] not in (0, killed), 10)

        assert daemon.stop() == 0
        writer.write(1_000)
        writer.log.rename(logs / "app.log.4")
        writer.write(1_000)
        daemon.start()
        writer.write(1_000)
        daemon.wait_until(lambda: len(numbers(daemon)) >= writer.count, 60)
        time.sleep(1)
        assert numbers(daemon) == list(range(writer.count))
    finally:
        daemon.end()


def test_no_file_harms_another(tmp_path: Path) -> None:
    """A sparse file of 10 GB, two links to the root of a `**` pattern, and more files than are read at once."""
    logs = tmp_path / "logs"
    for number in range(42):
        folder = logs / f"d{number:02}"
        folder.mkdir(parents=True)
        for each in range(100):
            (folder / f"{each}.log").touch()
        (folder / "one").symlink_to(logs)
        (folder / "two").symlink_to(logs)
    with open(logs / "a sparse.log", "wb") as file:
        file.truncate(10 << 30)
    daemon = DaemonProcess(tmp_path, files=[f"{logs}/**/*.log"])
    try:
        daemon.begin()
        daemon.wait_until(lambda: daemon.actor("file")["gauges"].get("open_files") == MAX_FILES, patience_s=60)
        began_s = time.monotonic()
        (logs / "d00" / "0.log").write_text("small\n" * 10)
        with open(logs / "a sparse.log", "r+b") as file:
            file.seek((10 << 30) + (1 << 20))
            file.write(b"behind the hole\n")
        daemon.wait_until(lambda: len(daemon.events()) >= 11, patience_s=20)
        assert time.monotonic() - began_s < 15
        account = daemon.actor("file")
        assert account["state"] == "degraded" and "more than 4096 files match" in account["note"]
        assert account["restarts"] == 0
    finally:
        daemon.end()
