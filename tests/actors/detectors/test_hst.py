from __future__ import annotations

import msgspec
import numpy as np
import pytest

from actors.detectors.hst import _INNER, _NODES, TREES, HalfSpaceTrees, _grow, _Source
from protocol.columns import FEATURES, Columns
from tests.actors.detectors.columns import make_batch


def with_features(features: np.ndarray, templates: list[int]) -> Columns:
    batch = make_batch(len(features), templates=templates)
    return msgspec.structs.replace(batch, features=features.astype(np.float32))


def ordinary(n: int, random: np.random.Generator) -> np.ndarray:
    centre = np.array([0.4, 0.3, 0.1, 0.1, 0.1, 0.3, 0.1, 9 / 24])
    features = centre + random.normal(size=(n, len(FEATURES))) * 0.02
    features[:, 7] = 9 / 24
    return features


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_fatal_error_and_an_ordinary_line_differ(seed: int) -> None:
    random = np.random.default_rng(seed)
    detector = HalfSpaceTrees()
    detector.score(with_features(ordinary(3000, random), random.integers(1, 9, 3000).tolist()))
    usual = detector.score(with_features(ordinary(500, random), random.integers(1, 9, 500).tolist())).raw
    fatal = ordinary(1, random)
    fatal[0, 7] = 21 / 24
    longer = ordinary(1, random)
    longer[0, 0], longer[0, 1], longer[0, 2] = 0.8, 0.7, 0.6
    for strange in (fatal, longer):
        score = float(detector.score(with_features(strange, [3]), learn=False).raw[0])
        assert score > np.quantile(usual, 0.999)


def test_masses_of_children_add_up() -> None:
    random = np.random.default_rng(4)
    detector = HalfSpaceTrees()
    detector.score(with_features(random.random((2560, len(FEATURES))), random.integers(1, 9, 2560).tolist()))
    (source,) = detector._sources.values()
    assert isinstance(source, _Source)
    mass = source.reference.reshape(TREES, _NODES)
    np.testing.assert_allclose(mass[:, 0], source.mass, rtol=1e-4)
    parents = np.arange(_INNER)
    np.testing.assert_allclose(
        mass[:, parents], mass[:, 2 * parents + 1] + mass[:, 2 * parents + 2], rtol=1e-3, atol=1e-3
    )


def test_trees_are_grown_from_the_seed() -> None:
    for one, other in zip(_grow(1), _grow(1), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (_grow(1)[1] != _grow(2)[1]).any()
    assert ((_grow(1)[1] > 0) & (_grow(1)[1] < 1)).all()
