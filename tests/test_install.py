"""`make install` into a directory of its own, what lies there then, and `make uninstall`."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from daemon import VERSION
from daemon.configuration_loader import read_configuration
from tests.daemon_process import ROOT

CONFIGURATION = "etc/tocsin/tocsin.toml"


def make(target: str, destination: Path, prefix: str = "/usr/local") -> None:
    given = {"DESTDIR": destination, "PREFIX": prefix, "VENV": Path(sys.prefix).name}
    command = ["make", "--no-print-directory", target, *(f"{name}={value}" for name, value in given.items())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    destination = tmp_path_factory.mktemp("installed")
    make("install", destination)
    return destination


def test_everything_is_where_it_belongs(installed: Path) -> None:
    found = files(installed)
    outside = {name for name in found if not name.startswith("usr/local/lib/tocsin/")}
    pages = {f"usr/local/share/doc/tocsin/docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert outside == pages | {
        "usr/local/bin/tocsin",
        "usr/local/lib/systemd/system/tocsin.service",
        "usr/local/lib/systemd/system/tocsin-syslog.socket",
        "usr/local/lib/sysusers.d/tocsin.conf",
        "usr/local/lib/tmpfiles.d/tocsin.conf",
        "usr/local/share/doc/tocsin/README.md",
        "usr/local/share/doc/tocsin/CHANGELOG.md",
        "usr/local/share/doc/tocsin/LICENSE",
        "usr/local/share/doc/tocsin/tocsin.toml",
        CONFIGURATION,
    }
    inside = found - outside
    source = {name for folder in ("protocol", "actors", "daemon") for name in files(ROOT / folder) if "__pycache__" not in name}
    assert {name.partition("lib/tocsin/")[2].partition("/")[2] for name in inside} >= source
    assert stat.S_IMODE((installed / CONFIGURATION).stat().st_mode) == 0o640
    for name in inside:
        assert stat.S_IMODE((installed / name).stat().st_mode) & 0o044 == 0o044, f"{name} is not readable for the service"


def test_the_command_runs_from_there_and_from_any_directory(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "daemon").mkdir()
    (tmp_path / "daemon" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    shown = subprocess.run(
        [installed / "usr/local/bin/tocsin", "--version"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert shown.stdout == f"tocsin {VERSION}\n"


def test_nothing_that_is_installed_names_the_place_where_it_was_built(installed: Path) -> None:
    for place in (str(installed), str(ROOT)):
        found = subprocess.run(["grep", "-rlF", place, str(installed)], capture_output=True, text=True)
        texts = [name for name in found.stdout.splitlines() if not name.endswith("/bin/tocsin")]  # where make's Python is
        assert texts == []


def test_the_unit_runs_what_is_installed(installed: Path) -> None:
    unit = (installed / "usr/local/lib/systemd/system/tocsin.service").read_text()
    command = re.search(r"^ExecStart=(\S+) run$", unit, re.MULTILINE)
    assert command and os.access(f"{installed}{command[1]}", os.X_OK)
    page = re.search(r"^Documentation=file://(\S+)$", unit, re.MULTILINE)
    assert page and Path(f"{installed}{page[1]}").is_file()


def test_a_second_install_leaves_the_configuration_and_uninstall_leaves_nothing_else(installed: Path) -> None:
    (installed / CONFIGURATION).write_text("[http]\n")
    state = installed / "var/lib/tocsin/lock"
    state.parent.mkdir(parents=True)
    state.touch()
    make("install", installed)
    assert (installed / CONFIGURATION).read_text() == "[http]\n"
    make("uninstall", installed)
    assert files(installed) == {CONFIGURATION, "var/lib/tocsin/lock"}


def test_what_the_sample_offers_is_known(tmp_path: Path) -> None:
    text = (ROOT / "systemd" / "tocsin.toml").read_text(encoding="utf-8")
    read_configuration(ROOT / "systemd" / "tocsin.toml", environment={})
    everything = tmp_path / "tocsin.toml"
    everything.write_text(re.sub(r"^#(?=[a-z_]+ = )", "", text, flags=re.MULTILINE))
    read = read_configuration(everything, environment={})
    assert read.http.token and read.receivers["journald"].enabled
