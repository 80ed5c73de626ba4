"""The alert of a rule that matched. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from actors.sigma.correlation.correlations import Correlation
from actors.sigma.correlation.correlator import Firing
from actors.sigma.rules.rule import Rule
from protocol.clock import NS_PER_MS, NS_PER_S
from protocol.findings import Alert, Part
from protocol.identity import alert_id, entity_uuid
from protocol.records import Entity, EntityType, Event

MAX_KEY = 256  # characters of the value in a key
_LEADING_FIELDS = ("src_ip", "user")  # who did it, in this order, if the event says so
_FIELD_TYPES: dict[str, EntityType] = {name: name for name in get_args(EntityType)} | {
    "TargetUserName": "user",
    "User": "user",
    "hostname": "host",
    "query": "domain",
}
_UNITS = {"event_count": "events", "value_count": "values", "temporal": "rules", "temporal_ordered": "rules"}


def alert_of_match(rule: Rule, event: Event, fields: Mapping[str, Any]) -> Alert:
    """Return the alert of a rule that one event matches."""
    entities = _leading_first(event.entities, fields)
    value = entities[0].value if entities else str(fields.get("host") or event.source)
    return _alert(rule, event, entities, value, event.id, [event.id], [])


def alert_of_firing(correlation: Correlation, firing: Firing, event: Event) -> Alert:
    """Return the alert of a correlation that `event` made true."""
    entities = [_entity(name, value, event) for name, value in firing.group.items()]
    named = [entity for entity in entities if entity is not None]
    value = ",".join(firing.group.values()) or event.source
    wanted = correlation.criteria[0].count if correlation.criteria else len(correlation.rules)
    unit = f"{_UNITS.get(correlation.type, correlation.type)} in {correlation.timespan_ns // NS_PER_S} s"
    part = Part("sigma", 1.0, 0.0, float(wanted), float(firing.seen), unit)
    return _alert(correlation, event, named, value, f"{event.id}:{firing.first_ns}", list(firing.event_ids), [part])


def _alert(
    rule: Rule | Correlation,
    event: Event,
    entities: list[Entity],
    value: str,
    cause: str,
    event_ids: list[str],
    parts: list[Part],
) -> Alert:
    key = f"sigma:{rule.id}:{value[:MAX_KEY]}"
    return Alert(
        id=alert_id(event.event_ns // NS_PER_MS, key, cause),
        ts_ns=event.event_ns,
        rule_id=rule.id,
        rule_kind="sigma",
        severity=rule.level,
        title=rule.title,
        entities=entities,
        attack=rule.attack,
        dedup_key=key,
        event_ids=event_ids,
        source=event.source,
        explanation=parts,
    )


def _leading_first(entities: Sequence[Entity], fields: Mapping[str, Any]) -> list[Entity]:
    """Return the entities, the one that the trouble is of before all others."""
    for name in _LEADING_FIELDS:
        value = fields.get(name)
        for entity in entities:
            if entity.value == value:
                return [entity, *(each for each in entities if each is not entity)]
    return list(entities)


def _entity(name: str, value: str, event: Event) -> Entity | None:
    """Return a value that a correlation groups by as an entity: the event's own, else one of the type that its field has."""
    for entity in event.entities:
        if entity.value == value.lower() or entity.value == value:
            return entity
    kind = _type_of(name, value)
    return Entity(kind, value, entity_uuid(kind, value)) if kind else None


def _type_of(field: str, value: str) -> EntityType | None:
    if field.endswith(("_ip", "-ip")):
        return "ipv6" if ":" in value else "ipv4"
    return _FIELD_TYPES.get(field)
