"""How improbable a raw score is in the recent past of its own source and detector.

Finds p = P(X >= x), so that scores of any scale become comparable; ties count whole, so a discrete score is never made
rarer than it is. Misses what the raw score itself does not order.

    p(x) = mass of the past at or above x / mass of the past                       in the body
    p(x) = max(that, p(u) max(GPD(x - u), 2^-(x - u)))                              beyond the level u

The past is a histogram with bins of a constant ratio (as in DDSketch: Masson, Rim, Lee 2019) whose mass fades with
each event, sooner while it is young: what was new in the first hour is no measure of what is new later. u is the bin
where 2 % of the mass begins; beyond it a generalised Pareto tail (Pickands 1975), fitted on the bins by
probability-weighted moments (Hosking and Wallis 1987), lets p keep falling beyond the greatest score yet seen. xi is
held at or below 0: every raw score here is in bits, a logarithm of improbability, whose natural tail is 2^-x; a
heavier tail shows itself as mass, which the first term counts. For the same reason p never falls faster than 2^-(x -
u): the past may temper what a detector claims and cannot sharpen it. So a channel that never moved claims nothing: its
constant has p = 1, and what rises above it has only its own bits to show.

What is learned counts only after a minute, or once it is half of the past: volume scores of neighbouring events are
almost the same, and a burst that climbs must not be judged by its own first seconds.

State: three times `BINS` floats a channel (12 KiB). Cost: about 0.1 us a value, and 60 us whenever what was delayed is
taken in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from actors.scoring.spot import Float64, fit_pareto

BINS = 520
BINS_PER_OCTAVE = 20  # a bin is 3.5 % wide
LOWEST_OCTAVE = -6  # raw scores below 1/64 share the first bin; the last ends at 2^20
LEVEL_SHARE = 0.02
MEMORY = 50_000.0  # events after which what was learned counts 1/e, at most; while young, a fifth of all events seen
YOUNG_SHARE, YOUNG_LEAST = 0.2, 1000.0
WARM = 400.0  # mass below which a channel has no past to be judged by
DELAY_NS = 60 * 10**9
DELAYED_SHARE = 0.5

_EDGES: Float64 = np.exp2(np.arange(BINS + 1) / BINS_PER_OCTAVE + LOWEST_OCTAVE)
_EDGES[0] = 0.0
_CENTRES: Float64 = (_EDGES[1:] + _EDGES[:-1]) / 2


def _bins(raw: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
    octaves = np.log2(np.maximum(raw, _EDGES[1])) - LOWEST_OCTAVE
    bins: npt.NDArray[np.int64] = np.minimum((octaves * BINS_PER_OCTAVE).astype(np.int64), BINS - 1)
    return bins


class Tail:
    """The recent past of one channel: the values of one detector for one source.

    >>> tail = Tail()
    >>> tail.learn(np.random.default_rng(1).exponential(size=5000) / np.log(2))  # P(X >= x) = 2^-x
    >>> [float(f"{p:.1g}") for p in tail.judge(np.array([0.0, 1.0, 8.0, 30.0]))]
    [1.0, 0.5, 0.005, 9e-10]
    """

    def __init__(self) -> None:
        self._mass: Float64 = np.zeros(BINS)
        self._total = 0.0
        self._delayed: Float64 = np.zeros(BINS)
        self._waiting = 0.0  # mass of `_delayed`
        self._since_ns = 0
        self._seen = 0.0
        self._survival: Float64 = np.ones(BINS)
        self._level = 0.0
        self._level_share = 1.0
        self._sigma, self._xi = 1.0, 0.0

    def is_warm(self) -> bool:
        return self._total >= WARM

    def judge(self, raw: npt.NDArray[np.floating[Any]]) -> Float64:
        """Return p for each raw score, NaN where the score is NaN or the channel is not warm. Learns nothing."""
        n = len(raw)
        if not self.is_warm():
            return np.full(n, np.nan)
        values = np.asarray(raw, np.float64)
        present = values == values
        values = np.where(present, np.maximum(values, 0.0), 0.0)
        p = self._survival[_bins(values)]
        beyond = values > self._level
        if beyond.any():
            p[beyond] = np.maximum(p[beyond], self._extrapolate(values[beyond] - self._level))
        p[~present] = np.nan
        return p

    def learn(self, raw: npt.NDArray[np.floating[Any]], now_ns: int = 0) -> None:
        """Add raw scores to the past; NaN adds nothing. `now_ns`: any clock that runs with the events."""
        values = raw[raw == raw]
        if not len(values):
            return
        if not self._waiting:
            self._since_ns = now_ns
        self._delayed += np.bincount(_bins(values), minlength=BINS)
        self._waiting += len(values)
        due = abs(now_ns - self._since_ns) >= DELAY_NS and self._waiting >= 32
        if due or self._waiting >= DELAYED_SHARE * self._total or self._total < WARM:
            self._take_in()

    def _take_in(self) -> None:
        self._seen += self._waiting
        memory = min(max(YOUNG_SHARE * self._seen, YOUNG_LEAST), MEMORY)
        fading = float(np.exp(-self._waiting / memory))
        self._mass *= fading
        self._mass += self._delayed
        self._total = self._total * fading + self._waiting
        self._delayed[:] = 0
        self._waiting = 0.0
        if self.is_warm():
            self._refresh()

    def _extrapolate(self, excess: Float64) -> Float64:
        if self._xi > -1e-6:
            pareto = np.exp(-excess / self._sigma)
        else:
            pareto = np.maximum(1.0 + self._xi * excess / self._sigma, 0.0) ** (-1.0 / self._xi)
        return self._level_share * np.maximum(pareto, np.exp2(-np.minimum(excess, 1000.0)))

    def _refresh(self) -> None:
        above = np.cumsum(self._mass[::-1])[::-1]
        self._survival = above / above[0]
        level = int(np.searchsorted(-self._survival, -LEVEL_SHARE, side="left"))
        # The first bin whose mass at or above is at most 2 %; without one, the greatest bin that has any mass.
        level = min(level, int(np.flatnonzero(self._mass)[-1]))
        self._level, self._level_share = float(_EDGES[level]), float(self._survival[level])
        mass = self._mass[level:]
        excess = _CENTRES[level:] - self._level
        total = mass.sum()
        rank = (above[level:] - mass / 2) / total
        sigma, xi = fit_pareto(float(mass @ excess / total), float(mass @ (excess * rank) / total))
        self._xi = min(xi, 0.0)
        self._sigma = max(sigma if xi <= 0.0 else float(mass @ excess / total), 1e-9)

    def snapshot(self) -> dict[str, Any]:
        return {
            "mass": self._mass.tobytes(),
            "delayed": self._delayed.tobytes(),
            "survival": self._survival.tobytes(),
            "since_ns": self._since_ns,
            "numbers": [self._seen, self._total, self._waiting, self._level, self._level_share, self._sigma, self._xi],
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._mass = np.frombuffer(state["mass"]).copy()
        self._delayed = np.frombuffer(state["delayed"]).copy()
        self._survival = np.frombuffer(state["survival"]).copy()
        self._since_ns = state["since_ns"]
        if len(self._mass) != BINS or len(self._survival) != BINS:
            raise ValueError(f"a tail has {BINS} bins, this snapshot {len(self._mass)}")
        self._seen, self._total, self._waiting, *fit = state["numbers"]
        self._level, self._level_share, self._sigma, self._xi = fit
