"""The command line as a person types it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.daemon_process import ROOT, DaemonProcess


def tocsin(*arguments: str, timeout_s: float = 30.0, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "daemon.cli", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def test_check_lists_every_fault_with_its_place(tmp_path: Path) -> None:
    faulty = tmp_path / "tocsin.toml"
    faulty.write_text(
        """state_dir = 7
[http]
listen = "0.0.0.0:8080"
[receivers.syslog]
udp = "nowhere"
colour = "red"
zone = "Europe/Atlantis"
[receivers.smoke]
enabled = true
[storage]
max_bytes = "a lot"
[daemon]
queue_max = "many"
"""
    )
    checked = tocsin("check", "--config", str(faulty))
    assert checked.returncode == 78
    for place in (
        f"{faulty}:1: state_dir",
        f"{faulty}: http.token",
        f"{faulty}:5: receivers.syslog.udp",
        f"{faulty}:6: receivers.syslog.colour",
        f"{faulty}:7: receivers.syslog.zone",
        f"{faulty}:8: receivers.smoke",
        f"{faulty}:11: storage.max_bytes",
        f"{faulty}:13: daemon.queue_max",
    ):
        assert place in checked.stderr, place
    assert len(checked.stderr.strip().splitlines()) == 8


def test_check_of_a_good_configuration_and_of_one_that_is_not_there(tmp_path: Path) -> None:
    good = tmp_path / "tocsin.toml"
    good.write_text("[receivers.syslog]\n[daemon]\nqueue_max = 5000\n")
    assert tocsin("check", "--config", str(good)).returncode == 0
    assert tocsin("check", "--config", str(good), TOCSIN_DAEMON__QUEUE_MAX="7").returncode == 78
    missing = tocsin("check", "--config", str(tmp_path / "none.toml"))
    assert missing.returncode == 78 and "No such file" in missing.stderr


def test_status_restart_and_a_second_daemon(daemon: DaemonProcess) -> None:
    config = ["--config", str(daemon.config)]
    shown = tocsin("status", *config)
    assert shown.returncode == 0
    assert "markov" in shown.stdout and "messages dropped: none" in shown.stdout
    assert re.search(r"syslog +\d+ +\d+ +\d+  nothing", shown.stdout), "the account of each receiver"
    assert json.loads(tocsin("status", *config, "--json").stdout)["state"] == "ok"
    before = daemon.actor("markov")["pid"]
    assert tocsin("restart", *config, "markov").returncode == 0
    daemon.wait_until(lambda: daemon.actor("markov")["pid"] not in (0, before))
    refused = tocsin("restart", *config, "smoke")
    assert refused.returncode == 1 and "there are frontend" in refused.stderr
    second = tocsin("run", *config)
    assert second.returncode == 78 and "another tocsin runs" in second.stderr


def test_two_daemons_do_not_share_a_runtime_directory(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    first, second = (DaemonProcess(folder, TOCSIN_RUNTIME_DIR=str(tmp_path / "run")) for folder in folders)
    with first:
        second.begin()
        assert second.wait(20) == 78
        assert "another tocsin runs on" in second.log.read_text() and "runtime_dir" in second.log.read_text()
        assert first.health()["state"] == "ok"
    with second:
        pass


def test_commands_say_so_when_no_daemon_runs(tmp_path: Path) -> None:
    idle = DaemonProcess(tmp_path)
    assert tocsin("status", "--config", str(idle.config)).returncode == 2
    refused = tocsin("restart", "--config", str(idle.config), "hst")
    assert refused.returncode == 1 and "no tocsin runs" in refused.stderr


def test_tail_filters_and_never_obeys_control_codes(daemon: DaemonProcess) -> None:
    tail = subprocess.Popen(
        daemon.command("tail", "--severity", "13", "login"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        daemon.wait_until(lambda: daemon.health()["websocket_clients"] == 1)
        daemon.send_udp(
            b"<38>Nov 23 10:00:00 web app: login of nobody",
            b"<35>Nov 23 10:00:00 web app: login \x1b[2J\x1b]0;owned\x07 failed",
            b"<35>Nov 23 10:00:00 web app: something else",
            b"<35>Nov 23 10:00:00 web app: login seen at last",
        )
        assert tail.stdout is not None
        lines = [tail.stdout.readline(), tail.stdout.readline()]
    finally:
        tail.terminate()  # SIGINT is ignored by whatever runs in the background of a shell, its children included
        tail.communicate(timeout=10)
    assert r"login \x1b[2J" in lines[0] and "\x1b" not in lines[0] and "\x07" not in lines[0]
    assert "login seen at last" in lines[1]


def test_ctrl_c_drains_and_prints_a_short_summary(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    own_daemon.send_udp(b"<38>Nov 23 10:00:00 web app: one line")
    own_daemon.wait_until(lambda: len(own_daemon.events()) == 1)
    os.killpg(own_daemon.pid, signal.SIGINT)
    began_s = time.monotonic()
    assert own_daemon.wait(10) == 0
    assert time.monotonic() - began_s < 5
    assert "1 events, 0 alerts; nothing is left in the spool" in own_daemon.log.read_text()


def test_a_runtime_directory_that_is_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    idle = DaemonProcess(tmp_path, more="")
    idle.config.write_text(f'runtime_dir = "/tmp/{"x" * 100}"\n' + idle.config.read_text())
    refused = tocsin("run", "--config", str(idle.config))
    assert refused.returncode == 78 and "too long for sockets" in refused.stderr


def test_a_killed_daemons_sockets_are_cleared_away_by_the_next(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    left = Path(own_daemon.health()["runtime_dir"])
    own_daemon.kill()
    assert left.exists()
    own_daemon.start()
    assert not left.exists() and Path(own_daemon.health()["runtime_dir"]).exists()
