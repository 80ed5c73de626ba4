"""From breaches and findings to alerts, one for each thing that happened.

Two rules. `anomalous_event`: one event is stranger than the threshold; keyed by its leading entity, else by its
source. `volume_change`: the amount is; keyed by the source, whether an event of the burst, the forecast or the level
noticed it, so that a burst, the detectors that all report it and the return to normal are one alert. An event whose
greatest share comes from a volume detector belongs to the second.

The deduplicator lets one alert of a key through and folds the rest while they follow each other within the quiet
window, for at most `LONGEST_NS`; and no more than `ABREAST` alerts of one rule from one source within a window,
whatever their keys.

State: `KEYS` keys and as many pairs of rule and source, the least recently used given up. Cost: a look-up an alert.
"""

from __future__ import annotations

from math import log10
from typing import Any

from actors.recent import Recent
from actors.scoring.blend import Blended
from protocol.clock import NS_PER_MS, NS_PER_S
from protocol.findings import Alert, AlertSeverity, Finding, Part
from protocol.identity import alert_id, template_name
from protocol.records import Entity, Event

VERSION = 1
VOLUME_DETECTORS = frozenset({"holt_winters", "cusum"})
ANOMALOUS_EVENT, VOLUME_CHANGE = "anomalous_event", "volume_change"
NEVER_SEEN_BITS = 31.0  # actors/detectors/markov.py, NEW_BITS: only a template never seen costs more

QUIET_NS = 900 * NS_PER_S
LONGEST_NS = 4 * 3600 * NS_PER_S
ABREAST = 3
KEYS = 10_000


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
        title = f"Unusual event from {event.source}: {_reason(leading)} ({template_name(event.template_id)})"
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
    key = _key(VOLUME_CHANGE, [], finding.source)
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
        rule_id=VOLUME_CHANGE,
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
        return "never seen before" if part.seen >= NEVER_SEEN_BITS else "out of its usual order"
    return "unusual content" if part.detector == "hst" else f"by {part.detector}"


class Deduplicator:
    """One alert for each key while what causes it goes on."""

    def __init__(self, *, quiet_ns: int = QUIET_NS, longest_ns: int = LONGEST_NS) -> None:
        self.quiet_ns = quiet_ns
        self.longest_ns = longest_ns
        self._open: Recent[str, list[int]] = Recent(KEYS)  # {dedup_key: [first_ns, last_ns, folded]}
        self._abreast: Recent[str, list[int]] = Recent(KEYS)  # {rule and source: times of the last ABREAST alerts}
        self.folded = 0

    def admit(self, alert: Alert) -> bool:
        """Tell whether this alert is to be shown; otherwise it is counted under the one that was."""
        now = alert.ts_ns
        entry = self._open.get(alert.dedup_key)
        # What lies far before the first is another stretch of history, not a repetition.
        goes_on = entry is not None and entry[0] - self.quiet_ns <= now <= entry[1] + self.quiet_ns
        if entry is not None and goes_on and now - entry[0] <= self.longest_ns:
            entry[1] = max(entry[1], now)
            entry[2] += 1
            self.folded += 1
            self._open.move_to_end(alert.dedup_key)
            return False
        shown = self._abreast.use(f"{alert.rule_kind}:{alert.rule_id}:{alert.source}", list)
        if len(shown) == ABREAST and all(abs(now - time) <= self.quiet_ns for time in shown):
            self.folded += 1
            return False
        shown.append(now)
        del shown[:-ABREAST]
        self._open.use(alert.dedup_key, list)[:] = [now, now, 0]
        return True

    def folded_into(self, dedup_key: str) -> int:
        """Return how many alerts were folded into the one last shown for this key."""
        entry = self._open.get(dedup_key)
        return entry[2] if entry else 0

    def statistics(self) -> dict[str, int]:
        return {"keys": len(self._open), "keys_max": KEYS, "folded": self.folded}

    def snapshot(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "open": [[key, *entry] for key, entry in self._open.items()],
            "abreast": [[key, times] for key, times in self._abreast.items()],
            "folded": self.folded,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of `snapshot`. Raises ValueError if it is of another version."""
        if state.get("version") != VERSION:
            raise ValueError(f"alerts: snapshot of version {state.get('version')}, this is {VERSION}")
        self._open.clear()
        self._abreast.clear()
        for key, *entry in state["open"]:
            self._open[key] = entry
        for key, times in state["abreast"]:
            self._abreast[key] = list(times)
        self.folded = state["folded"]
