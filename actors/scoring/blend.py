"""One score and one threshold for each event, from the answers of the detectors.

Raw scores become tail probabilities p_k of the source's own past (tail.py). They are combined by the harmonic mean

    p = m / sum(1 / p_k)        over the m detectors present

(Wilson 2019, "The harmonic mean p-value for combining dependent tests", equation 1): it holds for dependent tests,
which detectors that look at the same event are; it is never below the least p_k and never above m times it, so one
sure detector is heard through three that see nothing; Cauchy's combination (Liu, Xie 2020) would let a single p near 1
cancel it. And it is a sum, so each detector's share of the score is its term of that sum, and the shares add up.

    x = -log10 p        score = x / (x + 5)        threshold = the same map of z

z is SPOT's threshold on x (spot.py) at a risk that spends the alert budget: alerts wanted a day over events a day. It
is held between the nominal -log10(risk) and `CEILING`, beyond which anything counts: a past of extremes must not make
a source deaf. Misses: what every detector misses; and a breach for every event of a kind that a source has made
ordinary.

A breach is not learned while the source has allowance left (`ALLOWANCE` events, which comes back slowly), so that a
rare kind stays strange the next time; after that it is learned like any event, so that a source that keeps on becomes
its own new normal. While a source warms up (a tail, then SPOT, filled only with values judged by warm tails) score is
0 and threshold 1.

State: at most `SOURCES` sources, each a tail of 12 KiB per detector and 16 KiB of SPOT; the least recently heard gives
way. Cost: about 1 us an event in batches of 200.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from actors.recent import Index, Recent, split_by_source
from actors.scoring.spot import Float64, Spot
from actors.scoring.tail import Tail
from protocol.columns import Columns, Float32, Scores
from protocol.findings import Part

VERSION = 1
SOURCES = 256
HALF_X = 5.0  # x at which the score is one half: one in 100,000
GREATEST_X = 15.0
CEILING = 7.0
RISKIEST, SAFEST = 1e-5, 1e-6  # bounds of the risk per event that the budget may ask for
CALIBRATION = 500
ALLOWANCE = 4.0
RETURNED_PER_EVENT = 1.0 / 25_000.0
RETURNED_PER_NS = 1.0 / (4 * 3600 * 1e9)
DAY_NS = 86_400 * 10**9
RATE_MEMORY_NS = 3600 * 10**9

Bool = npt.NDArray[np.bool_]


def score_of(x: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """Map -log10 p to [0, 1): the one map of scores and thresholds."""
    return x / (x + HALF_X)


class _Source:
    """The state of one source."""

    def __init__(self) -> None:
        self.tails: dict[str, Tail] = {}
        self.spot = Spot(SAFEST, CALIBRATION)
        self.allowance = ALLOWANCE
        self.first_ns = 0
        self.last_ns = 0  # greatest observed time
        self.rate = 0.0  # events in the fading memory of RATE_MEMORY_NS

    def watch_clock(self, observed_ns: int, n: int) -> None:
        """Follow how many events a day the source has, by the clock of observation."""
        if not self.last_ns:
            self.first_ns = self.last_ns = observed_ns
        passed = max(observed_ns - self.last_ns, 0)
        self.last_ns = max(observed_ns, self.last_ns)
        self.rate = self.rate * math.exp(-passed / RATE_MEMORY_NS) + n
        self.allowance = min(self.allowance + n * RETURNED_PER_EVENT + passed * RETURNED_PER_NS, ALLOWANCE)

    def events_per_day(self) -> float:
        seen_ns = min(max(self.last_ns - self.first_ns, 60 * 10**9), RATE_MEMORY_NS)
        return self.rate / seen_ns * DAY_NS

    def threshold(self, alerts_per_day: float) -> float:
        """Return z on the scale of x, infinite while warming up."""
        if not self.spot.is_calibrated():
            return math.inf
        risk = min(max(alerts_per_day / max(self.events_per_day(), 1.0), SAFEST), RISKIEST)
        return min(max(self.spot.at_risk(risk), -math.log10(risk)), CEILING)


class Blended(msgspec.Struct, frozen=True):
    """The scores of a batch of n events, and their parts."""

    score: Float32  # (n,) in [0, 1]
    threshold: Float32  # (n,) in [0, 1]; 1: warming up
    breach: Bool  # (n,)
    p: Float32  # (n,) blended tail probability
    detectors: tuple[str, ...]
    p_values: Float32  # (detectors, n), NaN: absent
    scores: tuple[Scores, ...]  # of the detectors
    units: tuple[str, ...]

    def explain(self, i: int) -> list[Part]:
        """Return each present detector's share in the score of event i; the shares add up to the score."""
        terms = [(k, float(p)) for k, p in enumerate(self.p_values[:, i].tolist()) if p == p]
        total = sum(1.0 / p for _, p in terms)
        score = float(self.score[i])
        parts = [
            Part(
                detector=self.detectors[k],
                probability=p,
                share=score / p / total,
                expected=float(self.scores[k].expected[i]),
                seen=float(self.scores[k].seen[i]),
                unit=self.units[k],
            )
            for k, p in terms
        ]
        return sorted(parts, key=lambda part: -part.share)

    def cut(self, start: int, end: int) -> Blended:
        """Return the same of the events from `start` to before `end`."""
        return Blended(
            self.score[start:end],
            self.threshold[start:end],
            self.breach[start:end],
            self.p[start:end],
            self.detectors,
            self.p_values[:, start:end],
            tuple(each.cut(start, end) for each in self.scores),
            self.units,
        )


