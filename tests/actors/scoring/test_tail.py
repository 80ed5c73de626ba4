from __future__ import annotations

import msgpack
import numpy as np
import pytest

from actors.scoring.tail import BINS, Tail


def bits(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).exponential(size=n) / np.log(2)


def test_says_nothing_before_it_is_warm() -> None:
    tail = Tail()
    tail.learn(bits(300))
    assert np.isnan(tail.judge(np.array([1.0]))).all()
    tail.learn(bits(300))
    assert np.isfinite(tail.judge(np.array([1.0]))).all()


@pytest.mark.parametrize("x", [1.0, 4.0, 8.0, 12.0, 20.0])
def test_is_the_probability_that_it_was(x: float) -> None:
    tail = Tail()
    tail.learn(bits(20_000))
    assert np.log2(tail.judge(np.array([x]))[0]) == pytest.approx(-x, rel=0.15)


def test_keeps_falling_beyond_the_greatest_and_never_reaches_zero() -> None:
    tail = Tail()
    tail.learn(bits(20_000))
    p = tail.judge(np.array([20.0, 30.0, 45.0, 60.0]))
    assert (np.diff(p) < 0).all()
    assert (p > 0).all()


def test_a_constant_channel_claims_nothing() -> None:
    tail = Tail()
    tail.learn(np.zeros(5000))
    np.testing.assert_array_equal(tail.judge(np.zeros(3)), 1.0)
    tail = Tail()
    tail.learn(np.full(5000, 3.7))
    np.testing.assert_array_equal(tail.judge(np.array([3.7, 1.0])), 1.0)
    assert tail.judge(np.array([4.7]))[0] > 0.3


def test_ties_count_whole() -> None:
    tail = Tail()
    tail.learn(np.repeat([0.0, 5.0], [9000, 1000]))
    assert tail.judge(np.array([5.0]))[0] == pytest.approx(0.1)


def test_nan_is_absent_and_teaches_nothing() -> None:
    tail = Tail()
    tail.learn(bits(5000))
    before = tail.snapshot()
    tail.learn(np.full(5000, np.nan))
    assert tail.snapshot() == before
    assert np.isnan(tail.judge(np.array([np.nan]))[0])


def test_what_becomes_common_becomes_ordinary() -> None:
    tail = Tail()
    tail.learn(bits(20_000))
    before = tail.judge(np.array([45.0]))[0]
    tail.learn(np.where(np.arange(20_000) % 100 == 0, 45.0, 1.0))
    assert before < 1e-9 < 1e-3 < tail.judge(np.array([45.0]))[0]


def test_a_climb_is_not_judged_by_its_own_first_seconds() -> None:
    tail = Tail()
    tail.learn(bits(20_000), 0)
    tail.learn(np.full(2000, 40.0), 10**9)
    assert tail.judge(np.array([40.0]))[0] < 1e-9
    tail.learn(np.full(2000, 40.0), 70 * 10**9)
    assert tail.judge(np.array([40.0]))[0] > 1e-2


def test_snapshot() -> None:
    tail, other = Tail(), Tail()
    tail.learn(bits(5000))
    tail.learn(bits(50), 5)
    other.restore(msgpack.unpackb(msgpack.packb(tail.snapshot())))
    for one in (tail, other):
        one.learn(bits(9000, 2), 10)
    assert other.snapshot() == tail.snapshot()
    with pytest.raises(ValueError, match=str(BINS)):
        other.restore({**tail.snapshot(), "mass": b""})
