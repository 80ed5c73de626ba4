"""Half-Space Trees: how empty the region is that an event's content lies in.

Finds events whose numbers are unusual together (a long line, many digits, a severity, a template or an entity that is
rare for this source) without a model of the log. Misses order and volume, and what differs only in words.

Each of the trees halves the feature space at random, `DEPTH` times over; a node's mass is how much of the recent past
fell into it. With r the mass of the node that an event reaches at depth k, M the mass of all,

    density = r 2^k / M        raw = 1.5 mean over trees of (DEPTH - log2(density + 2^-DEPTH))    in bits

Descent stops at the first node with r <= 2 % of M, as there is no more to learn below (Tan, Ting, Liu 2011, "Fast
Anomaly Detection for Streaming Data", section 3: 10 % of the window).

Departures from the paper:
  - features are the parser's, each scaled to [0, 1], and two that this detector keeps for each source and sees as they
    were before the batch: rarity of the template and of the leading entity, -log2(frequency) / 16;
  - a node is cut at random in the middle 70 % of its own range, where the paper draws a work range for each tree and
    halves it: the paper's second cut of a dimension falls on the edge of [0, 1] and is lost;
  - the paper sums r 2^k over trees; the mean of its logarithm lets the few trees that cut the telling dimension be
    heard;
  - the reference is not the last window alone but fades (0.8 a window): rare kinds stay known beyond 256 events;
  - the trees are the same for all sources, the masses are each source's own.

State: `SOURCES` sources, each `TREES` * 511 float32 of reference and `TREES` * 256 of the open window (77 KiB), 512
template counts and a count-min sketch of 8 KiB. Cost: about 4 us an event in batches of 200.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from actors.detectors.detector import Detector
from actors.recent import Recent, split_by_source
from protocol.columns import FEATURES, Columns, Float32, Scores

SOURCES = 128
TREES = 25
DEPTH = 8
WINDOW = 256
FADING = 0.8  # of the reference, a window: about 1,280 events are remembered
LIMIT_RATIO = 0.02
WARM_WINDOWS = 2
STRETCH = 1.5
TEMPLATES = 512
SKETCH_ROWS, SKETCH_COLUMNS = 2, 1024
FREQUENCY_MEMORY = 20_000.0
RAREST_BITS = 16.0

_INNER = (1 << DEPTH) - 1
_LEAVES = 1 << DEPTH
_NODES = _INNER + _LEAVES
_DIMENSIONS = len(FEATURES) + 2

Int = npt.NDArray[np.int64]


def _grow(seed: int) -> tuple[Int, Float32]:
    """Return the dimension and the cut of every inner node, (TREES * _INNER,), nodes in heap order."""
    random = np.random.default_rng(seed)
    dimension = random.integers(0, _DIMENSIONS, (TREES, _INNER))
    share = random.uniform(0.15, 0.85, (TREES, _INNER))
    cut = np.empty((TREES, _INNER))
    low = np.zeros((TREES, _NODES, _DIMENSIONS))
    high = np.ones((TREES, _NODES, _DIMENSIONS))
    trees = np.arange(TREES)
    for node in range(_INNER):
        axis = dimension[:, node]
        from_, to = low[trees, node, axis], high[trees, node, axis]
        cut[:, node] = from_ + (to - from_) * share[:, node]
        for child in (2 * node + 1, 2 * node + 2):
            low[:, child], high[:, child] = low[:, node], high[:, node]
        high[trees, 2 * node + 1, axis] = cut[:, node]
        low[trees, 2 * node + 2, axis] = cut[:, node]
    return dimension.ravel(), cut.astype(np.float32).ravel()


class _Frequencies:
    """Fading counts of templates (exact, bounded) and of entities (count-min sketch, Cormode, Muthukrishnan 2005)."""

    def __init__(self) -> None:
        self.total = 0.0
        self.templates: dict[int, float] = {}
        self.sketch = np.zeros((SKETCH_ROWS, SKETCH_COLUMNS), np.float32)

    def rarity(self, templates: npt.NDArray[Any], entities: npt.NDArray[np.uint64]) -> tuple[Float32, Float32]:
        """Return -log2 of the frequencies, scaled to [0, 1]; 0 for an event without an entity."""
        counts = self.templates
        of_template = np.array([counts.get(template, 0.0) for template in templates.tolist()])
        cells = _cells(entities)
        of_entity = np.minimum(self.sketch[0, cells[0]], self.sketch[1, cells[1]])
        return _rarity(of_template, self.total), np.where(entities > 0, _rarity(of_entity, self.total), np.float32(0))

    def learn(self, templates: npt.NDArray[Any], entities: npt.NDArray[np.uint64]) -> None:
        self.total += len(templates)
        counts = self.templates
        for template in templates.tolist():
            counts[template] = counts.get(template, 0.0) + 1.0
        if len(counts) > TEMPLATES:
            often = sorted(counts.items(), key=lambda item: item[1])[len(counts) // 2 :]
            self.templates = dict(often)
        for row, cells in enumerate(_cells(entities[entities > 0])):
            self.sketch[row] += np.bincount(cells, minlength=SKETCH_COLUMNS)
        if self.total > FREQUENCY_MEMORY:
            self.total /= 2
            self.templates = {template: count / 2 for template, count in self.templates.items()}
            self.sketch /= 2


def _cells(entities: npt.NDArray[np.uint64]) -> tuple[Int, Int]:
    """Return the column of each entity in each row of the sketch: bits of the key, which is part of a hash."""
    mask = np.uint64(SKETCH_COLUMNS - 1)
    spread = entities * np.uint64(0x9E3779B97F4A7C15)
    return ((spread >> np.uint64(50)) & mask).astype(np.int64), ((spread >> np.uint64(30)) & mask).astype(np.int64)


def _rarity(count: npt.NDArray[Any], total: float) -> Float32:
    bits = np.log2((total + 1.0) / (count + 0.5)) / RAREST_BITS
    clipped: Float32 = np.clip(bits, 0.0, 1.0).astype(np.float32)
    return clipped


class _Source:
    def __init__(self) -> None:
        self.frequencies = _Frequencies()
        self.reference = np.zeros(TREES * _NODES, np.float32)
        self.limit = np.float32(0)
        self.mass = 0.0  # of the reference, in each tree
        self.window = np.zeros(TREES * _LEAVES, np.float32)  # the open window, leaves only
        self.filled = 0
        self.windows = 0
        self.mean = 0.0  # of the raw scores, fading

    def close_window(self) -> None:
        """Fold the open window into the reference, summing masses from the leaves up."""
        level = self.window.reshape(TREES, _LEAVES)
        reference = self.reference.reshape(TREES, _NODES)
        reference *= np.float32(FADING)
        for depth in range(DEPTH, -1, -1):
            first = (1 << depth) - 1
            reference[:, first : 2 * first + 1] += level
            if depth:
                level = level[:, 0::2] + level[:, 1::2]
        self.mass = self.mass * FADING + self.filled
        self.limit = np.float32(LIMIT_RATIO * self.mass)
        self.window[:] = 0
        self.filled = 0
        self.windows += 1


class HalfSpaceTrees(Detector):
    """Emptiness of the region of feature space that an event lies in, in its source's recent past."""

    name = "hst"
    version = 1
    unit = "bits of rarity of the content"

    def __init__(self) -> None:
        self._dimension, self._cut = _grow(self.seed)
        self._inner = (np.arange(TREES) * _INNER)[:, None]
        self._roots = (np.arange(TREES) * _NODES)[:, None]
        self._sources: Recent[str, _Source] = Recent(SOURCES)

    def score(self, batch: Columns, *, learn: bool = True) -> Scores:
        n = len(batch)
        raw = np.full(n, np.nan, np.float32)
        expected = np.full(n, np.nan, np.float32)
        for name, index in split_by_source(batch):
            if learn:
                source = self._sources.use(name, _Source)
            elif name in self._sources:
                source = self._sources[name]
            else:
                continue
            templates, entities = batch.template_id[index], batch.entity[index]
            points = np.empty((len(templates), _DIMENSIONS), np.float32)
            points[:, : len(FEATURES)] = batch.features[index]
            points[:, -2], points[:, -1] = source.frequencies.rarity(templates, entities)
            warm = source.windows >= WARM_WINDOWS
            bits, leaves = self._descend(source, points)
            if warm:
                raw[index] = bits
                expected[index] = source.mean
            if learn:
                source.frequencies.learn(templates, entities)
                self._learn(source, leaves)
                if warm:
                    fading = 0.999 ** len(bits)
                    source.mean = source.mean * fading + float(bits.mean()) * (1.0 - fading)
        return Scores(raw, expected, raw)

    def _descend(self, source: _Source, points: Float32) -> tuple[Float32, Int]:
        """Return the raw score of each point and the leaf it reaches in each tree, (TREES, n)."""
        n = len(points)
        flat = points.ravel()
        offset = np.arange(n) * _DIMENSIONS
        node = np.zeros((TREES, n), np.int64)
        stopped = np.zeros((TREES, n), bool)
        reference, limit = source.reference, source.limit
        density = np.ones((TREES, n), np.float32)
        share = np.float32(1.0 / max(source.mass, 1.0))
        for depth in range(DEPTH):
            at = node + self._inner
            right = flat[self._dimension[at] + offset] >= self._cut[at]
            node = 2 * node + 1 + right
            mass = reference[node + self._roots]
            np.copyto(density, mass * (share * np.float32(2 << depth)), where=~stopped)
            stopped |= mass <= limit
        bits = np.float32(DEPTH) - np.log2(density + np.float32(2.0**-DEPTH))
        return (np.maximum(bits.mean(axis=0), 0) * np.float32(STRETCH)).astype(np.float32), node - _INNER

    def _learn(self, source: _Source, leaves: Int) -> None:
        """Count leaves into the open window, closing it whenever it is full."""
        start, n = 0, leaves.shape[1]
        trees = (np.arange(TREES) * _LEAVES)[:, None]
        while start < n:
            end = min(n, start + WINDOW - source.filled)
            cells = (leaves[:, start:end] + trees).ravel()
            source.window += np.bincount(cells, minlength=TREES * _LEAVES).astype(np.float32)
            source.filled += end - start
            start = end
            if source.filled == WINDOW:
                source.close_window()

    def is_warm(self) -> bool:
        return any(source.windows >= WARM_WINDOWS for source in self._sources.values())

    def statistics(self) -> dict[str, int]:
        templates = sum(len(source.frequencies.templates) for source in self._sources.values())
        return {"sources": len(self._sources), "sources_max": SOURCES, "templates": templates}

    def snapshot(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "seed": self.seed,
            "sources": [
                {
                    "name": name,
                    "reference": s.reference.tobytes(),
                    "window": s.window.tobytes(),
                    "numbers": [s.mass, s.filled, s.windows, s.mean],
                    "total": s.frequencies.total,
                    "templates": list(s.frequencies.templates.items()),
                    "sketch": s.frequencies.sketch.tobytes(),
                }
                for name, s in self._sources.items()
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.check_version(state)
        if state["seed"] != self.seed:
            raise ValueError(f"hst: snapshot of trees with seed {state['seed']}, these have {self.seed}")
        self._sources.clear()
        for saved in state["sources"]:
            source = self._sources[saved["name"]] = _Source()
            source.reference = np.frombuffer(saved["reference"], np.float32).copy()
            source.window = np.frombuffer(saved["window"], np.float32).copy()
            source.mass, source.filled, source.windows, source.mean = saved["numbers"]
            source.limit = np.float32(LIMIT_RATIO * source.mass)
            source.frequencies.total = saved["total"]
            source.frequencies.templates = dict(saved["templates"])
            sketch = np.frombuffer(saved["sketch"], np.float32)
            source.frequencies.sketch = sketch.reshape(SKETCH_ROWS, SKETCH_COLUMNS).copy()
