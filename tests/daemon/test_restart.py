from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daemon.restart import Decision, RestartHistory, RestartPolicy

POLICIES = st.builds(
    RestartPolicy,
    intensity=st.integers(1, 12),
    period_s=st.floats(1, 120),
    first_delay_s=st.floats(0.01, 1),
    max_delay_s=st.floats(1, 10),
    escalates=st.booleans(),
)
GAPS = st.lists(st.floats(0, 100), min_size=1, max_size=60)


@given(POLICIES, GAPS, st.integers())
def test_the_budget_and_the_delays_are_kept(policy: RestartPolicy, gaps: list[float], seed: int) -> None:
    history, now_s, deaths = RestartHistory(policy, seed), 0.0, list[float]()
    for gap in gaps:
        now_s += gap
        deaths.append(now_s)
        recent = sum(death > now_s - policy.period_s for death in deaths)
        decision = history.decide(now_s)
        beyond = recent > policy.intensity
        assert decision.escalate == (beyond and policy.escalates)
        assert decision.down == (beyond and not policy.escalates)
        if beyond:
            assert decision.delay_s == policy.slow_delay_s
        else:
            assert 0 <= decision.delay_s <= 1.25 * policy.max_delay_s
            assert (decision.delay_s == 0) == (recent == 1)


@given(POLICIES, st.integers())
def test_back_off_doubles_up_to_its_bound(policy: RestartPolicy, seed: int) -> None:
    history = RestartHistory(policy, seed)
    delays = [history.decide(0.0).delay_s for _ in range(policy.intensity)]
    for number, delay_s in enumerate(delays[1:]):
        middle = min(policy.first_delay_s * 2**number, policy.max_delay_s)
        assert 0.74 * middle <= delay_s <= 1.26 * middle


def test_rare_deaths_are_answered_at_once_for_ever() -> None:
    history = RestartHistory(RestartPolicy(intensity=3, period_s=60))
    assert {history.decide(61.0 * number).delay_s for number in range(1_000)} == {0.0}


@given(POLICIES)
def test_deaths_after_a_steady_life_cost_nothing(policy: RestartPolicy) -> None:
    history = RestartHistory(policy)
    for number in range(100):
        assert history.decide(0.01 * number, policy.steady_s) == Decision(0.0, False, False)
    assert history.decide(2.0).delay_s == 0, "the first that counts"


def test_an_actor_that_always_dies_young_is_found_out() -> None:
    policy = RestartPolicy(intensity=8, period_s=60)
    history, now_s = RestartHistory(policy), 0.0
    for _ in range(policy.intensity + 1):
        now_s += policy.steady_s - 1
        decision = history.decide(now_s, policy.steady_s - 1)
    assert decision.escalate


@given(GAPS, st.integers())
def test_a_seed_decides(gaps: list[float], seed: int) -> None:
    one, other = (RestartHistory(RestartPolicy(), seed) for _ in range(2))
    assert [one.decide(sum(gaps[:n])) for n in range(len(gaps))] == [other.decide(sum(gaps[:n])) for n in range(len(gaps))]
