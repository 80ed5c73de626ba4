"""Fork server, spawner, runner and keeper together, on real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.toy_actor import KEY
from tests.daemon_process import ROOT


def keep(case: str, folder: Path) -> tuple[dict[str, Any], str]:
    command = [sys.executable, "-m", "tests.daemon.keeping", case, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_an_actor_is_a_child_of_its_own_name_and_ends_when_it_is_told_to(tmp_path: Path) -> None:
    found, _ = keep("lives", tmp_path)
    assert found == {"name": "tocsin:toy", "is_ours": True, "pid_after": 0, "told": [], "incarnation": 1}


def test_a_fork_server_that_dies_takes_no_actor_along_and_is_replaced(tmp_path: Path) -> None:
    found, _ = keep("fork server dies", tmp_path)
    assert found == {"alive": "ok", "is_another": True, "restarts": 1, "told": ["actor_died"], "incarnation": 2}


@pytest.mark.parametrize(("case", "words"), [("dies", "exited with status 3"), ("fails", "exited with status 1")])
def test_an_actor_that_dies_again_and_again_ends_the_daemon(tmp_path: Path, case: str, words: str) -> None:
    found, log = keep(case, tmp_path)
    assert found["escalation"] == f"toy died too often: {words}"
    assert found["incarnation"] == 3 and found["told"] == ["actor_died"] * 3, "the intensity is 2"
    assert ("a toy fault" in log) == (case == "fails"), "its traceback is in the log"


def test_an_actor_that_hangs_is_killed_and_started_again(tmp_path: Path) -> None:
    found, log = keep("hangs", tmp_path)
    assert found["restarts"] == 1 and found["incarnation"] == 2 and found["told"] == ["actor_died"]
    assert "gave no heartbeat" in log and "hung and was killed" in log


def test_of_the_batch_that_an_actor_dies_of_its_receiver_is_told(tmp_path: Path) -> None:
    found, log = keep("poison", tmp_path)
    assert found["isolates"] == [KEY.tag, KEY.first, KEY.last]
    assert "a poisoned batch" in log
