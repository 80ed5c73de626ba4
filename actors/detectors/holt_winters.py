"""Seasonal volume: how many events a source and its frequent templates should have now, and whether it still speaks.

Finds bursts, inside their bucket and at its end, and silence. Misses slow growth (the level follows; cusum.py) and the
order of events.

On y = 2 sqrt(c + 3/8) of the count c of each bucket (volume.py), additive with a damped trend:

    forecast = level + 0.9 trend + season[time of day]
    level  = forecast without season + a r      trend = 0.9 trend + b r      season += g r        r = y - forecast
    z = (y(count so far) - forecast) / scale    raw = -log2 Q(z), the greatest of source and template       in bits

(Holt 1957; Winters 1960, "Forecasting Sales by Exponentially Weighted Moving Averages", section 3; damping: Gardner
and McKenzie 1985.) Departures: counts are stabilised first, so that additive fits; r is clipped at 3 scales before
anything is learned of it, so that a burst does not become the level (a lasting change does after `RELEARN` buckets);
scale is 1.25 times the mean |r|, at least the Poisson noise and a tenth of the count; the season has 96 quarter hours
of a day, is learned aside for a day, and before that the method is double exponential; a template has no season of its
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
from typing import Any

import numpy as np

from actors.detectors.detector import Detector
from actors.detectors.gaps import Gaps
from actors.detectors.series import BUCKET_S, DAY_BUCKETS, MAX_EMPTY, WARM_BUCKETS, Season, Series
from actors.detectors.volume import REWIND_NS, Float64, SourceClock, bits_beyond, count_of, stabilise
from actors.recent import Recent, split_by_source
from protocol.clock import NS_PER_S
from protocol.columns import Columns, Int32, Int64, Scores
from protocol.findings import Finding

SOURCES = 256
TEMPLATES = 32
BUCKET_NS = BUCKET_S * NS_PER_S
BURST_BITS = 30.0
BURST_MARGIN = 1.25  # a burst exceeds what was seen in the last hours by this
BURST_EVENTS = 200  # a source with fewer events in all has no volume to speak of
SILENCE_PROBABILITY = 1e-9
SILENCE_LEAST_NS = 240 * NS_PER_S
SILENCE_EXPECTED = 10.0
SILENCE_GAPS = 50
SILENCE_HISTORY_NS = 240 * NS_PER_S
UNWATCHED_NS = 120 * NS_PER_S
FINDINGS = 1000


class _Source:
    def __init__(self) -> None:
        self.clock = SourceClock()
        self.gaps = Gaps()
        self.series = Series(0, Season())
        self.templates: Recent[int, Series] = Recent(TEMPLATES)
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
            templates, weights = batch.template_id[index].tolist(), batch.weight[index]
            if learn:
                source = self._sources.use(name, _Source)
                parts = self._learn(name, source, times, observed, templates, weights)
            elif name in self._sources:
                parts = self._judge(self._sources[name], times)
            else:
                continue
            raw[index], expected[index], seen[index] = parts
        if learn and n:
            self._watched_ns = int(batch.observed_ns[-1])
        return Scores(raw, expected, seen)

    def _learn(
        self, name: str, source: _Source, times: Int64, observed: Int64, templates: list[int], weights: Int32
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
        each_weight = weights.tolist()
        starts = np.flatnonzero(np.diff(buckets, prepend=buckets[0] - 1)).tolist()
        for start, end in zip(starts, [*starts[1:], n], strict=True):
            self._close_until(name, source, int(buckets[start]))
            if series.n >= WARM_BUCKETS:
                forecast[start:end], scale[start:end] = series.forecast(), series.scale
            count[start:end] = series.count + np.cumsum(weights[start:end])
            series.count = int(count[end - 1])
            beyond += self._count_templates(source, templates, each_weight, start, end)
        bits = bits_beyond((2.0 * np.sqrt(count + 0.375) - forecast) / scale)
        bits[np.isnan(forecast)] = np.nan
        expected = np.maximum(forecast * np.abs(forecast) / 4.0 - 0.375, 0.0)
        for i, *of_template in beyond:
            if of_template[0] > bits[i]:
                bits[i], expected[i], count[i] = of_template
        return bits, expected, count

    def _count_templates(
        self, source: _Source, templates: list[int], weights: list[int], start: int, end: int
    ) -> list[tuple[int, float, float, float]]:
        """Count events into their templates; return events, bits, expected and seen where a forecast is exceeded."""
        bucket, followed = source.series.bucket, source.templates
        beyond: list[tuple[int, float, float, float]] = []
        lift = source.series.seasonal_lift()
        for i in range(start, end):
            template = templates[i]
            series = followed.get(template)
            if series is None:
                series = followed.use(template, lambda: Series(bucket))
            elif series.bucket < bucket:
                followed.move_to_end(template)
                series.skip_to(bucket)
            series.count += weights[i]
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
        if bucket - series.bucket > MAX_EMPTY:
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
        source.gaps.fade(1.0 / DAY_BUCKETS)

    def _close_series(self, name: str, series: Series, template: int, chances: float) -> None:
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
        unwatched = abs(now_ns - self._watched_ns) > UNWATCHED_NS
        self._watched_ns = now_ns
        for name, source in self._sources.items():
            if unwatched:
                source.watched_ns = now_ns
                ahead_ns = max(0, source.clock.observed_ns - now_ns)  # the clock was set while nobody watched
                source.clock.observed_ns -= ahead_ns
                source.gaps.jump(-ahead_ns)
            if not source.clock.is_live():
                continue
            quiet_ns = now_ns - max(source.clock.observed_ns, source.watched_ns)
            self._pass_time(name, source, source.clock.settled(now_ns) // BUCKET_NS)
            self._hear_silence(name, source, now_ns, quiet_ns)
        findings = list(self._findings)
        self._findings.clear()
        return findings

    def jump(self, by_ns: int, now_ns: int) -> None:
        """Go with a wall clock that was set: what it skipped was nobody's silence, and what it repeats is no burst."""
        self._watched_ns = min(self._watched_ns + by_ns, now_ns)
        for source in self._sources.values():
            source.clock.jump(by_ns, now_ns)
            source.gaps.jump(by_ns)
            source.watched_ns = min(source.watched_ns + by_ns, now_ns) if source.watched_ns else 0
            if source.clock.is_live():
                for series in (source.series, *source.templates.values()):
                    series.bucket += by_ns // BUCKET_NS

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
            source.series = Series.restored(saved["series"])
            for template, series in saved["templates"]:
                source.templates[template] = Series.restored(series)
            source.watched_ns, source.silent = saved["watched_ns"], saved["silent"]
