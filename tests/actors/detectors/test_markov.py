from __future__ import annotations

import numpy as np

from actors.detectors.markov import TRANSITIONS, Markov, _Chain
from tests.actors.detectors.columns import make_batch


def test_never_seen_surprises_most_then_rare_then_out_of_order() -> None:
    random = np.random.default_rng(1)
    markov = Markov()
    ids = random.choice([1, 2, 3, 4], 5000, p=[0.5, 0.3, 0.19, 0.01])
    markov.score(make_batch(5000, templates=ids.tolist()))
    common, rare, new = (float(markov.score(make_batch(1, templates=k), learn=False).raw[0]) for k in (1, 4, 9))
    assert common < 2
    assert 5 < rare < 9
    assert new > 31 + 5


def test_order_is_followed_per_entity() -> None:
    markov = Markov()
    for k in range(300):  # two entities, each 1 2 3, interleaved by chance
        first, second = 2 * k + 1, 2 * k + 2
        markov.score(
            make_batch(6, templates=[1, 1, 2, 2, 3, 3], entities=[first, second, second, first, first, second])
        )
    steps = markov.score(make_batch(5, templates=[1, 2, 3, 1, 3], entities=[9999] * 3 + [9998] * 2)).raw
    assert steps[:4].max() < 0.1
    assert steps[4] > 8


def test_equal_entities_of_two_sources_are_two() -> None:
    markov = Markov()
    batch = make_batch(2000, templates=[1, 2] * 1000, entities=5)
    markov.score(batch)
    markov.score(type(batch)(("b",), *[getattr(batch, name) for name in batch.__struct_fields__[1:]]))
    assert markov.statistics()["entities"] == 2


def test_a_chain_is_bounded_and_forgets_no_count_of_contexts() -> None:
    chain = _Chain()
    random = np.random.default_rng(2)
    for a, b in random.integers(1, 2000, (60_000, 2)).tolist():
        chain.learn(a, b)
    assert len(chain.steps) <= TRANSITIONS + 1
    for a in (1, 2, 3):
        counts = [count for step, count in chain.steps.items() if step >> 32 == a]
        assert chain.contexts.get(a, (0, 0)) == (sum(counts), len(counts))
