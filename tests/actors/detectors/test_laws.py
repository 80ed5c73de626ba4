"""Laws that hold for every registered detector."""

from __future__ import annotations

from typing import Any

import msgpack
import msgspec
import numpy as np
import pytest

from actors.detectors.detector import Detector
from actors.detectors.registry import DETECTORS
from protocol.clock import NS_PER_S
from protocol.columns import FEATURES, Columns, Scores
from protocol.findings import Finding
from tests.actors.detectors.classes import detector_class

START_NS = 1_790_000_000 * NS_PER_S


def make_columns(n: int, seed: int, *, sources: int = 1, start_ns: int = START_NS, rate: float = 20.0) -> Columns:
    random = np.random.default_rng(seed)
    times = start_ns + np.cumsum(random.exponential(NS_PER_S / rate, n)).astype(np.int64)
    return Columns(
        tuple(f"source-{k}" for k in range(sources)),
        times,
        times,
        random.integers(1, 20, n).astype(np.int32),
        random.integers(0, sources, n).astype(np.int32),
        np.full(n, 9, np.int8),
        random.integers(0, 50, n).astype(np.uint64),
        random.integers(0, 9, n),
        random.random((n, len(FEATURES)), np.float32),
    )


def part(columns: Columns, start: int, end: int) -> Columns:
    arrays = [getattr(columns, name)[start:end] for name in Columns.__struct_fields__[1:]]
    return Columns(columns.sources, *arrays)


def feed(detector: Detector, columns: Columns, size: int = 200) -> tuple[list[Scores], list[Finding]]:
    """Feed the columns in batches with a tick each second between them."""
    scores: list[Scores] = []
    findings: list[Finding] = []
    for start in range(0, len(columns), size):
        batch = part(columns, start, start + size)
        findings += detector.tick(int(batch.observed_ns[0]))
        scores.append(detector.score(batch))
    return scores, findings


def raw(scores: list[Scores]) -> np.ndarray[Any, Any]:
    return np.concatenate([np.stack([s.raw, s.expected, s.seen]) for s in scores], axis=1)


@pytest.fixture(params=list(DETECTORS))
def kind(request: pytest.FixtureRequest) -> type[Detector]:
    return detector_class(request.param)


def test_declares_itself(kind: type[Detector]) -> None:
    assert detector_class(kind.name) is kind
    assert kind.unit
    assert kind.version >= 1


@pytest.mark.parametrize("sources", [1, 5])
def test_restored_goes_on_as_if_never_stopped(kind: type[Detector], sources: int) -> None:
    columns = make_columns(12_000, 1, sources=sources)
    first, second = part(columns, 0, 8_030), part(columns, 8_030, 12_000)
    whole, halves = kind(), kind()
    feed(whole, first)
    feed(halves, first)
    state = msgpack.packb(halves.snapshot())
    restored = kind()
    restored.restore(msgpack.unpackb(state))
    assert msgpack.packb(restored.snapshot()) == state
    expected, wanted = feed(whole, second)
    got, found = feed(restored, second)
    np.testing.assert_array_equal(raw(got), raw(expected))
    silent_ns = int(columns.observed_ns[-1])
    for now in range(silent_ns, silent_ns + 400 * NS_PER_S, NS_PER_S):
        wanted += whole.tick(now)
        found += restored.tick(now)
    assert found == wanted
    assert msgpack.packb(restored.snapshot()) == msgpack.packb(whole.snapshot())


def test_another_version_is_refused(kind: type[Detector]) -> None:
    state = kind().snapshot()
    state["version"] += 1
    with pytest.raises(ValueError, match="version"):
        kind().restore(state)


def test_equal_input_gives_equal_scores(kind: type[Detector]) -> None:
    columns = make_columns(3_000, 2)
    np.testing.assert_array_equal(raw(feed(kind(), columns)[0]), raw(feed(kind(), columns)[0]))


def test_says_nothing_while_warming_up_and_something_after(kind: type[Detector]) -> None:
    detector = kind()
    assert not detector.is_warm()
    columns = make_columns(10_000, 3)
    scores, _ = feed(detector, columns)
    assert np.isnan(scores[0].raw).all()
    assert detector.is_warm()
    last = scores[-1]
    assert np.isfinite(last.raw).all()
    assert (last.raw >= 0).all()
    assert np.isfinite(last.expected).all()
    assert np.isfinite(last.seen).all()


