"""A store that a newer program wrote: the daemon leaves it alone and says so at every door; an older one it takes up."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.actors.storage.old_store import EVENTS, make_newer, unpack
from tests.daemon_process import ROOT, DaemonProcess

LINE = b"<38>Oct 11 22:14:15 web1 sshd[7]: Accepted password for eve from 192.0.2.1 port 22 ssh2\n"


def run(daemon: DaemonProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        daemon.command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def problem(daemon: DaemonProcess, path: str) -> tuple[int, str]:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{daemon.http}{path}", timeout=10).close()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["detail"]
    return 200, ""


@pytest.fixture
def short_daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon that does not wait long for a store that takes nothing; not started yet."""
    made = DaemonProcess(tmp_path, more="[daemon]\ndrain_s = 1.0")
    yield made
    made.end()


def test_a_newer_store_is_refused_by_name_everywhere_and_the_spool_keeps_what_comes(
    short_daemon: DaemonProcess, tmp_path: Path
) -> None:
    store = unpack("layout-1", short_daemon.state_dir / "store")
    make_newer(store / "main.db")
    before = (store / "main.db").read_bytes()
    said = f"{store}/main.db has layout 99, and this program knows layouts up to "
    short_daemon.begin()
    short_daemon.wait_until(lambda: said in short_daemon.actor("recorder")["note"], 30)
    short_daemon.wait_until(lambda: not any(each["state"] == "starting" for each in short_daemon.health()["actors"].values()))
    assert short_daemon.actor("recorder")["state"] == "degraded"
    short_daemon.send_tcp(LINE * 3)
    short_daemon.wait_until(lambda: short_daemon.health()["queue_depth"] >= 3)
    for path in ("/api/v1/alerts", "/api/v1/templates", "/api/v1/alerts/alr_1"):
        status, detail = problem(short_daemon, path)
        assert (status, said in detail) == (503, True), (path, detail)
    for arguments in (("check", "--store"), ("backup", str(tmp_path / "copy")), ("rules", "backtest", "tocsin_ssh_guessing")):
        done = run(short_daemon, *arguments)
        assert done.returncode and "has layout 99" in done.stdout + done.stderr, (arguments, done)
    health = short_daemon.health()
    assert all(account["restarts"] == 0 for account in health["actors"].values()), short_daemon.log.read_text()
    assert short_daemon.log.read_text().count("cannot open the store and holds the stream back") == 1
    short_daemon.stop()
    assert (store / "main.db").read_bytes() == before
    make_newer(store / "main.db", 1)
    short_daemon.start()
    short_daemon.wait_until(lambda: len(short_daemon.events()) == EVENTS + 3)


@pytest.mark.parametrize("name", ["layout-1"])
def test_a_daemon_goes_on_with_an_older_store(own_daemon: DaemonProcess, name: str) -> None:
    unpack(name, own_daemon.state_dir / "store")
    own_daemon.start()
    own_daemon.send_tcp(LINE * 3)
    own_daemon.wait_until(lambda: len(own_daemon.events()) == EVENTS + 3)
    assert len({alert["id"] for alert in own_daemon.alerts()} & {f"alr_{number}" for number in range(6)}) == 6
    assert run(own_daemon, "check", "--store").returncode == 0
