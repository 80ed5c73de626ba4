from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.following import cursor
from actors.following.cursor import EVENTS, Cursor, Stretch

LINE = 7


def with_gaps(last: dict[int, int] | None = None, gaps: list[Stretch] | None = None) -> Cursor:
    return Cursor(last, gaps or [], max_gaps=cursor.MAX_GAPS)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 9)), max_size=40), st.integers(0, 40))
def test_every_sequence_is_new_exactly_once(stretches: list[tuple[int, int]], cut: int) -> None:
    taken, seen = with_gaps(), set[int]()
    for number, (first, more) in enumerate(stretches):
        if number == cut:
            taken = with_gaps(taken.last, taken.gaps())  # a restart
        new = taken.take(LINE, first, more + 1)
        for sequence in range(first, first + more + 1):
            assert (sequence in new) is (sequence not in seen)
            seen.add(sequence)
    missing = {sequence for gap in taken.gaps() for sequence in range(gap.first, gap.last + 1)}
    assert missing == set(range(1, max(seen, default=0) + 1)) - seen


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 5)), max_size=40))
def test_without_gaps_what_lies_behind_the_last_is_new(stretches: list[tuple[int, int, int]]) -> None:
    taken, last = Cursor(), dict[int, int]()
    for line, first, count in stretches:
        end = first + count - 1
        assert taken.has(line, end) == (end <= last.get(line, 0))
        assert set(taken.take(line, first, count)) == set(range(max(first, last.get(line, 0) + 1), end + 1))
        last[line] = max(last.get(line, 0), end)
        assert taken.has(line, end) and Cursor(taken.last).has(line, end)
    assert taken.gaps() == [] and taken.given_up == 0


def test_what_is_committed_and_was_not_taken_is_a_gap() -> None:
    taken = with_gaps({7: 10})
    taken.expect({7: 25, 9: 3})
    assert taken.gaps() == [Stretch(7, 11, 25), Stretch(9, 1, 3)] and taken.last == {7: 25, 9: 3}
    taken.expect({7: 25, 9: 3})
    assert len(taken.gaps()) == 2


def test_a_line_that_is_new_begins_where_its_caller_says() -> None:
    taken = with_gaps()
    assert not taken.missing_before(EVENTS, 101, begin=100)
    assert 101 in taken.take(EVENTS, 101, 10, begin=100)
    assert taken.gaps() == []
    assert taken.missing_before(EVENTS, 120, begin=119) == Stretch(EVENTS, 111, 119)


def test_what_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursor, "MAX_LINES", 50)
    taken = with_gaps()
    taken.take(LINE, 50, 11)
    for _ in range(cursor.PATIENCE):
        assert taken.gaps() == [Stretch(LINE, 1, 49)]
        taken.miss(Stretch(LINE, 1, 49))
    assert taken.gaps() == []
    for number in range(cursor.MAX_GAPS + 5):
        taken.take(LINE, 100 + 10 * number, 2)
    assert len(taken.gaps()) == cursor.MAX_GAPS and taken.given_up == 5
    for line in range(60):
        taken.take(line, 1, 2)
    assert len(taken.last) == 50


FATES = st.sampled_from(["arrives", "is lost", "arrives twice"])


@given(st.lists(st.tuples(st.integers(1, 5), FATES, st.booleans()), max_size=30))
def test_whoever_fills_at_once_has_everything_once_and_in_order(commits: list[tuple[int, str, bool]]) -> None:
    taken, followed, newest = Cursor({EVENTS: 0}), list[int](), 0

    def arrive(first: int, count: int) -> None:
        missing = taken.missing_before(EVENTS, first, begin=first - 1)
        followed.extend(taken.take(EVENTS, missing.first, len(missing)) if missing else ())
        followed.extend(taken.take(EVENTS, first, count))

    for count, fate, idle in commits:
        first, newest = newest + 1, newest + count
        for _ in range({"arrives": 1, "is lost": 0, "arrives twice": 2}[fate]):
            arrive(first, count)
        if idle:
            arrive(newest + 1, 0)  # the recorder says how far it has come
    arrive(newest + 1, 0)
    assert followed == list(range(1, newest + 1))