def test_a_batch_sent_again_is_scored_and_not_learned(kind: type[Detector]) -> None:
    detector = kind()
    columns = make_columns(8_000, 4)
    feed(detector, columns)
    before = msgpack.packb(detector.snapshot())
    again = detector.score(part(columns, 7_800, 8_000), learn=False)
    unknown = detector.score(make_columns(5, 5, sources=3), learn=False)
    assert msgpack.packb(detector.snapshot()) == before
    assert len(again.raw) == 200
    assert len(unknown.raw) == 5


def test_an_empty_batch(kind: type[Detector]) -> None:
    detector = kind()
    scores = detector.score(make_columns(0, 1))
    assert len(scores.raw) == len(scores.expected) == len(scores.seen) == 0


def test_ten_thousand_sources_stay_bounded(kind: type[Detector]) -> None:
    detector = kind()
    for k in range(50):
        columns = make_columns(200, k)
        names = tuple(f"host-{k}-{i}" for i in range(200))
        named = Columns(
            names, columns.event_ns, columns.observed_ns, columns.template_id, np.arange(200, dtype=np.int32),
            columns.severity, columns.entity, columns.stream, columns.features,
        )  # fmt: skip
        detector.score(named)
    detector.tick(START_NS + 60 * NS_PER_S)
    sizes = detector.statistics()
    assert sizes["sources"] <= sizes["sources_max"] <= 1024


def test_endless_kinds_stay_bounded(kind: type[Detector]) -> None:
    detector = kind()
    for k in range(300):
        columns = make_columns(200, k, start_ns=START_NS + k * 10 * NS_PER_S)
        ids = np.arange(k * 200, k * 200 + 200)
        new = Columns(
            columns.sources, columns.event_ns, columns.observed_ns, ids.astype(np.int32), columns.source,
            columns.severity, ids.astype(np.uint64) + np.uint64(1), ids, columns.features,
        )  # fmt: skip
        detector.score(new)
    assert len(msgpack.packb(detector.snapshot())) < 4_000_000


HOSTILE_TIMES = {
    "far future": np.full(300, (1 << 63) - 1),
    "before time": np.full(300, -(1 << 63)),
    "zero": np.zeros(300, np.int64),
    "backwards": START_NS - np.arange(300) * 3600 * NS_PER_S,
    "jumping": np.where(np.arange(300) % 2, START_NS, 1_000),
}


@pytest.mark.parametrize("event", list(HOSTILE_TIMES))
@pytest.mark.parametrize("observed", ["as they are", *HOSTILE_TIMES])
def test_hostile_times(kind: type[Detector], event: str, observed: str) -> None:
    detector = kind()
    columns = make_columns(300, 6)
    times = HOSTILE_TIMES[event].astype(np.int64)
    seen = columns.observed_ns if observed == "as they are" else HOSTILE_TIMES[observed].astype(np.int64)
    hostile = Columns(
        columns.sources, times, seen, -columns.template_id, columns.source, columns.severity,
        columns.entity | np.uint64(1 << 63), columns.stream, np.full_like(columns.features, 7.0),
    )  # fmt: skip
    for _ in range(3):
        assert len(detector.score(hostile).raw) == 300
        detector.tick(START_NS + 10**9)
    detector.tick((1 << 63) - 1)
    detector.tick(-1)
    restored = kind()
    restored.restore(msgpack.unpackb(msgpack.packb(detector.snapshot())))
    # And it recovers: ordinary events after that are learned as ever.
    feed(restored, make_columns(10_000, 7, start_ns=START_NS + 2 * 3600 * NS_PER_S))
    assert restored.is_warm()


@pytest.mark.parametrize("name", ["holt_winters", "cusum"])
def test_an_event_that_stands_for_several_counts_for_them(name: str) -> None:
    """`message repeated 5 times` makes of a minute what five messages make of it."""
    folded, unfolded = detector_class(name)(), detector_class(name)()
    for batch in range(400):
        one = make_columns(8, batch, start_ns=START_NS + batch * 5 * NS_PER_S, rate=4.0)
        weight = np.where(np.arange(8) % 3 == 0, 5, 1).astype(np.int32)
        folded.score(msgspec.structs.replace(one, weight=weight))
        each = np.repeat(np.arange(8), weight)
        arrays = [getattr(one, field)[each] for field in Columns.__struct_fields__[1:-1]]
        unfolded.score(Columns(one.sources, *arrays))
    last = make_columns(1, 9, start_ns=START_NS + 2_000 * NS_PER_S)
    assert folded.is_warm() and raw([folded.score(last)]).tolist() == raw([unfolded.score(last)]).tolist()
