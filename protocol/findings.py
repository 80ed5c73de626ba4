"""Findings of detectors beyond one event, and the alerts that a person sees."""

from __future__ import annotations

from typing import Literal, Self

import msgspec

from protocol.records import Attack, Entity

RuleKind = Literal["sigma", "blended", "kill_chain", "ueba", "threat_intel", "risk"]
AlertSeverity = Literal["informational", "low", "medium", "high", "critical"]


class Finding(msgspec.Struct, gc=False, frozen=True):
    """A detector's finding about a stretch of time, which no single event can carry: a silence, a change of volume."""

    detector: str
    kind: str  # `silence`, `burst`, `level_up`, `level_down`
    source: str
    template_id: int  # 0: the whole source
    event_ns: int  # end of the stretch, on the source's own clock
    probability: float  # of so strange a stretch, judged by this source's own past; (0, 1]
    expected: float
    seen: float
    unit: str  # of `expected` and `seen`, as in `events in 60 s`


class Part(msgspec.Struct, gc=False, frozen=True):
    """One detector's share in a score."""

    detector: str
    probability: float  # tail probability of its raw score in this source's recent past; (0, 1]
    share: float  # of the blended score; the shares of an explanation add up to the score
    expected: float
    seen: float
    unit: str


class Alert(msgspec.Struct, gc=False, frozen=True):
    """An alert as it was when it fired. Its later changes are its `AlertState`."""

    id: str  # alr_ and a ULID
    ts_ns: int
    rule_id: str
    rule_kind: RuleKind
    severity: AlertSeverity
    title: str
    entities: list[Entity]
    attack: Attack | None
    dedup_key: str  # rule_kind:rule_id:entity value
    event_ids: list[str] = []
    source: str = ""
    explanation: list[Part] = []


class Folded(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A draft that is no alert of its own: the same trouble as an alert that was shown."""

    id: str  # of the draft
    into: str  # id of the alert
    ts_ns: int
    explanation: list[Part] = []


class AlertState(msgspec.Struct, gc=False, frozen=True):
    """The state of an alert since it fired, with the drafts that were folded into it."""

    count: int  # the alert itself, and what was folded into it
    first_ns: int
    last_ns: int
    explanation: list[Part]  # the figures of the newest

    @classmethod
    def of(cls, alert: Alert) -> Self:
        """Return the state of an alert into which nothing was folded yet."""
        return cls(1, alert.ts_ns, alert.ts_ns, alert.explanation)
