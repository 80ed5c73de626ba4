"""From breaches and findings to alerts, one for each thing that happened.

Three rules. `anomalous_event`: one event is stranger than the threshold; keyed by its leading entity, else by its
source. `volume_change`: the amount is; keyed by the source, whether an event of the burst, the forecast or the level
noticed it, so that a burst, the detectors that all report it and the return to normal are one alert. An event whose
greatest share comes from a volume detector belongs to the second. `silence`: a source that speaks regularly does not;
a rule of its own, so that a source that falls silent soon after a burst still rings.
Pure functions without state; `actors/alerting` folds what belongs together.
"""

from __future__ import annotations

from math import log10

from actors.scoring.blend import Blended
from protocol.clock import NS_PER_MS
from protocol.findings import Alert, AlertSeverity, Finding, Part
from protocol.identity import alert_id, template_name
from protocol.records import Entity, Event

VOLUME_DETECTORS = frozenset({"holt_winters", "cusum"})
ANOMALOUS_EVENT, VOLUME_CHANGE, SILENCE = "anomalous_event", "volume_change", "silence"
MAX_QUOTED = 96  # characters of a template in a title
NEVER_SEEN_BITS = 31.0  # actors/detectors/markov.py, NEW_BITS: only a template never seen costs more


def alert_of_event(event: Event, blended: Blended, i: int) -> Alert:
    """Return the alert of event `i` of the batch, which breached."""
    parts = blended.explain(i)
    leading = parts[0]
    probability = max(float(blended.p[i]), 1e-30)
    if leading.detector in VOLUME_DETECTORS:
        rule, entities = VOLUME_CHANGE, []
        title = f"{event.source} is louder than usual: {_amounts(leading)}"
        if leading.seen < leading.expected:
            title = f"{event.source} is quieter than usual: {_amounts(leading)}"
    else:
        rule, entities = ANOMALOUS_EVENT, list(event.entities)
        title = f"{_reason(leading)} from {event.source}: {_quote(event.template)} ({template_name(event.template_id)})"
    key = _key(rule, entities, event.source)
    return Alert(
        id=alert_id(event.event_ns // NS_PER_MS, key, event.id),
        ts_ns=event.event_ns,
        rule_id=rule,
        rule_kind="blended",
        severity=severity_of(probability),
        title=title,
        entities=entities,
        attack=None,
        dedup_key=key,
        event_ids=[event.id],
        source=event.source,
        explanation=parts,
    )


def alert_of_finding(finding: Finding) -> Alert:
    """Return the alert of what a detector says of a stretch of time."""
    rule = SILENCE if finding.kind == "silence" else VOLUME_CHANGE
    key = _key(rule, [], finding.source)
    cause = f"{finding.detector}:{finding.kind}:{finding.template_id}:{finding.event_ns}"
    score = log10(1.0 / max(finding.probability, 1e-15))
    part = Part(
        detector=finding.detector,
        probability=finding.probability,
        share=score / (score + 5.0),
        expected=finding.expected,
        seen=finding.seen,
        unit=finding.unit,
    )
    what = {
        "silence": f"{finding.source} fell silent",
        "burst": f"Burst from {finding.source}",
        "level_up": f"{finding.source} became louder",
        "level_down": f"{finding.source} became quieter",
    }.get(finding.kind, f"{finding.source}: {finding.kind}")
    where = f" ({template_name(finding.template_id)})" if finding.template_id else ""
    return Alert(
        id=alert_id(finding.event_ns // NS_PER_MS, key, cause),
        ts_ns=finding.event_ns,
        rule_id=rule,
        rule_kind="blended",
        severity=severity_of(finding.probability),
        title=f"{what}{where}: {_amounts(part)}",
        entities=[],
        attack=None,
        dedup_key=key,
        source=finding.source,
        explanation=[part],
    )


def severity_of(probability: float) -> AlertSeverity:
    """Return how loud to ring for something so improbable. Improbable is not yet harmful: never `critical`."""
    if probability <= 1e-10:
        return "high"
    return "medium" if probability <= 1e-7 else "low"


def _key(rule: str, entities: list[Entity], source: str) -> str:
    return f"blended:{rule}:{entities[0].value if entities else source}"


def _amounts(part: Part) -> str:
    _, _, span = part.unit.partition(" in ")
    return f"{part.seen:.0f} events in {span}, expected {part.expected:.0f}"


def _reason(part: Part) -> str:
    if part.detector == "markov":
        return "Never seen before" if part.seen >= NEVER_SEEN_BITS else "Out of its usual order"
    return "Unusual content" if part.detector == "hst" else f"Unusual to {part.detector}"


def _quote(template: str) -> str:
    """Return the beginning of a template on one line, without a character that a terminal or a page might obey."""
    text = " ".join(template.split())
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in text[:MAX_QUOTED])
    return f"{shown} …" if len(text) > MAX_QUOTED else shown or "an empty message"
