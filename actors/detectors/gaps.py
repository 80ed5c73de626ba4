"""How long a source pauses between events, and how probable a longer pause is (the formula is in holt_winters.py).

State: four numbers a source. Cost: a few vector operations a batch.
"""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np

from actors.detectors.volume import TIME_MAX_NS
from protocol.columns import Int64

MEMORY = 2000.0  # gaps


class Gaps:
    """How long a source pauses between events, by the clock of observation."""

    def __init__(self) -> None:
        self.n = self.mean = self.square = self.greatest = 0.0  # fading sums, seconds
        self.since_ns = 0

    def learn(self, observed_ns: Int64, before_ns: int) -> None:
        first = int(observed_ns[0])
        if not self.since_ns or first < self.since_ns:
            self.since_ns = first
        gaps = np.diff(observed_ns, prepend=before_ns or first) / 1e9
        gaps = np.maximum(gaps, 0.0)
        weight = len(gaps) / (self.n + len(gaps))
        self.mean += weight * (float(gaps.mean()) - self.mean)
        self.square += weight * (float((gaps * gaps).mean()) - self.square)
        self.n = min(self.n + len(gaps), MEMORY)
        self.greatest = max(self.greatest, float(gaps.max()))

    def jump(self, by_ns: int) -> None:
        """Go with a wall clock that was set."""
        if self.since_ns:
            self.since_ns = max(-TIME_MAX_NS, min(self.since_ns + by_ns, TIME_MAX_NS))

    def fade(self, days: float) -> None:
        """Let the greatest gap be forgotten by half in a day."""
        self.greatest *= 0.5**days

    def probability(self, gap_s: float) -> float:
        """Return P(gap > gap_s)."""
        deviation = sqrt(max(self.square - self.mean * self.mean, 0.0))
        scale = max(deviation, self.greatest / log(self.n + 2.0), 0.1 * self.mean, 1e-3)
        return max(exp(-min(max(gap_s - self.mean, 0.0) / scale, 690.0)), 1e-300)
