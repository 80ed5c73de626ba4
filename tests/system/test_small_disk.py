"""A state directory that runs full under load: nothing accepted is lost, nothing is damaged, and it goes on by itself."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from tests.daemon_process import DaemonProcess

DISK = "64m"
EVERY_S = 0.05
RATE = 10  # records of each way at once


@pytest.fixture
def small_daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon, not started yet, whose state directory is a file system of 64 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    daemon = DaemonProcess(tmp_path, files=[str(tmp_path / "app.log")])
    daemon.state_dir.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tocsin-test", str(daemon.state_dir)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        (tmp_path / "app.log").touch()
        yield daemon
        daemon.end()
    finally:
        subprocess.run(["umount", "-l", str(daemon.state_dir)], check=True)


class Filler:
    """A file that takes all room there is on a disk, to the last block, and again whenever some comes free."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "filler"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_full, daemon=True)

    def fill(self) -> None:
        with open(self._path, "ab", buffering=0) as file:
            for block in (1 << 20, 4_096, 1):
                with suppress(OSError):
                    while file.write(b"x" * block):
                        pass

    def _keep_full(self) -> None:
        while not self._over.wait(0.02):
            self.fill()

    def __enter__(self) -> Filler:
        self.fill()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._path.unlink()


class Way(threading.Thread):
    """Sends numbered records on one way until told to stop; `accepted` are those that the daemon has to store."""

    def __init__(self, send: Callable[[list[int]], bool]) -> None:
        super().__init__(daemon=True)
        self._send = send
        self._over = threading.Event()
        self.accepted: list[int] = []
        self.sent = 0

    def run(self) -> None:
        while not self._over.wait(EVERY_S):
            numbers = list(range(self.sent, self.sent + RATE))
            self.sent += RATE
            if self._send(numbers):
                self.accepted += numbers

    def finish(self) -> None:
        self._over.set()
        self.join(60)
        assert not self.is_alive()


