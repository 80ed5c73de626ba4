"""The short form of `tests/system/chaos.py`."""

from __future__ import annotations

from pathlib import Path

from tests.system.chaos import run


def test_an_actor_killed_every_second_costs_nothing(tmp_path: Path) -> None:
    report = run(tmp_path, seconds=15, rate=1_500, seed=2)
    print(report.text())
    assert set(report.lost.values()) == {0}
    assert set(report.doubled.values()) == {0}
    assert report.not_framed == 0
    assert sum(report.kills.values()) >= 8
