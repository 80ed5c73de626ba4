"""A simulated source and the whole chain from columns to alerts, in one process."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from actors.alerting.deduplicator import Deduplicator
from actors.detectors.registry import DETECTORS
from actors.scoring.alerts import alert_of_event, alert_of_finding
from actors.scoring.blend import Blended, Blender
from protocol.clock import NS_PER_S
from protocol.columns import FEATURES, Columns
from protocol.findings import Alert
from protocol.identity import encode_ulid, entity_uuid
from protocol.records import Entity, Event
from tests.actors.detectors.classes import detector_class

START_NS = 1_790_000_000 * NS_PER_S


class Chain:
    """All detectors, the blend and the deduplicator; what is fed in comes out as alerts."""

    def __init__(self) -> None:
        self.detectors = {name: detector_class(name)() for name in DETECTORS}
        self.blender = Blender(units={name: detector_class(name).unit for name in DETECTORS})
        self.deduplicator = Deduplicator()
        self.alerts: list[Alert] = []
        self.breaches = 0
        self._number = 0

    def feed(self, columns: Columns) -> Blended:
        scores = {name: detector.score(columns) for name, detector in self.detectors.items()}
        blended = self.blender.blend(columns, scores)
        for i in np.flatnonzero(blended.breach).tolist():
            self.breaches += 1
            self._ring(alert_of_event(self._event(columns, i), blended, i))
        self._number += len(columns)
        return blended

    def tick(self, now_ns: int) -> None:
        for detector in self.detectors.values():
            for finding in detector.tick(now_ns):
                self._ring(alert_of_finding(finding))

    def _event(self, columns: Columns, i: int) -> Event:
        value = f"e{int(columns.entity[i])}"
        entities = [Entity("user", value, entity_uuid("user", value))] if columns.entity[i] else []
        return Event(
            encode_ulid(self._number + i), int(columns.observed_ns[i]), int(columns.event_ns[i]),
            columns.sources[columns.source[i]], 9, "", int(columns.template_id[i]), "", entities, {},
        )  # fmt: skip

    def _ring(self, alert: Alert) -> None:
        if self.deduplicator.admit(alert):
            self.alerts.append(alert)

    def take_alerts(self) -> list[Alert]:
        taken, self.alerts = self.alerts, []
        return taken


@dataclass
class Source:
    """A source with Zipf templates that have features of their own, and users of whom some are new."""

    seed: int
    name: str = "syslog"
    templates: int = 30
    zipf: float = 1.1
    rate: float = 20.0
    arrival: str = "poisson"
    order: str = "random"  # or "sessions": templates follow a cycle with noise
    new_user_ratio: float = 0.001
    users: int = 20
    history_ns: int = 0  # how far back the event times lie
    speed: float = 1.0  # seconds of event time for each second of observed time
    daily: float = 0.0  # amplitude of a daily season
    batch: tuple[int, int] = (200, 200)
    now_ns: int = START_NS
    _users: int = field(default=1000, init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        weights = np.arange(1, self.templates + 1) ** -self.zipf
        self.weights = weights / weights.sum()
        self.base = self.random.uniform(0.1, 0.6, (self.templates, len(FEATURES)))
        self.base[:, 7] = self.random.choice([9, 9, 9, 13, 17], self.templates) / 24
        self.spread = self.random.uniform(0.0, 0.04, (self.templates, len(FEATURES)))
        self.spread[:, 5:] = 0
        self.speaks = self.random.random(self.templates) < 0.7
        self.event_ns = self.now_ns - self.history_ns
        self.last = 0

    def columns(self, n: int, *, rate: float | None = None, template: int | None = None) -> Columns:
        """Return the next n events; they move the source's clock."""
        random = self.random
        pace = (rate or self.rate) * (1 + self.daily * np.sin(2 * np.pi * self.event_ns / (86_400 * NS_PER_S)))
        gaps = random.exponential(1 / pace, n) if self.arrival == "poisson" else np.full(n, 1 / pace)
        passed = np.cumsum(gaps * NS_PER_S).astype(np.int64)
        event_ns = self.event_ns + passed
        observed_ns = self.now_ns + (passed / self.speed).astype(np.int64)
        self.event_ns, self.now_ns = int(event_ns[-1]), int(observed_ns[-1])
        kinds = random.choice(self.templates, n, p=self.weights)
        if self.order == "sessions":
            for i in range(n):
                self.last = int(kinds[i]) if random.random() < 0.2 else (self.last + 1) % self.templates
                kinds[i] = self.last
        features = np.clip(self.base[kinds] + random.normal(size=(n, len(FEATURES))) * self.spread[kinds], 0, 1)
        entity = np.where(self.speaks[kinds], random.integers(1, self.users + 1, n), 0).astype(np.uint64)
        for i in np.flatnonzero((random.random(n) < self.new_user_ratio) & self.speaks[kinds]).tolist():
            self._users += 1
            entity[i] = self._users
        entity *= np.uint64(0x9E3779B97F4A7C15)  # as spread as the first bytes of a UUID
        ids = kinds + 1
        if template is not None:
            ids[:] = template
            features = np.clip(random.uniform(0.1, 0.9, (n, len(FEATURES))), 0, 1)
            features[:, 7] = 17 / 24
            entity[:] = 0
        severity = (features[:, 7] * 24).astype(np.int8)
        return Columns(
            (self.name,), event_ns, np.sort(observed_ns), ids.astype(np.int32), np.zeros(n, np.int32), severity,
            entity, np.zeros(n, np.int64), features.astype(np.float32),
        )  # fmt: skip


def run(chain: Chain, source: Source, n: int, *, rate: float | None = None) -> None:
    """Feed n events in batches, with a tick each second."""
    while n > 0:
        size = min(n, int(source.random.integers(source.batch[0], source.batch[1] + 1)))
        before = source.now_ns
        columns = source.columns(size, rate=rate)
        for now in range(before, source.now_ns, NS_PER_S):
            chain.tick(now)
        chain.feed(columns)
        n -= size


def pass_time(chain: Chain, source: Source, seconds: int) -> None:
    """Let time pass without events."""
    for _ in range(seconds):
        source.now_ns += NS_PER_S
        source.event_ns += int(NS_PER_S * source.speed)
        chain.tick(source.now_ns)
