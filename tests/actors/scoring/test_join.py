from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from actors.scoring.join import DEADLINE_S, MAX_EARLY, Join
from protocol.columns import Scores
from protocol.messages import BatchKey, Matched, Parsed, Scored
from protocol.records import Attack

DETECTORS = ("hst", "cusum", "markov")


def batch(number: int, given_to: tuple[str, ...] = DETECTORS) -> Parsed:
    return Parsed(BatchKey("syslog", 1, 0, number, 1), ("syslog",), given_to)


def scores(number: int, detector: str, count: int = 1) -> tuple[Scored, Scores]:
    return Scored(BatchKey("syslog", 1, 0, number, 1), detector, "unit", True), Scores(*[np.zeros(count, np.float32)] * 3)


def numbers(join: Join, now_s: float) -> list[int]:
    return [joined.message.key.first for joined in join.take(now_s)]


STEPS = st.lists(
    st.one_of(
        st.just(("batch",)),
        st.tuples(st.just("scores"), st.integers(0, 12), st.sampled_from(DETECTORS)),
        st.tuples(st.just("wait"), st.floats(0, 2 * DEADLINE_S)),
    ),
    max_size=60,
)


@given(STEPS)
def test_batches_leave_in_order_once_and_never_later_than_their_deadline(steps: list[tuple]) -> None:
    join, now_s, came, left = Join(), 0.0, dict[int, float](), list[int]()
    for kind, *more in steps:
        if kind == "batch":
            came[len(came)] = now_s
            join.add_batch(batch(len(came) - 1), [], now_s)
        elif kind == "scores":
            join.add_scores(*scores(*more))
        else:
            now_s += more[0]
        left += numbers(join, now_s)
        assert left == list(range(len(left)))
        assert all(now_s < came[number] + DEADLINE_S for number in came if number not in left)
        assert len(join) == len(came) - len(left)
    assert numbers(join, now_s + DEADLINE_S) == list(range(len(left), len(came)))


def test_a_hung_detector_costs_one_deadline_once() -> None:
    join = Join()
    for number in range(3):
        join.add_batch(batch(number), [], 0.0)
        for detector in DETECTORS[1:]:
            join.add_scores(*scores(number, detector))
    assert numbers(join, 0.0) == [] and len(join) == 3
    assert numbers(join, DEADLINE_S) == [0, 1, 2] and join.late == {"hst"}
    join.add_scores(*scores(2, "hst"))
    assert join.late == set()


def test_scores_that_come_early_count_and_are_bounded() -> None:
    join = Join()
    for number in range(2 * MAX_EARLY):
        join.add_scores(*scores(number, "hst"))
    assert len(join._early) == MAX_EARLY
    join.add_batch(batch(2 * MAX_EARLY - 1, ("hst",)), [], 0.0)
    (joined,) = join.take(0.0)
    assert set(joined.scores) == {"hst"} and joined.units == {"hst": "unit"}


def test_scores_of_another_length_are_no_scores() -> None:
    join = Join()
    join.add_batch(batch(1, ("hst",)), [], 0.0)
    join.add_scores(*scores(1, "hst", count=2))
    assert numbers(join, 0.0) == []


def matched(number: int) -> Matched:
    return Matched(batch(number).key, attacks={0: Attack("impact", "T1489")})


def test_what_rules_say_comes_along_and_is_waited_for() -> None:
    join = Join()
    for number in (1, 2):
        join.add_batch(batch(number, ("hst", "sigma")), [], 0.0)
        join.add_scores(*scores(number, "hst"))
    assert numbers(join, 0.0) == []
    assert join.add_matched(batch(1).key, matched(1))
    (joined,) = join.take(0.0)
    assert joined.matched == matched(1)
    assert numbers(join, DEADLINE_S) == [2] and join.late == {"sigma"}


def test_what_rules_say_of_a_batch_that_has_left_is_not_lost_in_here() -> None:
    join = Join()
    assert join.add_matched(batch(1).key, matched(1))  # early
    join.add_batch(batch(1, ("sigma",)), [], 0.0)
    assert numbers(join, 0.0) == [1]
    assert not join.add_matched(batch(1).key, matched(1))
    again = msgspec.structs.replace(batch(1, ("sigma",)), key=msgspec.structs.replace(batch(1).key, attempt=1))
    join.add_batch(again, [], 0.0)
    assert join.add_matched(again.key, matched(1)) and numbers(join, 0.0) == [1]
