"""Two-sided CUSUM: whether the level of a source's volume has changed.

Finds lasting changes that are too small to stand out in one bucket. Misses what averages out within a minute; silence
is holt_winters.py's. On y = 2 sqrt(c + 3/8) of the count c of each bucket (volume.py), with z = (y - level) / scale in
[-4, 4],

    up = max(0, up + z - k)        down = max(0, down - z - k)        k = 1        (Page 1954)

For normal z, P(statistic > s) falls as e^(-2 k s) (Siegmund 1985, "Sequential Analysis", section 2.6), so s is worth 2
k s / ln 2 bits. A change is reported when these reach `CHANGE_BITS` and exceed what was seen in the last hours; the
statistic is read before it is reset, and the level is learned anew: median and median deviation of the next `RELEARN`
buckets, during which nothing is scored. In between, level and scale follow slowly what is not itself an outlier.

Departures: z is clipped, so that no bucket alone is a change of level (a burst is); up to three empty buckets count,
longer stretches do not.

State: `SOURCES` sources, a dozen numbers and at most `RELEARN` counts each. Cost: about 0.3 us an event.
"""

from __future__ import annotations

from collections import deque
from math import log
from statistics import median
from typing import Any

import numpy as np

from actors.detectors.detector import Detector
from actors.detectors.volume import REWIND_NS, Float64, SourceClock, count_of, noise_scale, stabilise
from actors.recent import Recent, split_by_source
from protocol.clock import NS_PER_S
from protocol.columns import Columns, Int32, Int64, Scores
from protocol.findings import Finding

SOURCES = 256
BUCKET_S = 10
BUCKET_NS = BUCKET_S * NS_PER_S
RELEARN = 24  # four minutes
SLACK = 1.0
CLIP = 4.0
BITS = 2.0 * SLACK / log(2.0)  # that one unit of the statistic is worth
CHANGE_BITS = 32.0
MARGIN = 1.25
PEAK_FADING = 0.5 ** (BUCKET_S / (6 * 3600))
GAIN = 0.02
MAX_EMPTY = 3
LEAST_EVENTS = 200
FINDINGS = 1000


class _Source:
    def __init__(self) -> None:
        self.clock = SourceClock()
        self.bucket = 0
        self.count = 0
        self.empty = 0  # buckets without events, held back until the next event
        self.first: list[float] = []  # at most RELEARN
        self.level = self.deviation = self.up = self.down = self.peak = 0.0
        self.scale = 1.0
        self.events = 0

    def is_warm(self) -> bool:
        return not self.first and self.scale > 0.0 and self.level > 0.0

    def statistic(self) -> float:
        return max(self.up, self.down)

    def take(self, count: int) -> float:
        """Learn one bucket and return the statistic that it led to, before any reset."""
        y = stabilise(count)
        self.events += count
        if not self.is_warm():
            self.first.append(y)
            if len(self.first) >= RELEARN:
                self._settle()
            return 0.0
        z = min(max((y - self.level) / self.scale, -CLIP), CLIP)
        self.up = max(0.0, self.up + z - SLACK)
        self.down = max(0.0, self.down - z - SLACK)
        if abs(z) < CLIP:
            self.level += GAIN * z * self.scale
            self.deviation += GAIN * (abs(z) * self.scale - self.deviation)
            self.scale = noise_scale(self.level, self.deviation)
        return self.statistic()

    def _settle(self) -> None:
        self.level = median(self.first)
        self.deviation = median(abs(y - self.level) for y in self.first) * 1.4826 / 1.25
        self.scale = noise_scale(self.level, self.deviation)
        self.first = []

    def start_over(self) -> None:
        """Forget the level: it has changed."""
        self.level = self.up = self.down = 0.0


