from __future__ import annotations

import msgpack
import numpy as np
import pytest

from actors.scoring.blend import SOURCES, Blended, Blender
from protocol.columns import Columns, Scores
from tests.actors.detectors.columns import make_batch


def scores_of(raw: np.ndarray) -> Scores:
    column = raw.astype(np.float32)
    return Scores(column, np.ones_like(column), column)


def bits(n: int, seed: int) -> Scores:
    return scores_of(np.random.default_rng(seed).exponential(size=n) / np.log(2))


def feed(
    blender: Blender, batches: int, *, first: int = 0, names: tuple[str, ...] = ("hst", "markov")
) -> list[Blended]:
    blends = []
    for k in range(first, first + batches):
        columns = make_batch(200, event_s=[k * 10 + i / 20 for i in range(200)])
        blends.append(blender.blend(columns, {name: bits(200, 7 * k + j) for j, name in enumerate(names)}))
    return blends


def test_warming_up_scores_nothing_and_breaches_nothing() -> None:
    blends = feed(Blender(), 4)
    for blended in blends:
        assert (blended.score == 0).all()
        assert (blended.threshold == 1).all()
        assert not blended.breach.any()


def test_zeros_while_warming_up_do_not_set_the_threshold() -> None:
    """The peer's fault: calibrated on a detector that said 0 of everything, every event breached afterwards."""
    blender = Blender()
    for k in range(30):
        raw = np.full(200, np.nan) if k < 15 else np.random.default_rng(k).exponential(size=200)
        scores = {"hst": scores_of(raw), "cusum": scores_of(np.zeros(200))}
        blended = blender.blend(make_batch(200, event_s=[k * 10 + i / 20 for i in range(200)]), scores)
        assert not blended.breach.any()


def test_a_sure_detector_is_heard_and_the_shares_add_up() -> None:
    blender = Blender(units={"markov": "bits"})
    feed(blender, 20)
    batch = make_batch(2, event_s=[500.0, 500.1])
    scores = {"hst": scores_of(np.array([1.0, 1.0])), "markov": scores_of(np.array([1.0, 50.0]))}
    blended = blender.blend(batch, scores, learn=False)
    assert blended.breach.tolist() == [False, True]
    assert 0 < blended.score[0] < blended.threshold[0] < blended.score[1] < 1
    for i in (0, 1):
        parts = blended.explain(i)
        assert sum(part.share for part in parts) == pytest.approx(float(blended.score[i]), rel=1e-5)
    assert blended.explain(1)[0].detector == "markov"
    assert blended.explain(1)[0].unit == "bits"


def test_a_missing_or_silent_detector_is_left_out() -> None:
    blender = Blender()
    feed(blender, 20)
    batch = make_batch(1, event_s=500.0)
    nothing = scores_of(np.array([np.nan]))
    alone = blender.blend(batch, {"markov": scores_of(np.array([50.0]))}, learn=False)
    silent = blender.blend(batch, {"hst": nothing, "markov": scores_of(np.array([50.0]))}, learn=False)
    assert alone.breach[0]
    assert alone.score[0] == silent.score[0]
    assert [part.detector for part in silent.explain(0)] == ["markov"]
    none = blender.blend(batch, {}, learn=False)
    assert none.score[0] == 0
    assert none.explain(0) == []


def test_false_alarms_are_what_the_budget_says() -> None:
    blends = feed(Blender(), 600)
    assert sum(int(blended.breach.sum()) for blended in blends) <= 2


def test_a_snapshot_goes_on() -> None:
    whole, halves = Blender(), Blender()
    for blender in (whole, halves):
        feed(blender, 12)
    state = msgpack.packb(halves.snapshot())
    restored = Blender()
    restored.restore(msgpack.unpackb(state))
    assert msgpack.packb(restored.snapshot()) == state
    for one, other in zip(feed(whole, 10, first=12), feed(restored, 10, first=12), strict=True):
        np.testing.assert_array_equal(one.score, other.score)
        np.testing.assert_array_equal(one.threshold, other.threshold)
    with pytest.raises(ValueError, match="version"):
        restored.restore({"version": 0})


def test_a_batch_sent_again_changes_nothing() -> None:
    blender = Blender()
    feed(blender, 12)
    before = msgpack.packb(blender.snapshot())
    blender.blend(make_batch(200), {"hst": bits(200, 1)}, learn=False)
    assert msgpack.packb(blender.snapshot()) == before


def test_sources_are_bounded_and_batches_may_be_empty() -> None:
    blender = Blender()
    for k in range(3 * SOURCES):
        batch = make_batch(3)
        named = Columns((f"host-{k}",), *[getattr(batch, name) for name in batch.__struct_fields__[1:]])
        blender.blend(named, {"hst": bits(3, k)})
    assert blender.statistics()["sources"] == SOURCES
    assert len(blender.blend(make_batch(0), {"hst": bits(0, 1)}).score) == 0
