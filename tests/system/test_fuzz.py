"""The short form of `tests/system/fuzz.py`."""

from __future__ import annotations

from pathlib import Path

from tests.system.fuzz import fuzz_sockets


def test_every_hostile_input_is_accounted_for_and_nothing_restarts(tmp_path: Path) -> None:
    report = fuzz_sockets(tmp_path, 1_500, seed=3, rounds=2)
    print(report.text())
    assert report.faults() == []
    assert report.good_line_s < 5
    assert all(account.accepted > 0 for account in report.accounts.values())
