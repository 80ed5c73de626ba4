"""A trial detector: how much longer or shorter a message is than those of its source were so far."""

from __future__ import annotations

from typing import Any

import numpy as np

from actors.detectors.detector import Detector
from actors.recent import Recent, split_by_source
from protocol.columns import FEATURES, Columns, Scores

LENGTH = FEATURES.index("length")
MAX_SOURCES = 256
WARM = 1_000  # events


class TrialDetector(Detector):
    """Distance from the mean length."""

    name = "trial_detector"
    version = 1
    unit = "length"

    def __init__(self) -> None:
        self._sources: Recent[str, list[float]] = Recent(MAX_SOURCES)  # events and the sum of their lengths

    def score(self, batch: Columns, *, learn: bool = True) -> Scores:
        raw, expected, seen = (np.full(len(batch), np.nan, np.float32) for _ in range(3))
        for name, index in split_by_source(batch):
            lengths = batch.features[index, LENGTH]
            if not learn and name not in self._sources:
                continue
            known = self._sources.use(name, lambda: [0, 0.0]) if learn else self._sources[name]
            if known[0] >= WARM:
                expected[index], seen[index] = known[1] / known[0], lengths
                raw[index] = np.abs(seen[index] - expected[index])
            if learn:
                known[0] += len(lengths)
                known[1] += float(lengths.sum(dtype=np.float64))
        return Scores(raw, expected, seen)

    def snapshot(self) -> dict[str, Any]:
        return {"version": self.version, "sources": [[name, *known] for name, known in self._sources.items()]}

    def restore(self, state: dict[str, Any]) -> None:
        self.check_version(state)
        self._sources.clear()
        for name, *known in state["sources"]:
            self._sources[name] = known

    def statistics(self) -> dict[str, int]:
        return {"sources": len(self._sources), "sources_max": MAX_SOURCES}

    def is_warm(self) -> bool:
        return any(count >= WARM for count, _ in self._sources.values())