class Traffic:
    """Numbered records over TCP, through a file and by OTLP."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self._daemon_process = daemon
        self._tcp: socket.socket | None = None
        self._file = open(daemon.folder / "app.log", "a", buffering=1)  # noqa: SIM115
        self.ways = {"tcp": Way(self._send_tcp), "file": Way(self._write), "otlp": Way(self._post)}

    def _send_tcp(self, numbers: list[int]) -> bool:
        """TCP has no answer: what went into a connection that broke may or may not have been accepted."""
        try:
            if self._tcp is None:
                self._tcp = socket.create_connection(("127.0.0.1", self._daemon_process.syslog), timeout=60)
            self._tcp.sendall(b"".join(b"<38>Nov 23 10:00:00 web app: tcp request %d served\n" % number for number in numbers))
        except OSError:
            if self._tcp is not None:
                self._tcp.close()
            self._tcp = None
            return False
        return True

    def _write(self, numbers: list[int]) -> bool:
        self._file.write("".join(f"file request {number} served\n" for number in numbers))
        return True

    def _post(self, numbers: list[int]) -> bool:
        """Send a request again, as clients do, until it is answered."""
        records = [{"body": {"stringValue": f"otlp request {number} served"}} for number in numbers]
        body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()
        url = f"http://127.0.0.1:{self._daemon_process.otlp_http}/v1/logs"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        for _ in range(600):
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return bool(answer.status == 200)
            except urllib.error.HTTPError as error:
                error.close()
                assert error.code == 503
            except OSError:
                pass
            time.sleep(0.1)
        return False

    def __enter__(self) -> Traffic:
        for way in self.ways.values():
            way.start()
        return self

    def __exit__(self, *_: object) -> None:
        for way in self.ways.values():
            way.finish()
        self._file.close()
        if self._tcp is not None:
            self._tcp.close()


def wait_settled(daemon: DaemonProcess) -> None:
    def is_settled() -> bool:
        health = daemon.health()
        in_flight = [account["in_flight"] for account in health["ledger"]["sources"].values()]
        held = health["actors"]["file"]["gauges"].get("open_records", 0)  # by their file receiver, to be joined
        return bool(health["state"] == "ok" and health["queue_depth"] == 0 and not any(in_flight) and not held)

    daemon.wait_until(is_settled, 60)


def check_nothing_is_lost_or_doubled(daemon: DaemonProcess, traffic: Traffic, *, surely: tuple[str, ...]) -> None:
    """`surely`: the ways of which everything that was sent on them must be there."""
    stored: dict[str, Counter[int]] = {name: Counter() for name in traffic.ways}
    for event in daemon.events():
        way, _, number, _ = event["message"].split()
        stored[way][int(number)] += 1
    for name, way in traffic.ways.items():
        assert max(stored[name].values()) == 1, f"{name} is doubled"
        if name in surely:
            assert set(way.accepted) <= stored[name].keys(), f"{name} is lost"
    ledger = daemon.health()["ledger"]
    assert ledger["breaks"] == 0
    for account in ledger["sources"].values():
        assert account["received"] == account["committed"] + account["in_flight"] + sum(account["dropped"].values())
    assert "ledger is broken" not in daemon.log.read_text()
    assert "is damaged" not in daemon.log.read_text()


def check_nothing_is_damaged(daemon: DaemonProcess) -> None:
    for path in sorted((daemon.state_dir / "store").glob("*.db")):
        connection = apsw.Connection(str(path))
        assert connection.pragma("integrity_check") == "ok", path
        connection.close()


def wait_good(daemon: DaemonProcess, patience_s: float = 20.0) -> None:
    """Return when everything is as it should be again; else say what is not."""
    try:
        daemon.wait_until(lambda: daemon.health()["state"] == "ok", patience_s)
    except AssertionError as error:
        accounts = daemon.health()["actors"].items()
        notes = {name: (account["state"], account["note"]) for name, account in accounts if account["state"] != "ok"}
        raise AssertionError(f"not well after {patience_s} s: {notes}\n{daemon.log.read_text()[-2_000:]}") from error


def is_degraded(daemon: DaemonProcess) -> bool:
    health = daemon.health()
    return bool(health["state"] == "degraded" and any(account["note"] for account in health["actors"].values()))


def test_a_disk_that_runs_full_under_load_and_is_freed(small_daemon: DaemonProcess) -> None:
    small_daemon.start()
    with Traffic(small_daemon) as traffic:
        time.sleep(1)
        for _ in range(2):
            with Filler(small_daemon.state_dir):
                small_daemon.wait_until(lambda: is_degraded(small_daemon), 20)
                notes = {name: account["note"] for name, account in small_daemon.health()["actors"].items() if account["note"]}
                assert any("full" in note or "No space" in note for note in notes.values()), notes
                time.sleep(4)
            wait_good(small_daemon)
            time.sleep(1)
    wait_settled(small_daemon)
    check_nothing_is_lost_or_doubled(small_daemon, traffic, surely=("tcp", "file", "otlp"))
    assert all(account["restarts"] == 0 for account in small_daemon.health()["actors"].values())
    assert small_daemon.stop() == 0
    check_nothing_is_damaged(small_daemon)


@pytest.mark.parametrize("name", ["recorder", "parser", "syslog", "file", "hst", "scorer"])
def test_an_actor_that_is_killed_while_the_disk_is_full_comes_back(small_daemon: DaemonProcess, name: str) -> None:
    small_daemon.start()
    with Traffic(small_daemon) as traffic:
        time.sleep(1)
        with Filler(small_daemon.state_dir):
            small_daemon.wait_until(lambda: is_degraded(small_daemon), 20)
            small_daemon.signal(name, signal.SIGKILL)
            time.sleep(4)
        wait_good(small_daemon)
        time.sleep(1)
    wait_settled(small_daemon)
    surely = ("file", "otlp") if name == "syslog" else ("tcp", "file", "otlp")
    check_nothing_is_lost_or_doubled(small_daemon, traffic, surely=surely)
    assert small_daemon.actor(name)["restarts"] == 1, small_daemon.log.read_text()
    assert small_daemon.stop() == 0
    check_nothing_is_damaged(small_daemon)


@pytest.mark.parametrize("before", [False, True], ids=["a new state", "a state with something in it"])
def test_a_disk_that_is_full_at_the_start(small_daemon: DaemonProcess, before: bool) -> None:
    if before:
        small_daemon.start()
        small_daemon.send_tcp(b"<38>Nov 23 10:00:00 web app: before request 0 served\n")
        small_daemon.wait_until(lambda: len(small_daemon.events()) == 1)
        assert small_daemon.stop() == 0
    with Filler(small_daemon.state_dir):
        small_daemon.begin()
        small_daemon.wait_until(lambda: is_degraded(small_daemon), 60)
        time.sleep(3)
    wait_good(small_daemon)
    assert len(small_daemon.events()) == int(before)
    small_daemon.send_tcp(b"<38>Nov 23 10:00:00 web app: after request 1 served\n")
    small_daemon.wait_until(lambda: len(small_daemon.events()) == 1 + before)
    assert small_daemon.health()["ledger"]["breaks"] == 0
    assert small_daemon.stop() == 0
    check_nothing_is_damaged(small_daemon)
