"""One count a bucket and its forecast: additive Holt-Winters with a damped trend (the formulas are in holt_winters.py).

State: a dozen numbers a series, and for a season 96 slots. Cost: constant for each bucket closed, none for an event.
"""

from __future__ import annotations

from statistics import median
from typing import Any

from actors.detectors.volume import noise_scale, stabilise

BUCKET_S = 15
WARM_BUCKETS = 16
SETTLE = 9  # buckets that the first level is taken from
MAX_EMPTY = 40  # buckets without an event that are closed one by one; beyond them the series waits for the next event
LEVEL_GAIN, TREND_GAIN, SEASON_GAIN, SCALE_GAIN = 0.08, 0.01, 0.005, 0.03
DAMPING = 0.9
CLIP = 3.0
RELEARN = 20  # clipped buckets in a row, five minutes, after which the level jumps
PEAK_FADING = 0.5 ** (BUCKET_S / (6 * 3600))  # a burst of six hours ago is remembered at half its size
SLOTS = 96
DAY_BUCKETS = 86_400 // BUCKET_S


class Season:
    """Offsets of the quarter hours of a day, learned aside until a day is full."""

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


class Series:
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

    def __init__(self, bucket: int, season: Season | None = None) -> None:
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
        if bucket - self.bucket > MAX_EMPTY:
            self.close()
            self.bucket = bucket
        while self.bucket < bucket:
            self.close()

    def snapshot(self) -> list[Any]:
        season = self.season
        numbers = [getattr(self, name) for name in self.__slots__ if name != "season"]
        return [numbers, None if season is None else [season.offsets, season.seen, season.on]]

    @classmethod
    def restored(cls, state: list[Any]) -> Series:
        series = cls(0)
        for name, number in zip([name for name in cls.__slots__ if name != "season"], state[0], strict=True):
            setattr(series, name, number)
        if state[1] is not None:
            series.season = Season()
            series.season.offsets, series.season.seen, series.season.on = state[1]
        return series
