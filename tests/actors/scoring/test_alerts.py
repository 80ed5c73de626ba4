from __future__ import annotations

import numpy as np

from actors.scoring.alerts import alert_of_event, alert_of_finding
from actors.scoring.blend import Blended
from protocol.clock import NS_PER_S
from protocol.columns import Scores
from protocol.findings import Finding
from protocol.identity import encode_ulid, entity_uuid
from protocol.records import Entity, Event

NOW_NS = 1_790_000_000 * NS_PER_S


def blended(**p_values: float) -> Blended:
    raw = np.array([44.0], np.float32)
    scores = Scores(raw, np.array([4.0], np.float32), raw)
    p = 1 / np.mean([1 / p for p in p_values.values()])
    x = -np.log10(p)
    return Blended(
        score=np.array([x / (x + 5)], np.float32), threshold=np.array([0.5], np.float32), breach=np.array([True]),
        p=np.array([p], np.float32), detectors=tuple(p_values),
        p_values=np.array([[p] for p in p_values.values()], np.float32), scores=(scores,) * len(p_values),
        units=("events in 15 s",) * len(p_values),
    )  # fmt: skip


def event(value: str = "", number: int = 1) -> Event:
    entities = [Entity("ipv4", value, entity_uuid("ipv4", value))] if value else []
    return Event(encode_ulid(number), NOW_NS, NOW_NS, "syslog", 9, "secret text", 7, "secret <*>", entities, {})


def finding(kind: str, at_s: int = 0, source: str = "syslog", expected: float = 312.0, seen: float = 0.0) -> Finding:
    at = NOW_NS + at_s * NS_PER_S
    return Finding("holt_winters", kind, source, 0, at, 1e-12, expected, seen, "events in 5 min")


def test_a_new_kind_is_named_by_its_template() -> None:
    alert = alert_of_event(event("10.0.0.1"), blended(markov=1e-12, hst=0.1), 0)
    assert alert.title == "Never seen before from syslog: secret <*> (drain_0007)"
    assert alert.dedup_key == "blended:anomalous_event:10.0.0.1"
    assert alert.entities[0].value == "10.0.0.1"
    assert alert.severity == "high"
    assert alert.event_ids == [encode_ulid(1)]
    assert alert.id == alert_of_event(event("10.0.0.1"), blended(markov=1e-12, hst=0.1), 0).id
    assert alert.id != alert_of_event(event("10.0.0.1", 2), blended(markov=1e-12, hst=0.1), 0).id
    assert alert_of_event(event(), blended(markov=1e-12), 0).dedup_key == "blended:anomalous_event:syslog"


def test_a_title_is_one_line_without_anything_that_a_terminal_obeys() -> None:
    hostile = event("10.0.0.1")
    hostile.template = "a\x1b[2J\nb \u202e" + "c" * 500
    title = alert_of_event(hostile, blended(markov=1e-12), 0).title
    assert title.isprintable() and len(title) < 200
    assert title.startswith("Never seen before from syslog: a\ufffd[2J b \ufffdccc")


def test_findings_read_plainly() -> None:
    assert alert_of_finding(finding("silence")).title == "syslog fell silent: 0 events in 5 min, expected 312"
    assert (
        alert_of_finding(finding("burst", seen=4000)).title == "Burst from syslog: 4000 events in 5 min, expected 312"
    )
    assert sum(part.share for part in alert_of_finding(finding("silence")).explanation) < 1
