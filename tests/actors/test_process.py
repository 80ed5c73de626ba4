from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from actors.frontend import heavy
from actors.frontend.rest import Problem
from actors.frontend.rules import RuleDesk
from actors.process import ProcessFailed, run_module


def children() -> set[str]:
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


@pytest.fixture
def deaf() -> Iterator[None]:
    """Ignore what actors ignore; who is started then ignores it too."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_module_answers_or_says_why_not() -> None:
    assert trio.run(run_module, "json.tool", b"[1]") == b"[\n    1\n]\n"
    with pytest.raises(ProcessFailed, match="Expecting value"):
        trio.run(run_module, "json.tool", b"nonsense")
    with pytest.raises(ProcessFailed, match="No module named"):
        trio.run(run_module, "actors.nothing", b"")


@pytest.mark.usefixtures("deaf")
def test_it_ends_at_once_with_whoever_waits_for_it() -> None:
    before = children()

    async def wait_a_moment() -> None:
        with trio.move_on_after(0.3):
            await run_module("tests.sleeper", b"")
        await trio.sleep(0)

    began_s = time.monotonic()
    trio.run(wait_a_moment)
    assert time.monotonic() - began_s < 3 and children() == before


def test_what_takes_too_long_is_a_problem_and_nobody_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(heavy, "LIMIT_S", 0.02)
    before = children()
    with pytest.raises(Problem) as raised:
        trio.run(lambda: RuleDesk(tmp_path, heavy.Heavy()).test("any", b"a line"))
    assert raised.value.status == 503 and "longer than" in raised.value.detail
    assert children() == before
