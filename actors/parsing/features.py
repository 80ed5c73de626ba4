"""An event as numbers: the content features of `protocol.columns.FEATURES`, and the columns of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

import numpy as np

from actors.parsing.masking import VARIABLE
from protocol.columns import FEATURES, Columns
from protocol.records import Event, weight_of
from protocol.streams import stream_key

_MAX_SCANNED = 8192  # characters of a message that are counted
_DIGITS = bytes(range(48, 58))
_UPPER = bytes(range(65, 91))
_PLAIN = _DIGITS + _UPPER + bytes(range(97, 123)) + b" \t\r\n" + bytes(range(128, 256))


def content_features(message: str, variables_ratio: float, entities: int, severity: int) -> tuple[float, ...]:
    """Return the features of one event, in the order of FEATURES, each in [0, 1]."""
    scanned = message[:_MAX_SCANNED]
    raw = scanned.encode("utf-8", "replace")
    size = len(raw) or 1
    return (
        min(1.0, log2(1 + len(message)) / 16),
        min(1.0, log2(1 + len(scanned.split())) / 10),
        (size - len(raw.translate(None, _DIGITS))) / size if raw else 0.0,
        len(raw.translate(None, _PLAIN)) / size,
        (size - len(raw.translate(None, _UPPER))) / size if raw else 0.0,
        variables_ratio,
        min(1.0, entities / 8),
        severity / 24,
    )


def variables_ratio(template: str) -> float:
    """Return the share of a template's tokens that hold a variable."""
    tokens = template.split(" ")
    return sum(VARIABLE in token for token in tokens) / len(tokens)


def columns_of(events: Sequence[Event]) -> Columns:
    """Return the columns that events had when they were parsed: all that goes into them stands in the event."""
    features = [
        content_features(event.message, variables_ratio(event.template), len(event.entities), event.severity)
        for event in events
    ]
    return build_columns(events, features)


def entity_key(uuid: str) -> int:
    """Return the first 8 bytes of a UUID as a number, big-endian."""
    return int(uuid[:8] + uuid[9:13] + uuid[14:18], 16)


def build_columns(events: Sequence[Event], features: Sequence[tuple[float, ...]]) -> Columns:
    """Return the numbers of a batch. `features` is (n, len(FEATURES))."""
    names = {event.source: 0 for event in events}
    for number, name in enumerate(names):
        names[name] = number
    return Columns(
        tuple(names),
        np.array([event.event_ns for event in events], np.int64),
        np.array([event.observed_ns for event in events], np.int64),
        np.array([event.template_id for event in events], np.int32),
        np.array([names[event.source] for event in events], np.int32),
        np.array([event.severity for event in events], np.int8),
        np.array([entity_key(event.entities[0].uuid) if event.entities else 0 for event in events], np.uint64),
        np.array([stream_key(event) for event in events], np.int64),
        np.array(features, np.float32).reshape(len(events), len(FEATURES)),
        np.array([weight_of(event) for event in events], np.int32),
    )
