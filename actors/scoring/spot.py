"""A threshold for a stream at a wanted risk: SPOT and, for a stream that drifts, DSPOT.

Finds z such that P(X > z) = q although q is far smaller than one over the number of values seen. The excesses over a
high level t follow a generalised Pareto distribution (Pickands, Balkema, de Haan), so

    z = t + sigma / xi * ((q n / N)^-xi - 1)        z = t - sigma ln(q n / N)  for xi = 0

with N of the last n values above t (Siffer, Fouque, Termier, Largouet 2017, "Anomaly Detection in Streams with Extreme
Value Theory", equation 1 and Algorithms 1 to 3). Misses: slow drift (SPOT; DSPOT follows it), and it assumes that the
excesses are not strongly clustered.

Departures from the paper:
  - sigma and xi come from probability-weighted moments (Hosking and Wallis 1987, "Parameter and Quantile Estimation
    for the Generalized Pareto Distribution", section 3), not from Grimshaw's maximum of the likelihood: closed form,
    no root finding that can fail, less variance below about 500 peaks and for |xi| < 0.4, which is where scores lie;
  - a value beyond the threshold is learned too, its excess cut at twice the threshold's: leaving it out (Algorithm 1)
    cuts off the tail that is being estimated, and realised risk was three to four times the requested one; who knows
    that a value is an anomaly does not offer it;
  - only the last `PEAKS` peaks are kept and n counts from the oldest of them, so the memory is bounded and fades;
  - the threshold is computed again after every `REFIT` new peaks, not after each.

State: `PEAKS` floats and as many counts. Cost: one comparison a value; a fit is a sort of the peaks (about 20 us).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

LEVEL = 0.98  # quantile of the first values that becomes the level t (Siffer et al. 2017, section 4.3.2)
PEAKS = 1024
REFIT = 8
MAX_EXCESS = 2.0

Float64 = npt.NDArray[np.float64]


def fit_pareto(mean: float, weighted: float) -> tuple[float, float]:
    """Return (sigma, xi) for the moments E[Y] and E[Y (1 - F(Y))] of the excesses Y.

    xi is kept in [-1, 0.5]: outside, these moments say nothing about it.

    >>> fit_pareto(2.0, 0.5)  # the exponential distribution of mean 2
    (2.0, 0.0)
    """
    spread = mean - 2.0 * weighted
    if mean <= 0.0 or spread <= 1e-12 * mean:
        return max(mean, 0.0), 0.0
    xi = min(max(2.0 - mean / spread, -1.0), 0.5)
    return mean * (1.0 - xi), xi


def quantile_beyond(level: float, sigma: float, xi: float, ratio: float) -> float:
    """Return z where the excess of `level` is exceeded by the share `ratio` = q n / N of the peaks."""
    if abs(xi) < 1e-6:
        return level - sigma * math.log(ratio)
    return level + sigma / xi * (math.exp(-xi * math.log(ratio)) - 1.0)


class Spot:
    """Threshold of a stream at risk q per value, upper side.

    >>> stream = np.random.default_rng(1).exponential(size=20_000)
    >>> spot = Spot(risk=1e-4, calibration=1000)
    >>> _ = spot.learn(stream)
    >>> round(spot.threshold, 1)  # truth: 9.2
    8.7
    """

    def __init__(self, risk: float = 1e-4, calibration: int = 1000) -> None:
        self.risk = risk
        self.calibration = calibration
        self.level = math.nan
        self.threshold = math.nan  # NaN: still calibrating
        self._first: list[float] = []  # at most `calibration`
        self._seen = 0  # values since calibration began
        self._peaks: deque[tuple[int, float]] = deque(maxlen=PEAKS)  # (value of _seen, excess)
        self._origin = 0  # _seen where the kept peaks begin
        self._fresh = 0
        self._shape = (0.0, 0.0)

    def is_calibrated(self) -> bool:
        return not math.isnan(self.threshold)

    def learn(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
        """Learn values in their order and tell which were beyond the threshold as it was then."""
        alarm = np.zeros(len(values), bool)
        start = 0
        if not self.is_calibrated():
            start = min(len(values), self.calibration - len(self._first))
            self._first.extend(values[:start].tolist())
            if len(self._first) >= self.calibration:
                self._calibrate()
        rest = np.asarray(values[start:], np.float64)
        if not len(rest) or not self.is_calibrated():
            return alarm
        begun = self._seen
        for position in np.flatnonzero(rest > self.level).tolist():
            value = float(rest[position])
            alarm[start + position] = value > self.threshold
            self._add_peak(begun + position + 1, min(value - self.level, MAX_EXCESS * (self.threshold - self.level)))
        self._seen = begun + len(rest)
        return alarm

    def at_risk(self, risk: float) -> float:
        """Return the threshold for another risk, from the same peaks. NaN while calibrating."""
        if not self.is_calibrated():
            return math.nan
        share = len(self._peaks) / max(self._seen - self._origin, 1)
        ratio = min(risk / max(share, 1e-9), 1.0)
        return quantile_beyond(self.level, *self._shape, ratio)

    def _calibrate(self) -> None:
        first = np.array(self._first)
        self.level = float(np.quantile(first, LEVEL))
        self._seen = len(first)
        for position in np.flatnonzero(first > self.level).tolist():
            self._peaks.append((position + 1, float(first[position]) - self.level))
        self._first = []
        self._fit()

    def _add_peak(self, seen: int, excess: float) -> None:
        if len(self._peaks) == PEAKS:
            self._origin = self._peaks[0][0]
        self._seen = seen
        self._peaks.append((seen, excess))
        self._fresh += 1
        if self._fresh >= REFIT:
            self._fit()

    def _fit(self) -> None:
        self._fresh = 0
        excess = np.sort(np.array([peak for _, peak in self._peaks] or [0.0]))
        n = len(excess)
        above = (n - np.arange(1, n + 1) + 0.35) / n  # plotting position of Hosking and Wallis 1987, section 3.2
        self._shape = fit_pareto(float(excess.mean()), float((excess * above).mean()))
        self.threshold = self.level  # makes the stream count as calibrated
        self.threshold = self.at_risk(self.risk)

    def snapshot(self) -> dict[str, Any]:
        return {
            "level": self.level,
            "threshold": self.threshold,
            "first": np.array(self._first).tobytes(),
            "seen": self._seen,
            "when": np.array([when for when, _ in self._peaks], np.int64).tobytes(),
            "peaks": np.array([peak for _, peak in self._peaks]).tobytes(),
            "origin": self._origin,
            "fresh": self._fresh,
            "shape": list(self._shape),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.level, self.threshold = state["level"], state["threshold"]
        self._first = np.frombuffer(state["first"]).tolist()
        self._seen, self._origin, self._fresh = state["seen"], state["origin"], state["fresh"]
        when = np.frombuffer(state["when"], np.int64).tolist()
        self._peaks = deque(zip(when, np.frombuffer(state["peaks"]).tolist(), strict=True), maxlen=PEAKS)
        self._shape = (state["shape"][0], state["shape"][1])
