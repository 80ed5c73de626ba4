from __future__ import annotations

import numpy as np
import pytest

from actors.detectors.cusum import Cusum
from protocol.clock import NS_PER_S
from protocol.findings import Finding
from tests.actors.detectors.columns import START_NS, make_batch


def run(detector: Cusum, counts: list[int], start_s: int) -> tuple[list[Finding], list[float]]:
    """Feed one bucket of ten seconds for each count; return findings and the raw score of each bucket's last event."""
    findings, raw = [], []
    for k, count in enumerate(counts):
        times = start_s + 10 * k + np.arange(count) * (10 / max(count, 1))
        if count:
            raw.append(float(detector.score(make_batch(count, event_s=times.tolist())).raw[-1]))
        findings += detector.tick(START_NS + (start_s + 10 * k + 10) * NS_PER_S)
    return findings, raw


@pytest.mark.parametrize(("factor", "kind"), [(1.6, "level_up"), (0.5, "level_down")])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_lasting_change_is_found_once_and_then_the_new_level(factor: float, kind: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    detector = Cusum()
    findings, raw = run(detector, random.poisson(100, 360).tolist(), 0)
    assert not findings
    assert np.isnan(raw[:20]).all()
    assert np.nanmax(raw) < 32
    findings, raw = run(detector, random.poisson(100 * factor, 180).tolist(), 3600)
    (finding,) = findings
    assert finding.kind == kind
    assert finding.expected == pytest.approx(100, rel=0.15)
    assert np.nanmax(raw[:30]) > 15  # the statistic is read before it is reset
    assert np.nanmean(raw[-40:]) < 10


def test_silence_is_not_its_business() -> None:
    detector = Cusum()
    findings, _ = run(detector, [100] * 100 + [0] * 200 + [100] * 50, 0)
    assert not findings