class Blender:
    """Blends the detectors that are present. Keyed by source, bounded, pure."""

    def __init__(
        self, *, alerts_per_day: float = 2.0, units: Mapping[str, str] | None = None, sources: int = SOURCES
    ) -> None:
        self.alerts_per_day = alerts_per_day
        self.units = dict(units or {})
        self._sources: Recent[str, _Source] = Recent(sources)

    def blend(self, columns: Columns, scores: Mapping[str, Scores], *, learn: bool = True) -> Blended:
        """Judge each event against the past before this batch, then learn the batch (unless it was learned already).

        `scores` has the detectors that answered in time; one that is missing is left out of this batch.
        """
        n = len(columns)
        names = tuple(scores)
        p_values = np.full((len(names), n), np.nan)
        x = np.zeros(n)
        limit = np.full(n, np.inf)
        breach = np.zeros(n, bool)
        raw = [scores[name].raw for name in names]
        for source, index in split_by_source(columns):
            own = [column[index] for column in raw]
            if learn:
                state = self._sources.use(source, _Source)
            elif source in self._sources:
                state = self._sources[source]
            else:
                continue
            for k, name in enumerate(names):
                if name in state.tails:
                    p_values[k, index] = state.tails[name].judge(own[k])
            x[index] = _combine(p_values[:, index])
            limit[index] = z = state.threshold(self.alerts_per_day)
            breach[index] = x[index] > z
            if learn:
                _learn(state, names, own, x[index], breach[index], int(columns.observed_ns[index].max()))
        warm = np.isfinite(limit)
        bounded = np.where(warm, limit, 1.0)
        return Blended(
            score=np.where(warm, score_of(x), 0.0).astype(np.float32),
            threshold=np.where(warm, score_of(bounded), 1.0).astype(np.float32),
            breach=breach,
            p=np.power(10.0, -x).astype(np.float32),
            detectors=names,
            p_values=np.maximum(p_values, 1e-30).astype(np.float32),
            scores=tuple(scores.values()),
            units=tuple(self.units.get(name, "") for name in names),
        )

    def statistics(self) -> dict[str, int]:
        """Return how many sources are held, and how many of them are warm."""
        warm = sum(source.spot.is_calibrated() for source in self._sources.values())
        return {"sources": len(self._sources), "sources_max": self._sources.limit, "sources_warm": warm}

    def snapshot(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "sources": [
                {
                    "name": name,
                    "tails": {detector: tail.snapshot() for detector, tail in source.tails.items()},
                    "spot": source.spot.snapshot(),
                    "numbers": [source.allowance, source.first_ns, source.last_ns, source.rate],
                }
                for name, source in self._sources.items()
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of `snapshot`. Raises ValueError if it is of another version."""
        if state.get("version") != VERSION:
            raise ValueError(f"blend: snapshot of version {state.get('version')}, this is {VERSION}")
        self._sources.clear()
        for saved in state["sources"]:
            source = self._sources[saved["name"]] = _Source()
            source.spot.restore(saved["spot"])
            source.allowance, source.first_ns, source.last_ns, source.rate = saved["numbers"]
            for detector, tail in saved["tails"].items():
                source.tails[detector] = Tail()
                source.tails[detector].restore(tail)


def _combine(p_values: Float64) -> Float64:
    """Return x = -log10 of the harmonic mean of the present p-values; 0 where none is present."""
    present = ~np.isnan(p_values)
    inverse = np.where(present, 1.0 / np.maximum(p_values, 1e-30), 0.0).sum(axis=0)
    m = present.sum(axis=0)
    ratio = np.where(m > 0, inverse / np.maximum(m, 1), 1.0)
    return np.minimum(np.log10(np.maximum(ratio, 1.0)), GREATEST_X)


def _learn(
    state: _Source, names: Sequence[str], raw: Sequence[Float32], x: Float64, breach: Bool, observed_ns: int
) -> None:
    """Learn a batch of one source, its breaches left out as far as the allowance goes."""
    state.watch_clock(observed_ns, len(x))
    ordinary = np.ones(len(x), bool)
    excused = np.flatnonzero(breach)[: int(state.allowance)]
    ordinary[excused] = False
    state.allowance -= len(excused)
    # SPOT is fed only where a warm tail has spoken: what a warming detector says is no past to be judged by.
    if any(name in state.tails and state.tails[name].is_warm() for name in names):
        state.spot.learn(x[ordinary])
    for name, column in zip(names, raw, strict=True):
        tail = state.tails.get(name)
        if tail is None:
            tail = state.tails[name] = Tail()
        tail.learn(column[ordinary], observed_ns)


__all__ = ["Blended", "Blender", "Index", "score_of"]
