"""The scorer's input and judgement of a batch, as plain data for its journal and its snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from actors.scoring.blend import Blended
from protocol.columns import FEATURES, Columns, Int32, Int64, Scores
from protocol.messages import BatchKey


class Learning(msgspec.Struct, frozen=True):
    """All that goes into the blend of a batch of n events."""

    key: BatchKey
    sources: tuple[str, ...]
    source: Int32  # (n,) index into `sources`
    observed_ns: Int64  # (n,)
    scores: dict[str, Scores]  # {detector: what it said}, in the order in which they are blended
    units: dict[str, str]  # {detector: unit}

    @classmethod
    def of(cls, key: BatchKey, columns: Columns, scores: Mapping[str, Scores], units: Mapping[str, str]) -> Learning:
        return cls(key, columns.sources, columns.source, columns.observed_ns, dict(scores), dict(units))

    def columns(self) -> Columns:
        """Return the columns that the blend reads; the others are empty."""
        n = len(self.source)
        return Columns(
            self.sources,
            self.observed_ns,
            self.observed_ns,
            np.zeros(n, np.int32),
            self.source,
            np.zeros(n, np.int8),
            np.zeros(n, np.uint64),
            np.zeros(n, np.int64),
            np.zeros((n, len(FEATURES)), np.float32),
        )

    def pack(self) -> list[Any]:
        scores = [[name, self.units.get(name, ""), *each.pack()] for name, each in self.scores.items()]
        key = [self.key.receiver, self.key.tag, self.key.base, self.key.first, self.key.count]
        return [key, list(self.sources), self.source.tobytes(), self.observed_ns.tobytes(), scores]

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> Learning:
        """Return what `pack` made plain. Raises ValueError or TypeError for anything else."""
        key, sources, source, observed_ns, scores = packed
        return cls(
            BatchKey(*key),
            tuple(sources),
            np.frombuffer(source, np.int32),
            np.frombuffer(observed_ns, np.int64),
            {name: Scores.unpack(frames) for name, _, *frames in scores},
            {name: unit for name, unit, *_ in scores},
        )


def pack_blended(blended: Blended) -> list[Any]:
    """Return a blend as plain data."""
    arrays = (blended.score, blended.threshold, blended.breach, blended.p, blended.p_values)
    return [
        *(array.tobytes() for array in arrays),
        list(blended.detectors),
        list(blended.units),
        [scores.pack() for scores in blended.scores],
    ]


def unpack_blended(packed: Sequence[Any]) -> Blended:
    """Return what `pack_blended` made plain. Raises ValueError or TypeError for anything else."""
    score, threshold, breach, p, p_values, detectors, units, scores = packed
    n = len(breach)
    return Blended(
        np.frombuffer(score, np.float32),
        np.frombuffer(threshold, np.float32),
        np.frombuffer(breach, np.bool_),
        np.frombuffer(p, np.float32),
        tuple(detectors),
        np.frombuffer(p_values, np.float32).reshape(len(detectors), n),
        tuple(Scores.unpack(each) for each in scores),
        tuple(units),
    )
