"""Laws that hold for every registered follower, and for the trial one."""

from __future__ import annotations

import msgpack
import pytest

from actors.following.follower import Follower
from actors.following.registry import FOLLOWERS
from actors.loading import load_class
from protocol.messages import JudgedEvent
from protocol.records import Event
from tests.trial.follower import TrialFollower

START_NS = 1_790_000_000_000_000_000


def judged(first: int, last: int, *, sources: int = 3) -> list[JudgedEvent]:
    """Return events of a few sources, one a second, as they are committed."""
    return [JudgedEvent(_event(n, sources), 0.5, 0.9, None) for n in range(first, last + 1)]


def _event(n: int, sources: int) -> Event:
    time_ns = START_NS + n * 10**9
    return Event(f"{n:026d}", time_ns, time_ns, f"s{n % sources}", 9, f"line {n}", 1, "line <*>", [], {})


@pytest.fixture(params=[*FOLLOWERS, ""], ids=[*FOLLOWERS, "trial"])
def kind(request: pytest.FixtureRequest) -> type[Follower]:
    found: type[Follower] = load_class(FOLLOWERS[request.param], Follower) if request.param else TrialFollower
    return found


def test_declares_itself(kind: type[Follower]) -> None:
    assert kind is TrialFollower or load_class(FOLLOWERS[kind.name], Follower) is kind
    assert kind.version >= 1


def test_restored_goes_on_as_if_never_stopped(kind: type[Follower]) -> None:
    whole, halves, restored = kind(), kind(), kind()
    for each in (whole, halves):
        each.take_events(judged(1, 205))
    restored.restore(msgpack.unpackb(msgpack.packb(halves.snapshot())))
    assert restored.take_events(judged(206, 500)) == whole.take_events(judged(206, 500))
    assert msgpack.packb(restored.snapshot()) == msgpack.packb(whole.snapshot())


def test_parts_are_worth_the_whole(kind: type[Follower]) -> None:
    whole, parts = kind(), kind()
    drafts = [alert for first in range(1, 400, 7) for alert in parts.take_events(judged(first, first + 6))]
    assert drafts == list(whole.take_events(judged(1, 399)))
    assert parts.snapshot() == whole.snapshot()


def test_its_drafts_are_of_its_kind_and_have_ids_of_their_own(kind: type[Follower]) -> None:
    drafts = kind().take_events(judged(1, 1_000))
    assert {draft.rule_kind for draft in drafts} <= {kind.rule_kind}
    assert len({draft.id for draft in drafts}) == len(drafts)


def test_what_no_follower_wrote_is_refused(kind: type[Follower]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        kind().restore({"someone": "else's"})


def test_endless_sources_stay_bounded(kind: type[Follower]) -> None:
    follower = kind()
    follower.take_events(judged(1, 20_000, sources=20_000))
    sizes = follower.statistics()
    assert all(sizes[name.removesuffix("_max")] <= most for name, most in sizes.items() if name.endswith("_max"))
    assert len(msgpack.packb(follower.snapshot())) < 4_000_000