class Cusum(Detector):
    """Change of the level of volume of a source."""

    name = "cusum"
    version = 1
    unit = f"events in {BUCKET_S} s"

    def __init__(self) -> None:
        self._sources: Recent[str, _Source] = Recent(SOURCES)
        self._findings: deque[Finding] = deque(maxlen=FINDINGS)

    def score(self, batch: Columns, *, learn: bool = True) -> Scores:
        n = len(batch)
        raw, expected, seen = (np.full(n, np.nan, np.float32) for _ in range(3))
        for name, index in split_by_source(batch):
            times, observed = batch.event_ns[index], batch.observed_ns[index]
            if learn:
                parts = self._learn(name, self._sources.use(name, _Source), times, observed, batch.weight[index])
            elif name in self._sources:
                source = self._sources[name]
                parts = np.repeat(np.array(_reading(source))[:, None], len(times), axis=1)
            else:
                continue
            raw[index], expected[index], seen[index] = parts
        return Scores(raw, expected, seen)

    def _learn(self, name: str, source: _Source, times: Int64, observed: Int64, weights: Int32) -> Float64:
        buckets = source.clock.follow(times, observed) // BUCKET_NS
        if int(buckets[0]) < source.bucket - REWIND_NS // BUCKET_NS or not source.bucket:
            source.bucket, source.count, source.empty = int(buckets[0]), 0, 0  # another stretch of history
        buckets = np.maximum(buckets, source.bucket)
        n = len(buckets)
        parts = np.empty((3, n))
        starts = np.flatnonzero(np.diff(buckets, prepend=buckets[0] - 1)).tolist()
        for start, end in zip(starts, [*starts[1:], n], strict=True):
            self._close_until(name, source, int(buckets[start]))
            parts[:, start:end] = np.array(_reading(source))[:, None]
            source.count += int(weights[start:end].sum())
        return parts

    def _close_until(self, name: str, source: _Source, bucket: int) -> None:
        """Close the buckets before `bucket`."""
        if source.bucket >= bucket:
            return
        if source.count:
            pause = source.empty if source.empty <= MAX_EMPTY else 0  # after too long a one nothing is said of it
            for count in [0] * pause + [source.count]:
                self._take(name, source, count)
            source.count = source.empty = 0
            source.bucket += 1
        passed = bucket - source.bucket
        source.empty = min(source.empty + passed, MAX_EMPTY + 1)
        source.bucket = bucket

    def _take(self, name: str, source: _Source, count: int) -> None:
        expected = count_of(source.level)
        statistic = source.take(count)
        bits = statistic * BITS
        if bits >= CHANGE_BITS and statistic > MARGIN * source.peak and source.events >= LEAST_EVENTS:
            kind = "level_up" if source.up >= source.down else "level_down"
            closed_ns = (source.bucket + 1) * BUCKET_NS
            self._findings.append(
                Finding(self.name, kind, name, 0, closed_ns, 2.0**-bits, expected, float(count), self.unit)
            )
            source.start_over()
        source.peak = max(source.peak * PEAK_FADING, statistic if bits < CHANGE_BITS else source.peak)

    def tick(self, now_ns: int) -> list[Finding]:
        """Close the buckets that time has closed; report the changes since the last tick."""
        for name, source in self._sources.items():
            if source.clock.is_live():
                self._close_until(name, source, source.clock.settled(now_ns) // BUCKET_NS)
        findings = list(self._findings)
        self._findings.clear()
        return findings

    def jump(self, by_ns: int, now_ns: int) -> None:
        """Go with a wall clock that was set: the time that it skipped is no change of level."""
        for source in self._sources.values():
            source.clock.jump(by_ns, now_ns)
            if source.clock.is_live():
                source.bucket += by_ns // BUCKET_NS

    def is_warm(self) -> bool:
        return any(source.is_warm() for source in self._sources.values())

    def statistics(self) -> dict[str, int]:
        warm = sum(source.is_warm() for source in self._sources.values())
        return {"sources": len(self._sources), "sources_max": SOURCES, "sources_warm": warm}

    def snapshot(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "findings": [
                [f.detector, f.kind, f.source, f.template_id, f.event_ns, f.probability, f.expected, f.seen, f.unit]
                for f in self._findings
            ],
            "sources": [
                {
                    "name": name,
                    "clock": s.clock.snapshot(),
                    "whole": [s.bucket, s.count, s.empty, s.events],
                    "first": s.first,
                    "numbers": [s.level, s.deviation, s.up, s.down, s.peak, s.scale],
                }
                for name, s in self._sources.items()
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.check_version(state)
        self._findings = deque((Finding(*finding) for finding in state["findings"]), maxlen=FINDINGS)
        self._sources.clear()
        for saved in state["sources"]:
            s = self._sources[saved["name"]] = _Source()
            s.clock.restore(saved["clock"])
            s.bucket, s.count, s.empty, s.events = saved["whole"]
            s.first = list(saved["first"])
            s.level, s.deviation, s.up, s.down, s.peak, s.scale = saved["numbers"]


def _reading(source: _Source) -> tuple[float, float, float]:
    """Return what the statistic says now: bits, expected and seen count; NaN while the level is being learned."""
    if not source.is_warm():
        return (float("nan"),) * 3
    side = 1.0 if source.up >= source.down else -1.0
    seen = count_of(source.level + side * source.statistic() * source.scale)
    return source.statistic() * BITS, count_of(source.level), seen
