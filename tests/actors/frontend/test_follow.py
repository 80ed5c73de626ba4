from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.frontend.follow import Follower, Missing


def test_begins_with_the_first_that_it_hears_of() -> None:
    assert Follower().take(500, 3) == (Missing(500, 499), 0)
    assert not Follower().take_heartbeat(900)


def test_a_heartbeat_shows_what_no_later_commit_shows() -> None:
    follower = Follower()
    follower.take(1, 10)
    assert not follower.take_heartbeat(15)  # it may still be on its way
    assert follower.take_heartbeat(15) == Missing(11, 15)
    assert not follower.take_heartbeat(15)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["arrives", "is lost", "arrives twice"]), st.booleans()), max_size=30)
)
def test_everything_is_framed_exactly_once_and_in_order_whatever_is_lost(commits: list[tuple[int, str, bool]]) -> None:
    follower, framed, newest = Follower(), [0], 0
    follower.take(0, 1)

    def frame(missing: Missing) -> None:
        framed.extend(range(missing.first, missing.last + 1))

    def arrive(first: int, count: int) -> None:
        missing, skip = follower.take(first, count)
        frame(missing)
        framed.extend(range(first + skip, first + count))

    for count, fate, beats in commits:
        first, newest = newest + 1, newest + count
        for _ in range({"arrives": 1, "is lost": 0, "arrives twice": 2}[fate]):
            arrive(first, count)
        if beats:
            frame(follower.take_heartbeat(newest))
    for _ in range(2):
        frame(follower.take_heartbeat(newest))
    assert framed == list(range(newest + 1))
