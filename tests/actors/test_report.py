"""An actor's account of itself: its state is derived from conditions, each of which only its owner clears."""

from __future__ import annotations

from typing import get_args

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from actors.context import Condition, Report

CONDITIONS = st.sampled_from(get_args(Condition))


@given(st.lists(st.tuples(CONDITIONS, st.booleans())), st.booleans())
def test_the_state_follows_from_what_is_set_and_nothing_else(steps: list[tuple[Condition, bool]], ready: bool) -> None:
    report, is_set = Report(), {}
    if ready:
        report.ready()
    for condition, sets in steps:
        was_set = condition in is_set
        if sets:
            is_set[condition] = f"{condition} is wrong"
            assert report.set(condition, is_set[condition]) is not was_set
        else:
            is_set.pop(condition, None)
            assert report.clear(condition) is was_set
        assert [report.has(each) for each in get_args(Condition)] == [each in is_set for each in get_args(Condition)]
        assert report.state == ("degraded" if is_set else "ok" if ready else "starting")
        assert report.note == "; ".join(is_set.values())


def test_one_owner_does_not_clear_the_condition_of_another() -> None:
    report = Report()
    report.ready()
    report.set("reading", "cannot read /var/log/a")
    report.set("spool", "the spool is full")
    report.clear("spool")
    assert (report.state, report.note) == ("degraded", "cannot read /var/log/a")


def test_only_a_change_wakes_who_waits() -> None:
    report, woken = Report(), []

    async def wake() -> None:
        while True:
            await report.changed.wait()
            woken.append(report.state)

    async def test() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wake)
            report.ready()
            for note in ("one is not understood", "two are not understood"):
                await trio.testing.wait_all_tasks_blocked()
                report.set("rules", note)
            for _ in range(2):
                await trio.testing.wait_all_tasks_blocked()
                report.clear("rules")
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    trio.run(test)
    assert woken == ["degraded", "ok"]


def test_a_note_of_progress_ends_with_the_start() -> None:
    report = Report()
    report.progress = "reading rules: 100 of 3,000"
    assert report.note == report.progress
    report.ready()
    assert report.note == ""
    report.drained()
    assert report.state == "drained"
