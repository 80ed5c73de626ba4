"""Seasonal volume: how many events a source and its frequent templates should have now, and whether it still speaks.

Finds bursts, inside their bucket and at its end, and silence. Misses slow growth (the level follows; cusum.py) and the
order of events.

On y = 2 sqrt(c + 3/8) of the count c of each bucket (volume.py), additive with a damped trend:

    forecast = level + 0.9 trend + season[time of day]
    level  = forecast without season + a r      trend = 0.9 trend + b r      season += g r        r = y - forecast
    z = (y(count so far) - forecast) / scale    raw = -log2 Q(z), the greatest of source and template       in bits

(Holt 1957; Winters 1960, "Forecasting Sales by Exponentially Weighted Moving Averages", section 3; damping: Gardner
and McKenzie 1985.) Departures: counts are stabilised first, so that additive fits; r is clipped at 3 scales before
anything is learnt of it, so that a burst does not become the level (a lasting change does after `RELEARN` buckets);
scale is 1.25 times the mean |r|, at least the Poisson noise and a tenth of the count; the season has 96 quarter hours
of a day, is learnt aside for a day, and before that the method is double exponential; a template has no season of its
own and is raised by its source's. A template's bits are lowered by log2 of how many templates are followed, since each
is a chance to be wrong.

Silence is judged by the source's own gaps, as they were observed: exponential tail beyond the mean gap, of the scale s
= max(deviation, greatest gap / ln n), so P(gap > g) = exp(-(g - mean) / s). It is reported once, when P < 1e-9, no
sooner than after four minutes, where the forecast expects at least ten events; and again only after the source spoke.
Time in which nobody watched (no tick and no event for two minutes) is nobody's silence.

State: `SOURCES` sources of `TEMPLATES` templates (the least recently seen gives way), a dozen numbers each; 96 slots a
source. Cost: about 1.5 us an event.
"""

from __future__ import annotations

from collections import deque
from math import exp, log, sqrt
from statistics import median
from typing import Any

import numpy as np

from actors.detectors.detector import Detector
from actors.detectors.volume import REWIND_NS, Float64, SourceClock, bits_beyond, count_of, noise_scale, stabilise
from actors.recent import Recent, split_by_source
from protocol.clock import NS_PER_S
from protocol.columns import Columns, Int64, Scores
from protocol.findings import Finding

SOURCES = 256
TEMPLATES = 32
BUCKET_S = 15
BUCKET_NS = BUCKET_S * NS_PER_S
WARM_BUCKETS = 16
SETTLE = 9  # buckets that the first level is taken from
MOST_EMPTY = 40  # buckets without an event that are closed one by one; beyond them the series waits for the next event
LEVEL_GAIN, TREND_GAIN, SEASON_GAIN, SCALE_GAIN = 0.08, 0.01, 0.005, 0.03
DAMPING = 0.9
CLIP = 3.0
RELEARN = 20  # clipped buckets in a row, five minutes, after which the level jumps
PEAK_FADING = 0.5 ** (BUCKET_S / (6 * 3600))  # a burst of six hours ago is remembered at half its size
SLOTS = 96
DAY_BUCKETS = 86_400 // BUCKET_S

BURST_BITS = 30.0
BURST_MARGIN = 1.25  # a burst exceeds what was seen in the last hours by this
BURST_EVENTS = 200  # a source with fewer events in all has no volume to speak of
SILENCE_PROBABILITY = 1e-9
SILENCE_LEAST_NS = 240 * NS_PER_S
SILENCE_EXPECTED = 10.0
SILENCE_GAPS = 50
SILENCE_HISTORY_NS = 240 * NS_PER_S
GAP_MEMORY = 2000.0
UNWATCHED_NS = 120 * NS_PER_S
FINDINGS = 1000


