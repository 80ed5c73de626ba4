"""Files of the store that the disk has damaged, under a running daemon and before its start."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.daemon_process import DaemonProcess


def numbers(daemon: DaemonProcess) -> list[int]:
    return [int(event["message"].split()[1]) for event in daemon.events()]


def send(daemon: DaemonProcess, first: int, count: int) -> None:
    lines = (b"<38>Nov 23 10:00:00 web app: request %d served\n" % number for number in range(first, first + count))
    daemon.send_tcp(b"".join(lines))


def newest_day(daemon: DaemonProcess) -> Path:
    return max((daemon.state_dir / "store").glob("events-*.db"))


def ruin(path: Path) -> None:
    path.write_bytes(b"\xa5" * max(4_096, path.stat().st_size))


def test_an_old_day_that_is_damaged_costs_only_itself(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    send(own_daemon, 0, 100)
    own_daemon.wait_until(lambda: len(own_daemon.events()) == 100)
    old = own_daemon.state_dir / "store" / time.strftime("events-%Y-%m-%d.db", time.gmtime(time.time() - 86_400))
    ruin(old) if old.exists() else old.write_bytes(b"\xa5" * 8_192)
    assert numbers(own_daemon) == list(range(100))
    assert own_daemon.alerts() == []
    own_daemon.wait_until(lambda: own_daemon.actor("frontend")["gauges"]["damaged_days"] == 1, 5)
    assert own_daemon.log.read_text().count("is damaged and left out") == 1
    old.unlink()
    own_daemon.wait_until(lambda: own_daemon.actor("frontend")["gauges"]["damaged_days"] == 0, 5)


@pytest.mark.parametrize("name", ["main.db", "the newest day"])
def test_a_file_that_is_damaged_while_the_daemon_is_down_is_set_aside(own_daemon: DaemonProcess, name: str) -> None:
    own_daemon.start()
    send(own_daemon, 0, 100)
    own_daemon.wait_until(lambda: len(own_daemon.events()) == 100)
    last = own_daemon.events()[-1]["template_id"]
    assert own_daemon.stop() == 0
    path = own_daemon.state_dir / "store" / "main.db" if name == "main.db" else newest_day(own_daemon)
    ruin(path)
    own_daemon.start()
    send(own_daemon, 100, 100)
    stored = list(range(200)) if name == "main.db" else list(range(100, 200))
    own_daemon.wait_until(lambda: numbers(own_daemon) == stored)
    assert own_daemon.events()[-1]["template_id"] == last
    assert path.with_suffix(".damaged").exists()
    own_daemon.wait_until(lambda: any(f"{path.name} is damaged" in notice for notice in own_daemon.notices()), 5)
    health = own_daemon.health()
    assert health["ledger"]["breaks"] == 0
    assert all(account["restarts"] == 0 for account in health["actors"].values())
    assert health["actors"]["recorder"]["counters"]["damaged_files"] == 1
    assert own_daemon.stop() == 0
    own_daemon.start()
    send(own_daemon, 200, 10)
    own_daemon.wait_until(lambda: numbers(own_daemon) == [*stored, *range(200, 210)])
    assert own_daemon.health()["ledger"]["breaks"] == 0


def test_the_newest_day_damaged_under_load_costs_nothing_that_comes_after(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    send(own_daemon, 0, 5_000)
    own_daemon.wait_until(lambda: own_daemon.health()["queue_depth"] == 0 and len(own_daemon.events()) == 5_000)
    day = newest_day(own_daemon)
    with open(day, "r+b") as file:
        file.write(b"\xa5" * os.path.getsize(day))
    for part in range(5_000, 25_000, 2_000):
        send(own_daemon, part, 2_000)
        time.sleep(0.2)
    own_daemon.wait_until(lambda: set(range(5_000, 25_000)) <= set(numbers(own_daemon)), 30)
    assert len(numbers(own_daemon)) == len(set(numbers(own_daemon)))
    health = own_daemon.health()
    assert health["ledger"]["breaks"] == 0
