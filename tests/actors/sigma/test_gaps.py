from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.sigma import gaps
from actors.sigma.gaps import Gaps
from protocol.messages import BatchKey


def key(first: int, last: int, tag: int = 7, base: int = 0) -> BatchKey:
    return BatchKey("syslog", tag, base, first, last - first + 1)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 9)), max_size=40), st.integers(0, 40))
def test_every_sequence_is_new_exactly_once(batches: list[tuple[int, int]], cut: int) -> None:
    known, seen = Gaps(), set[int]()
    for number, (first, more) in enumerate(batches):
        if number == cut:
            known = Gaps(known.last, known.open())  # a restart
        new = known.take(key(first, first + more))
        for sequence in range(first, first + more + 1):
            assert (sequence in new) is (sequence not in seen)
            seen.add(sequence)
    missing = {sequence for _, low, high in known.open() for sequence in range(low, high + 1)}
    assert missing == set(range(1, max(seen, default=0) + 1)) - seen


def test_what_is_committed_and_was_not_seen_is_a_gap() -> None:
    known = Gaps({7: 10})
    known.expect({7: 25, 9: 3})
    assert known.open() == [(7, 11, 25), (9, 1, 3)] and known.last == {7: 25, 9: 3}
    known.expect({7: 25, 9: 3})
    assert len(known.open()) == 2


def test_a_spool_that_is_new_begins_behind_what_is_committed_of_it() -> None:
    known = Gaps()
    assert 101 in known.take(key(101, 110, base=100))
    assert known.open() == []


def test_what_never_comes_is_given_up() -> None:
    known = Gaps()
    known.take(key(50, 60))
    for _ in range(gaps.PATIENCE):
        assert known.open() == [(7, 1, 49)]
        known.miss((7, 1, 49))
    assert known.open() == []
    for number in range(gaps.MAX_GAPS + 5):
        known.take(key(100 + 10 * number, 101 + 10 * number))
    assert len(known.open()) == gaps.MAX_GAPS and known.given_up == 5
    for tag in range(gaps.MAX_SPOOLS + 5):
        known.take(key(1, 2, tag))
    assert len(known.last) == gaps.MAX_SPOOLS
