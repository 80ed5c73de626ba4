"""Cost of each detector, the blend and the alerts: microseconds an event in large batches, a batch in small ones."""

from __future__ import annotations

import time

from actors.detectors.registry import DETECTORS
from actors.scoring.blend import Blender
from protocol.columns import Columns, Scores
from tests.actors.detectors.classes import detector_class
from tests.actors.scoring.simulation import Source

EVENTS = 60_000


def measure(size: int, batches: list[Columns]) -> None:
    detectors = {name: detector_class(name)() for name in DETECTORS}
    blender = Blender()
    spent = dict.fromkeys([*detectors, "blend"], 0.0)
    for batch in batches:
        scores: dict[str, Scores] = {}
        for name, detector in detectors.items():
            started = time.perf_counter()
            scores[name] = detector.score(batch)
            spent[name] += time.perf_counter() - started
        started = time.perf_counter()
        blender.blend(batch, scores)
        spent["blend"] += time.perf_counter() - started
    events = sum(len(batch) for batch in batches)
    for name, seconds in spent.items():
        per_event, per_batch = seconds / events * 1e6, seconds / len(batches) * 1e6
        print(f"batches of {size:4}: {name:13} {per_event:7.2f} us/event {per_batch:8.0f} us/batch")


def main() -> None:
    for size in (1000, 200, 5, 1):
        source = Source(1, rate=20.0, daily=0.1)
        measure(size, [source.columns(size) for _ in range(min(EVENTS // size, 12_000))])


if __name__ == "__main__":
    main()
