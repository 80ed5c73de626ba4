"""The numeric side of a batch: one raw array per column, which a detector maps with NumPy and never copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt

from protocol.edges import COLUMN_FRAMES as COLUMN_FRAMES

# Content features of an event, each scaled to [0, 1] by the parser.
FEATURES = (
    "length",  # log2(1 + characters of the message) / 16
    "tokens",  # log2(1 + words) / 10
    "digits",  # share of characters that are digits
    "symbols",  # share of characters that are neither letters, digits nor spaces
    "upper",  # share of characters that are upper case
    "parameters",  # share of template tokens that are <*>
    "entities",  # min(1, entities / 8)
    "severity",  # SeverityNumber / 24
)

Int64 = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]
Int8 = npt.NDArray[np.int8]
UInt64 = npt.NDArray[np.uint64]
Float32 = npt.NDArray[np.float32]
_LEFT_OUT: Int32 = np.ones(0, np.int32)


class Columns(msgspec.Struct, frozen=True):
    """The numbers of a batch of n events, in the order of the events."""

    sources: tuple[str, ...]  # names that `source` points into
    event_ns: Int64  # (n,) nanoseconds since the epoch
    observed_ns: Int64  # (n,)
    template_id: Int32  # (n,)
    source: Int32  # (n,) index into `sources`
    severity: Int8  # (n,) 1 to 24
    entity: UInt64  # (n,) key of the event's leading entity (first 8 bytes of its UUID); 0: it has none
    stream: Int64  # (n,) key of the event's stream: source, host and program (`protocol.streams`)
    features: Float32  # (n, len(FEATURES)), each in [0, 1]
    weight: Int32 = _LEFT_OUT  # (n,) messages that the event stands for, as `message repeated 3 times` does; left out: 1 each

    def __post_init__(self) -> None:
        if self.weight is _LEFT_OUT:
            msgspec.structs.force_setattr(self, "weight", np.ones(len(self.event_ns), np.int32))

    def __len__(self) -> int:
        return len(self.event_ns)

    def pack(self) -> list[bytes]:
        """Return the arrays as raw frames, in the order of the fields."""
        return [
            array.tobytes()
            for array in (
                self.event_ns,
                self.observed_ns,
                self.template_id,
                self.source,
                self.severity,
                self.entity,
                self.stream,
                self.features,
                self.weight,
            )
        ]

    @classmethod
    def unpack(cls, sources: Sequence[str], frames: Sequence[bytes | memoryview]) -> Self:
        """Map raw frames as read-only arrays. Raises ValueError if their lengths do not agree."""
        event_ns, observed_ns, template_id, source, severity, entity, stream, features, weight = frames
        columns = cls(
            tuple(sources),
            np.frombuffer(event_ns, np.int64),
            np.frombuffer(observed_ns, np.int64),
            np.frombuffer(template_id, np.int32),
            np.frombuffer(source, np.int32),
            np.frombuffer(severity, np.int8),
            np.frombuffer(entity, np.uint64),
            np.frombuffer(stream, np.int64),
            np.frombuffer(features, np.float32).reshape(-1, len(FEATURES)),
            np.frombuffer(weight, np.int32),
        )
        lengths = {len(getattr(columns, name)) for name in cls.__struct_fields__[1:]}
        if len(lengths) != 1:
            raise ValueError(f"columns of one batch differ in length: {sorted(lengths)}")
        return columns


class Scores(msgspec.Struct, frozen=True):
    """The scores of one detector for each event of a batch. NaN: none (it is warming up, or the event is not its concern).

    `raw` is on the detector's own scale, larger is stranger; it is made comparable by the scorer.
    `expected` and `seen` are the numbers that explain it, in the unit that the detector's class names.
    """

    raw: Float32  # (n,)
    expected: Float32  # (n,)
    seen: Float32  # (n,)

    @classmethod
    def absent(cls, n: int) -> Self:
        """Return the scores of a detector that has nothing to say of `n` events."""
        nothing = np.full(n, np.nan, np.float32)
        return cls(nothing, nothing, nothing)

    def cut(self, start: int, end: int) -> Self:
        """Return the scores of the events from `start` to before `end`."""
        return type(self)(self.raw[start:end], self.expected[start:end], self.seen[start:end])

    def pack(self) -> list[bytes]:
        return [self.raw.tobytes(), self.expected.tobytes(), self.seen.tobytes()]

    @classmethod
    def unpack(cls, frames: Sequence[bytes | memoryview]) -> Self:
        raw, expected, seen = (np.frombuffer(frame, np.float32) for frame in frames)
        return cls(raw, expected, seen)
