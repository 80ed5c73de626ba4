from __future__ import annotations

from collections.abc import Callable

import msgpack
import numpy as np
import pytest

from actors.scoring.spot import Spot


@pytest.mark.parametrize("risk", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("kind", ["exponential", "normal", "pareto", "uniform"])
def test_realised_risk_is_the_requested_one(kind: str, risk: float) -> None:
    random = np.random.default_rng(7)
    kinds: dict[str, Callable[[int], np.ndarray]] = {
        "exponential": lambda n: random.exponential(size=n),
        "normal": lambda n: random.normal(size=n),
        "pareto": lambda n: random.pareto(4, n),
        "uniform": lambda n: random.random(n),
    }
    realised = float(Spot(risk).learn(kinds[kind](100_000)).mean())
    assert risk / 2.5 < realised < risk * 2.5


def test_batches_do_not_matter_and_a_snapshot_goes_on() -> None:
    values = np.random.default_rng(9).exponential(size=6000)
    whole, parts = Spot(1e-3), Spot(1e-3)
    whole.learn(values)
    for start in range(0, 6000, 300):
        parts.learn(values[start : start + 300])
        state = msgpack.packb(parts.snapshot())
        parts = Spot(1e-3)
        parts.restore(msgpack.unpackb(state))
    assert parts.threshold == whole.threshold


def test_constant_values_breach_nothing() -> None:
    spot = Spot(1e-4, calibration=100)
    assert not spot.learn(np.zeros(5000)).any()
    assert spot.threshold >= 0
