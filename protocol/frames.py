"""The documented JSON frames, key by key in the documented order, and the same objects for REST."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from protocol.clock import format_time
from protocol.findings import Alert, AlertState
from protocol.identity import template_name
from protocol.messages import JudgedEvent, Status
from protocol.records import Attack, Entity


class EntityObject(msgspec.Struct, gc=False):
    type: str
    value: str
    uuid: str


class EventObject(msgspec.Struct, gc=False):
    id: str
    observed_ts: str
    event_ts: str
    source: str
    severity: int
    message: str
    template_id: str
    template: str
    entities: list[EntityObject]
    anomaly_score: float
    anomaly_threshold: float
    attack: Attack | None


class AlertObject(msgspec.Struct, gc=False):
    id: str
    ts: str
    rule_id: str
    rule_kind: str
    severity: str
    title: str
    entities: list[EntityObject]
    attack: Attack | None
    dedup_key: str


class EventFrame(msgspec.Struct, tag_field="type", tag="event", gc=False):
    event: EventObject


class AlertFrame(msgspec.Struct, tag_field="type", tag="alert", gc=False):
    alert: AlertObject


class StatusFrame(msgspec.Struct, tag_field="type", tag="status", gc=False):
    ts: str
    throughput_eps: int
    queue_depth: int
    queue_max: int
    receivers: dict[str, str]
    detectors: dict[str, str]


JsonFrame: TypeAlias = EventFrame | AlertFrame | StatusFrame

encode_json = msgspec.json.Encoder().encode


def _entities(entities: list[Entity]) -> list[EntityObject]:
    return [EntityObject(entity.type, entity.value, entity.uuid) for entity in entities]


def event_object(judged: JudgedEvent) -> EventObject:
    """Return the documented object of a stored event; scores have four digits."""
    event = judged.event
    return EventObject(
        event.id,
        format_time(event.observed_ns),
        format_time(event.event_ns),
        event.source,
        event.severity,
        event.message,
        template_name(event.template_id),
        event.template,
        _entities(event.entities),
        round(judged.score, 4),
        round(judged.threshold, 4),
        judged.attack,
    )


def alert_object(alert: Alert) -> AlertObject:
    """Return the documented object of an alert."""
    return AlertObject(
        alert.id,
        format_time(alert.ts_ns),
        alert.rule_id,
        alert.rule_kind,
        alert.severity,
        alert.title,
        _entities(alert.entities),
        alert.attack,
        alert.dedup_key,
    )


def alert_detail(alert: Alert) -> dict[str, Any]:
    """Return the object of an alert with what explains it: the events behind it and every detector's part."""
    detail: dict[str, Any] = msgspec.to_builtins(alert_object(alert))
    return detail | {
        "source": alert.source,
        "event_ids": alert.event_ids,
        "explanation": msgspec.to_builtins(alert.explanation),
    }


def state_object(state: AlertState) -> dict[str, Any]:
    """Return the object of an alert's state."""
    return {
        "count": state.count,
        "first_seen": format_time(state.first_ns),
        "last_seen": format_time(state.last_ns),
        "explanation": msgspec.to_builtins(state.explanation),
    }


def event_frame(judged: JudgedEvent) -> bytes:
    return encode_json(EventFrame(event_object(judged)))


def alert_frame(alert: Alert) -> bytes:
    return encode_json(AlertFrame(alert_object(alert)))


def status_frame(status: Status) -> bytes:
    return encode_json(
        StatusFrame(
            format_time(status.ts_ns),
            status.throughput_eps,
            status.queue_depth,
            status.queue_max,
            status.receivers,
            status.detectors,
        )
    )
