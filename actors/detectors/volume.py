"""The common part of the volume detectors: counts on a scale of constant variance, and the clock of a source.

Counts: y = 2 sqrt(c + 3/8) turns a Poisson count into about a normal of variance 1 (Anscombe 1948), so one scale
serves quiet and loud sources; a residual of z standard deviations upwards is worth -log2 Q(z) bits.

Clock: a source's time is that of its events. While they arrive as they happen (their lag behind observation is small,
or small beside a whole number of quarter hours: a wrong time zone) time also passes without events, and silence can be
seen. For history, whose lag is anything, only events move the clock.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import numpy.typing as npt

from protocol.clock import NS_PER_S
from protocol.columns import Int64

MAX_BITS = 64.0
NOISE_RATIO = 0.05  # of a level: a change of a tenth of the count is nobody's burst, however regular the source
LIVE_LAG_NS = 300 * NS_PER_S
ZONE_LAG_NS = 30 * NS_PER_S
QUARTER_HOUR_NS = 900 * NS_PER_S
WIDEST_ZONE_NS = 15 * 3600 * NS_PER_S
LIVE_SHARE = 0.8
GRACE_NS = 15 * NS_PER_S  # events may come this late into a bucket that time alone would have closed
REWIND_NS = 3600 * NS_PER_S
TIME_MAX_NS = 1 << 62  # sums of two times stay within 63 bits

Float64 = npt.NDArray[np.float64]


def stabilise(count: float) -> float:
    """Return the count on the scale where its standard deviation is about 1."""
    return 2.0 * sqrt(max(count, 0.0) + 0.375)


def noise_scale(level: float, deviation: float) -> float:
    """Return the scale of residuals: 1.25 mean absolute deviations, at least Poisson's 1 and a tenth of the count."""
    return max(1.0, NOISE_RATIO * level, 1.25 * deviation)


def count_of(level: float) -> float:
    """Return the count that stands at a level of that scale."""
    return max(level * level / 4.0 - 0.375, 0.0)


def bits_beyond(z: Float64) -> Float64:
    """Return -log2 Q(z) for z > 0, within 0.1 bits (Sampford 1953), at most `MAX_BITS`; 0 for what is not above zero.

    >>> bits_beyond(np.array([-1.0, 0.5, 3.0, 6.0])).round(1).tolist()  # truth: 1.7, 9.5, 29.9
    [0.0, 1.6, 9.5, 29.9]
    """
    z = np.maximum(z, 0.0)
    nats = z * z / 2.0 + np.log((z + np.sqrt(z * z + 8.0 / np.pi)) / np.sqrt(2.0 / np.pi))
    return np.where(z > 0.0, np.minimum(nats / np.log(2.0), MAX_BITS), 0.0)


class SourceClock:
    """The event time of one source, moved by its events and, while it is live, by the wall clock."""

    def __init__(self) -> None:
        self.event_ns = 0  # 0: no event yet
        self.observed_ns = 0
        self.live = 0.0  # fading share of batches whose events arrived as they happened

    def is_live(self) -> bool:
        return self.live >= LIVE_SHARE

    def follow(self, event_ns: Int64, observed_ns: Int64) -> Int64:
        """Take in the times of events and return them as places on a clock that never runs back.

        A late event is placed at the present. When all of a batch lies more than an hour back, another stretch of
        history has begun and the clock starts over there.
        """
        observed = int(min(max(int(observed_ns[-1]), 0), TIME_MAX_NS))
        times: Int64 = np.clip(event_ns, 1, TIME_MAX_NS)
        # An event cannot come from the future: a wrong stamp must not make everything after it late.
        times = np.minimum(times, max(observed, 1) + QUARTER_HOUR_NS if observed else TIME_MAX_NS)
        newest = int(times.max())
        if newest < self.event_ns - REWIND_NS:
            self.event_ns = 0
        placed: Int64 = np.maximum.accumulate(np.maximum(times, self.event_ns))
        lag = abs(observed - newest)
        within_zone = (lag + ZONE_LAG_NS) % QUARTER_HOUR_NS <= 2 * ZONE_LAG_NS and lag <= WIDEST_ZONE_NS
        live = 1.0 if lag <= LIVE_LAG_NS or within_zone else 0.0
        self.live = self.live + 0.1 * (live - self.live) if self.event_ns and self.observed_ns else live
        self.event_ns = int(placed[-1])
        rewound = observed < self.observed_ns - REWIND_NS  # the wall clock was set
        self.observed_ns = observed if rewound else max(observed, self.observed_ns)
        return placed

    def jump(self, by_ns: int, now_ns: int) -> None:
        """Go with a wall clock that was set and shows `now_ns`: no time has passed."""
        self.observed_ns = max(min(self.observed_ns + by_ns, now_ns, TIME_MAX_NS), 0) if self.observed_ns else 0
        if self.is_live() and self.event_ns:
            self.event_ns = min(max(self.event_ns + by_ns, 1), TIME_MAX_NS)

    def settled(self, now_ns: int) -> int:
        """Return the time before which no more events are awaited when the wall clock shows `now_ns`."""
        return self.at(now_ns) - GRACE_NS

    def at(self, now_ns: int) -> int:
        """Return the source's time when the wall clock shows `now_ns`."""
        if not self.is_live():
            return self.event_ns
        # Times of events are kept below TIME_MAX_NS, so this sum stays within 64 bits.
        return self.event_ns + max(min(now_ns, TIME_MAX_NS) - self.observed_ns, 0)

    def snapshot(self) -> list[float]:
        return [self.event_ns, self.observed_ns, self.live]

    def restore(self, state: list[float]) -> None:
        self.event_ns, self.observed_ns, self.live = int(state[0]), int(state[1]), state[2]
