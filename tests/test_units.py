"""The systemd units, as systemd itself judges them."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.listeners import bind_all
from tests.daemon.test_activation import SOCKETS_OF_OTHERS_OFF

UNITS = Path(__file__).resolve().parent.parent / "systemd"
NAMES = ("tocsin.service", "tocsin-syslog.socket")
MAX_EXPOSURE = 1.5
with_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60)


@pytest.fixture
def units(tmp_path: Path) -> list[str]:
    """The units with a command and a page that are there."""
    page = tmp_path / "page.md"
    page.touch()
    for name in NAMES:
        text = (UNITS / name).read_text(encoding="utf-8").replace("/usr/local/bin/tocsin", sys.executable)
        (tmp_path / name).write_text(re.sub(r"file:///\S+", f"file://{page}", text))
    return [str(tmp_path / name) for name in NAMES]


@with_systemd
def test_systemd_finds_no_fault_in_the_units(units: list[str]) -> None:
    judged = analyze("verify", "--man=no", *units)
    assert judged.stderr == "" and judged.returncode == 0


@with_systemd
def test_systemd_finds_a_fault_that_is_there(units: list[str]) -> None:
    service = Path(units[0])
    service.write_text(service.read_text().replace("KillMode=mixed", "KillMode=mild"))
    assert "Failed to parse kill mode" in analyze("verify", "--man=no", *units).stderr


@with_systemd
def test_the_exposure_is_small(units: list[str]) -> None:
    limit = ["--offline=yes", f"--threshold={10 * MAX_EXPOSURE:.0f}"]
    judged = analyze("security", *limit, units[0])
    assert judged.returncode == 0, judged.stdout[-200:]


def section(name: str, title: str) -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNITS / name)
    return parser[title]


def test_the_ports_have_the_name_by_which_the_daemon_knows_them() -> None:
    bound = bind_all(SOCKETS_OF_OTHERS_OFF)
    for each in bound.values():
        each.close()
    name = section("tocsin-syslog.socket", "Socket")["FileDescriptorName"]
    assert {f"{name}.udp", f"{name}.tcp"} <= bound.keys()


def test_the_user_of_the_service_is_made_with_its_groups() -> None:
    users = (UNITS / "tocsin.sysusers").read_text(encoding="utf-8")
    user = section("tocsin.service", "Service")["User"]
    assert re.search(rf"^u {user} ", users, re.MULTILINE)
    assert set(re.findall(rf"^m {user} (\S+)", users, re.MULTILINE)) == {"adm", "systemd-journal"}
