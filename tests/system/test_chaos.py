"""The short forms of `tests/system/chaos.py`."""

from __future__ import annotations

from pathlib import Path

from tests.length import LONG
from tests.system.chaos import run

SECONDS = 60 if LONG else 10


def test_an_actor_killed_every_second_costs_nothing(tmp_path: Path) -> None:
    report = run(tmp_path, seconds=SECONDS, rate=1_500, seed=2)
    print(report.text())
    assert report.is_good, report.text()
    assert sum(report.kills.values()) >= SECONDS // 2


def test_the_whole_daemon_killed_again_and_again_costs_nothing(tmp_path: Path) -> None:
    report = run(tmp_path, seconds=SECONDS, rate=1_500, seed=3, whole=2)
    print(report.text())
    assert report.is_good, report.text()
    assert report.kills == {"supervisor": 1, "all at once": 1}
