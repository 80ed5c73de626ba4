"""A detector, a follower and a receiver are each one file and one line in a registry; everything else follows from these."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon_process import ROOT, DaemonProcess

# the file of each, where a newcomer would put it, and the line, behind which line of which registry
ADDED = {
    "trial_detector": (
        "actors/detectors/trial.py",
        "actors/detectors/registry.py",
        "DETECTORS = {",
        '    "trial_detector": "actors.detectors.trial:TrialDetector",',
    ),
    "trial_follower": (
        "actors/following/trial.py",
        "actors/following/registry.py",
        "FOLLOWERS: dict[str, str] = {",
        '    "trial_follower": "actors.following.trial:TrialFollower",',
    ),
    "trial_receiver": (
        "actors/receivers/trial.py",
        "daemon/receivers.py",
        "RECEIVERS = {",
        '    "trial_receiver": ReceiverSpec("actors.receivers.trial", ReceiverSection),',
    ),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the code with three files and three lines more."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("actors", "daemon", "protocol", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    for name, (file, registry, behind, line) in ADDED.items():
        shutil.copy(ROOT / "tests/trial" / f"{name.removeprefix('trial_')}.py", tree / file)
        before = (tree / registry).read_text()
        after = before.replace(f"\n{behind}}}\n", f"\n{behind}\n}}\n").replace(f"\n{behind}\n", f"\n{behind}\n{line}\n")
        assert after.count("\n") - before.count("\n") in (1, 2), f"{registry} has no line {behind!r}"
        (tree / registry).write_text(after)
    return tree


@pytest.fixture(scope="module")
def daemon(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path_factory.mktemp("daemon"), root=tree) as running:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(str(running.state_dir / "trial.socket"))
            for number in range(25):
                sender.send(f"trial line {number}".encode())
        running.wait_until(lambda: len(running.events(source="trial_receiver")) == 25)
        yield running


def run(tree: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_has_a_row_in_health_and_in_the_heartbeat(daemon: DaemonProcess) -> None:
    roles = {name: daemon.actor(name)["role"] for name in ADDED}
    assert roles == {"trial_detector": "detector", "trial_follower": "detector", "trial_receiver": "receiver"}
    assert {daemon.actor(name)["state"] for name in ADDED} == {"ok"}


def titles(daemon: DaemonProcess) -> list[str]:
    return [alert["title"] for alert in daemon.alerts() if alert["rule_kind"] == "ueba"]


def test_each_does_its_work(daemon: DaemonProcess) -> None:
    daemon.wait_until(lambda: "20 events of trial_receiver" in titles(daemon))
    assert "10 events of trial_receiver" in titles(daemon)
    daemon.wait_until(lambda: daemon.actor("trial_detector")["gauges"]["sources"] >= 1)


def test_each_has_its_metrics(daemon: DaemonProcess) -> None:
    def exposed() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{daemon.http}/metrics", timeout=10) as answer:
            return answer.read().decode()

    for name, metric in (
        ("trial_detector", "tocsin_sources"),
        ("trial_follower", "tocsin_followed_events_total"),
        ("trial_receiver", "tocsin_accepted_records_total"),
    ):
        daemon.wait_until(lambda sample=f'\n{metric}{{actor="{name}"': sample in exposed())


def test_each_survives_its_death_alone(daemon: DaemonProcess) -> None:
    for name in ADDED:
        pid = daemon.signal(name, signal.SIGKILL)
        daemon.wait_until(lambda name=name, pid=pid: daemon.actor(name)["pid"] not in (0, pid))
        daemon.wait_until(lambda name=name: daemon.actor(name)["state"] == "ok")


def test_each_is_in_the_topology(tree: Path, daemon: DaemonProcess) -> None:
    printed = run(tree, "-m", "daemon.cli", "topology", "--config", str(daemon.config))
    assert ADDED.keys() <= set(printed.split())


def test_the_laws_are_tried_on_each(tree: Path) -> None:
    laws = ("tests/actors/detectors/test_laws.py", "tests/actors/following/test_laws.py", "tests/actors/receivers/test_laws.py")
    printed = run(tree, "-m", "pytest", "-k", "trial_", *laws, "tests/test_arrows.py", "-vv")
    for name in ADDED:
        assert f"[{name}" in printed