class _Season:
    """Offsets of the quarter hours of a day, learnt aside until a day is full."""

    def __init__(self) -> None:
        self.offsets = [0.0] * SLOTS
        self.seen = [0] * SLOTS
        self.on = False

    def learn_aside(self, slot: int, y: float) -> None:
        self.seen[slot] += 1
        self.offsets[slot] += (y - self.offsets[slot]) / self.seen[slot]

    def is_full(self) -> bool:
        return sum(self.seen) >= DAY_BUCKETS * 0.95 and sum(n > 0 for n in self.seen) >= SLOTS - 4

    def begin(self) -> None:
        """Turn the means of the slots into offsets that add up to zero."""
        known = [offset for offset, n in zip(self.offsets, self.seen, strict=True) if n]
        mean = sum(known) / len(known)
        self.offsets = [offset - mean if n else 0.0 for offset, n in zip(self.offsets, self.seen, strict=True)]
        self.on = True


class _Series:
    """One count per bucket, and its forecast."""

    __slots__ = (
        "bucket",
        "count",
        "deviation",
        "events",
        "first",
        "level",
        "lift",
        "n",
        "outliers",
        "peak",
        "scale",
        "season",
        "trend",
    )

    def __init__(self, bucket: int, season: _Season | None = None) -> None:
        self.bucket = bucket  # the open one
        self.count = 0
        self.n = 0  # buckets closed
        self.events = 0
        self.first: list[float] = []  # at most SETTLE, before there is a level
        self.level = self.trend = self.deviation = 0.0
        self.scale = 1.0
        self.outliers = 0  # clipped in a row, signed
        self.peak = 0.0  # greatest z of the last hours, fading
        self.lift = 1.0  # a template has its source's season: its forecast is raised by this
        self.season = season

    def forecast(self) -> float:
        """Return the forecast of the open bucket on the stabilised scale."""
        season = self.season
        offset = season.offsets[self.bucket * BUCKET_S % 86_400 // 900] if season is not None and season.on else 0.0
        return (self.level + DAMPING * self.trend + offset) * self.lift

    def seasonal_lift(self) -> float:
        """Return how much more than its level this series expects of the open bucket, at least 1."""
        return max(self.forecast() / self.level, 1.0) if self.season and self.season.on and self.level > 0.0 else 1.0

    def close(self) -> float:
        """Close the open bucket, learn it, open the next; return z of what was closed (0 while warming up)."""
        y, forecast = stabilise(self.count), self.forecast()
        residual = y - forecast
        z = residual / self.scale if self.n >= WARM_BUCKETS else 0.0
        if self.n < SETTLE:
            self._settle(y)
        else:
            self._learn(residual)
        season = self.season
        if season is not None:
            slot = self.bucket * BUCKET_S % 86_400 // 900
            if season.on:
                season.offsets[slot] += SEASON_GAIN * min(max(residual, -CLIP * self.scale), CLIP * self.scale)
            else:
                season.learn_aside(slot, y)
                if season.is_full():
                    season.begin()
                    self.level -= season.offsets[slot]
        self.n += 1
        self.events += self.count
        self.count = 0
        self.bucket += 1
        self.peak = max(self.peak * PEAK_FADING, z)
        return z

    def _settle(self, y: float) -> None:
        """Take level and scale from the median of the first buckets, the very first left out: it was not whole."""
        self.first.append(y)
        if self.n + 1 == SETTLE:
            whole = self.first[1:]
            self.level = median(whole)
            self.deviation = median(abs(y - self.level) for y in whole) * 1.4826 / 1.25
            self.scale = noise_scale(self.level, self.deviation)
            self.first = []

    def _learn(self, residual: float) -> None:
        edge, gain = CLIP * self.scale, LEVEL_GAIN
        clipped = min(max(residual, -edge), edge)
        side = (residual > edge) - (residual < -edge)
        self.outliers = self.outliers + side if side and self.outliers * side >= 0 else side
        if abs(self.outliers) >= RELEARN:
            clipped, gain = residual, 0.5
        trend = DAMPING * self.trend
        self.level += trend + gain * clipped
        self.trend = trend + TREND_GAIN * min(max(clipped, -edge), edge)
        self.deviation += SCALE_GAIN * (min(abs(clipped), edge) - self.deviation)
        self.scale = noise_scale(self.level, self.deviation)

    def skip_to(self, bucket: int) -> None:
        """Close buckets up to, not including, `bucket`; a stretch too long to be told from absence is left out."""
        if bucket - self.bucket > MOST_EMPTY:
            self.close()
            self.bucket = bucket
        while self.bucket < bucket:
            self.close()

    def snapshot(self) -> list[Any]:
        season = self.season
        numbers = [getattr(self, name) for name in self.__slots__ if name != "season"]
        return [numbers, None if season is None else [season.offsets, season.seen, season.on]]

    @classmethod
    def restored(cls, state: list[Any]) -> _Series:
        series = cls(0)
        for name, number in zip([name for name in cls.__slots__ if name != "season"], state[0], strict=True):
            setattr(series, name, number)
        if state[1] is not None:
            series.season = _Season()
            series.season.offsets, series.season.seen, series.season.on = state[1]
        return series


class _Gaps:
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
        self.n = min(self.n + len(gaps), GAP_MEMORY)
        self.greatest = max(self.greatest, float(gaps.max()))

    def fade(self) -> None:
        """Let the greatest gap be forgotten by half in a day; called once a bucket."""
        self.greatest *= 0.5 ** (1.0 / DAY_BUCKETS)

    def probability(self, gap_s: float) -> float:
        """Return P(gap > gap_s)."""
        deviation = sqrt(max(self.square - self.mean * self.mean, 0.0))
        scale = max(deviation, self.greatest / log(self.n + 2.0), 0.1 * self.mean, 1e-3)
        return max(exp(-min(max(gap_s - self.mean, 0.0) / scale, 690.0)), 1e-300)


class _Source:
    def __init__(self) -> None:
        self.clock = SourceClock()
        self.gaps = _Gaps()
        self.series = _Series(0, _Season())
        self.templates: Recent[int, _Series] = Recent(TEMPLATES)
        self.watched_ns = 0  # silence is counted from here on
        self.silent = False  # has been reported


class HoltWinters(Detector):
    """Counts beyond the forecast, per source and template, and silence."""

    name = "holt_winters"
    version = 1
    unit = f"events in {BUCKET_S} s"

    def __init__(self) -> None:
        self._sources: Recent[str, _Source] = Recent(SOURCES)
        self._findings: deque[Finding] = deque(maxlen=FINDINGS)
        self._watched_ns = 0  # last tick or observation

    def score(self, batch: Columns, *, learn: bool = True) -> Scores:
        n = len(batch)
        raw, expected, seen = (np.full(n, np.nan, np.float32) for _ in range(3))
        for name, index in split_by_source(batch):
            times, observed = batch.event_ns[index], batch.observed_ns[index]
            templates = batch.template_id[index].tolist()
            if learn:
                source = self._sources.use(name, _Source)
                parts = self._learn(name, source, times, observed, templates)
            elif name in self._sources:
                parts = self._judge(self._sources[name], times)
            else:
                continue
            raw[index], expected[index], seen[index] = parts
        if learn and n:
            self._watched_ns = int(batch.observed_ns[-1])
        return Scores(raw, expected, seen)

    def _learn(
        self, name: str, source: _Source, times: Int64, observed: Int64, templates: list[int]
    ) -> tuple[Float64, Float64, Float64]:
        """Count the events into their buckets and say how far each one's bucket is beyond its forecast by then."""
        source.gaps.learn(observed, max(source.clock.observed_ns, source.watched_ns) if source.clock.observed_ns else 0)
        source.silent = False
        buckets = source.clock.follow(times, observed) // BUCKET_NS
        series = source.series
        if int(buckets[0]) < series.bucket - REWIND_NS // BUCKET_NS or not series.bucket:
            series.bucket, series.count = int(buckets[0]), 0  # another stretch of history
            source.templates.clear()
        buckets = np.maximum(buckets, series.bucket)
        n = len(buckets)
        forecast, scale = np.full(n, np.nan), np.ones(n)
        count = np.empty(n)
        beyond: list[tuple[int, float, float, float]] = []  # of templates: event, bits, expected, seen
        starts = np.flatnonzero(np.diff(buckets, prepend=buckets[0] - 1)).tolist()
        for start, end in zip(starts, [*starts[1:], n], strict=True):
            self._close_until(name, source, int(buckets[start]))
            if series.n >= WARM_BUCKETS:
                forecast[start:end], scale[start:end] = series.forecast(), series.scale
            count[start:end] = np.arange(series.count + 1, series.count + 1 + end - start)
            series.count += end - start
            beyond += self._count_templates(source, templates, start, end)
        bits = bits_beyond((2.0 * np.sqrt(count + 0.375) - forecast) / scale)
        bits[np.isnan(forecast)] = np.nan
        expected = np.maximum(forecast * np.abs(forecast) / 4.0 - 0.375, 0.0)
        for i, *of_template in beyond:
            if of_template[0] > bits[i]:
                bits[i], expected[i], count[i] = of_template
        return bits, expected, count

    def _count_templates(
        self, source: _Source, templates: list[int], start: int, end: int
    ) -> list[tuple[int, float, float, float]]:
        """Count events into their templates; return events, bits, expected and seen where a forecast is exceeded."""
        bucket, followed = source.series.bucket, source.templates
        beyond: list[tuple[int, float, float, float]] = []
        lift = source.series.seasonal_lift()
        for i in range(start, end):
            template = templates[i]
            series = followed.get(template)
            if series is None:
                series = followed.use(template, lambda: _Series(bucket))
            elif series.bucket < bucket:
                followed.move_to_end(template)
                series.skip_to(bucket)
            series.count += 1
            series.lift = lift
            # Below two scales or five events nothing is worth the logarithm.
            if series.n >= WARM_BUCKETS and series.count > 4:
                forecast = series.forecast()
                z = (stabilise(series.count) - forecast) / series.scale
                if z > 2.0:
                    beyond.append((i, z, count_of(forecast), series.count))
        if not beyond:
            return beyond
        # Each template is a chance to be wrong (Bonferroni).
        bits = bits_beyond(np.array([z for _, z, _, _ in beyond])) - np.log2(len(followed))
        return [(i, b, *amounts) for b, (i, _, *amounts) in zip(bits.tolist(), beyond, strict=True)]

    def _judge(self, source: _Source, times: Int64) -> tuple[Float64, Float64, Float64]:
        """Score events that were counted before, against the open bucket; those of closed buckets are absent."""
        series = source.series
        current = (times // BUCKET_NS >= series.bucket) & (series.n >= WARM_BUCKETS)
        forecast = np.where(current, series.forecast(), np.nan)
        count = np.full(len(times), float(series.count))
        bits = bits_beyond((stabilise(series.count) - forecast) / series.scale)
        bits[~current] = np.nan
        return bits, np.maximum(forecast * np.abs(forecast) / 4.0 - 0.375, 0.0), count

    def _close_until(self, name: str, source: _Source, bucket: int) -> None:
        """Close the buckets before `bucket`, and report a burst in one that is closed."""
        series = source.series
        if bucket - series.bucket > MOST_EMPTY:
            self._close(name, source)
            series.bucket = bucket
        while series.bucket < bucket:
            self._close(name, source)

    def _close(self, name: str, source: _Source) -> None:
        bucket = source.series.bucket
        self._close_series(name, source.series, 0, 0.0)
        chances = float(np.log2(max(len(source.templates), 1)))
        for template, series in source.templates.items():
            if series.bucket == bucket and series.count:
                self._close_series(name, series, template, chances)
        source.gaps.fade()

    def _close_series(self, name: str, series: _Series, template: int, chances: float) -> None:
        count, expected, peak = series.count, count_of(series.forecast()), series.peak
        closed_ns = (series.bucket + 1) * BUCKET_NS
        z = series.close()
        bits = float(bits_beyond(np.array([z]))[0]) - chances
        if bits >= BURST_BITS and z > BURST_MARGIN * peak and series.events >= BURST_EVENTS:
            self._findings.append(
                Finding(self.name, "burst", name, template, closed_ns, 2.0**-bits, expected, count, self.unit)
            )

    def tick(self, now_ns: int) -> list[Finding]:
        """Close the buckets that time has closed; report bursts and silences since the last tick."""
        unwatched = now_ns - self._watched_ns > UNWATCHED_NS
        self._watched_ns = now_ns
        for name, source in self._sources.items():
            if unwatched:
                source.watched_ns = now_ns
            if not source.clock.is_live():
                continue
            quiet_ns = now_ns - max(source.clock.observed_ns, source.watched_ns)
            self._pass_time(name, source, source.clock.settled(now_ns) // BUCKET_NS)
            self._hear_silence(name, source, now_ns, quiet_ns)
        findings = list(self._findings)
        self._findings.clear()
        return findings

    def _pass_time(self, name: str, source: _Source, bucket: int) -> None:
        """Close what time has closed. Empty buckets of a source that speaks in each are silence, not a new level."""
        series = source.series
        if series.count and series.bucket < bucket:
            self._close(name, source)
        if count_of(series.level) < 1.0:
            self._close_until(name, source, bucket)
        series.bucket = max(series.bucket, bucket)

    def _hear_silence(self, name: str, source: _Source, now_ns: int, quiet_ns: int) -> None:
        gaps = source.gaps
        if source.silent or quiet_ns < SILENCE_LEAST_NS or gaps.n < SILENCE_GAPS:
            return
        if source.clock.observed_ns - gaps.since_ns < SILENCE_HISTORY_NS:
            return
        expected = count_of(source.series.forecast()) * quiet_ns / BUCKET_NS
        probability = gaps.probability(quiet_ns / 1e9)
        if expected < SILENCE_EXPECTED or probability > SILENCE_PROBABILITY:
            return
        source.silent = True
        unit = f"events in {max(1, round(quiet_ns / 60e9))} min"
        self._findings.append(
            Finding(self.name, "silence", name, 0, source.clock.at(now_ns), probability, expected, 0.0, unit)
        )

    def is_warm(self) -> bool:
        return any(source.series.n >= WARM_BUCKETS for source in self._sources.values())

    def statistics(self) -> dict[str, int]:
        return {
            "sources": len(self._sources),
            "sources_max": SOURCES,
            "templates": sum(len(source.templates) for source in self._sources.values()),
            "silent": sum(source.silent for source in self._sources.values()),
        }

    def snapshot(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "watched_ns": self._watched_ns,
            "findings": [
                [f.detector, f.kind, f.source, f.template_id, f.event_ns, f.probability, f.expected, f.seen, f.unit]
                for f in self._findings
            ],
            "sources": [
                {
                    "name": name,
                    "clock": s.clock.snapshot(),
                    "gaps": [s.gaps.n, s.gaps.mean, s.gaps.square, s.gaps.greatest, s.gaps.since_ns],
                    "series": s.series.snapshot(),
                    "templates": [[template, series.snapshot()] for template, series in s.templates.items()],
                    "watched_ns": s.watched_ns,
                    "silent": s.silent,
                }
                for name, s in self._sources.items()
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.check_version(state)
        self._watched_ns = state["watched_ns"]
        self._findings = deque((Finding(*finding) for finding in state["findings"]), maxlen=FINDINGS)
        self._sources.clear()
        for saved in state["sources"]:
            source = self._sources[saved["name"]] = _Source()
            source.clock.restore(saved["clock"])
            gaps = source.gaps
            gaps.n, gaps.mean, gaps.square, gaps.greatest, gaps.since_ns = saved["gaps"]
            source.series = _Series.restored(saved["series"])
            for template, series in saved["templates"]:
                source.templates[template] = _Series.restored(series)
            source.watched_ns, source.silent = saved["watched_ns"], saved["silent"]
