"""Small batches for tests: what is not said is the same for every event."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from protocol.clock import NS_PER_S
from protocol.columns import FEATURES, Columns

START_NS = 1_790_000_000 * NS_PER_S


def make_batch(
    n: int,
    *,
    event_s: Sequence[float] | float = 0.0,
    lag_s: float = 0.0,
    templates: Sequence[int] | int = 1,
    entities: Sequence[int] | int = 0,
    features: float = 0.3,
) -> Columns:
    """Return n events of the source `a`; times in seconds after `START_NS`, observed `lag_s` later."""
    times = np.broadcast_to(START_NS + (np.asarray(event_s) * NS_PER_S).astype(np.int64), n).copy()
    return Columns(
        ("a",),
        times,
        times + int(lag_s * NS_PER_S),
        np.broadcast_to(np.asarray(templates, np.int32), n).copy(),
        np.zeros(n, np.int32),
        np.full(n, 9, np.int8),
        np.broadcast_to(np.asarray(entities, np.uint64), n).copy(),
        np.zeros(n, np.int64),
        np.full((n, len(FEATURES)), features, np.float32),
    )
