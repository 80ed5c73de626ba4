"""The documented page: exact keys in the documented order, and its examples word for word."""

from __future__ import annotations

import json

from protocol.clock import parse_time
from protocol.findings import Alert, Part
from protocol.frames import alert_detail, alert_frame, event_frame, status_frame
from protocol.messages import JudgedEvent, Status
from protocol.records import Attack, Entity, Event

ENTITY = ["type", "value", "uuid"]
EVENT = ["id", "observed_ts", "event_ts", "source", "severity", "message", "template_id", "template", "entities"]
EVENT += ["anomaly_score", "anomaly_threshold", "attack"]
ALERT = ["id", "ts", "rule_id", "rule_kind", "severity", "title", "entities", "attack", "dedup_key"]
STATUS = ["type", "ts", "throughput_eps", "queue_depth", "queue_max", "receivers", "detectors"]

USER, ADDRESS = Entity("user", "root", "u-1"), Entity("ipv4", "10.0.1.42", "u-2")
ATTACK = Attack("credential-access", "T1110.001")


def at(text: str) -> int:
    return parse_time(text) + 999_999  # less than a millisecond is cut


def make_event(attack: Attack | None) -> JudgedEvent:
    event = Event(
        "01HZX", at("2026-05-13T15:30:00.123Z"), at("2026-05-13T15:29:59.998Z"), "syslog", 13,
        "Failed password for root from 10.0.1.42", 42, "Failed password for <*> from <*>", [USER, ADDRESS], {"host": "bastion"},
    )  # fmt: skip
    return JudgedEvent(event, 0.870000005, 0.63, attack)


def make_alert() -> Alert:
    return Alert(
        "alr_01HZX", at("2026-05-13T15:30:00.456Z"), "ssh_brute_force", "sigma", "high", "SSH brute force", [ADDRESS], ATTACK,
        "sigma:ssh_brute_force:10.0.1.42", ["01HZX"], "syslog", [Part("hst", 0.01, 0.9, 1.0, 2.0, "events")],
    )  # fmt: skip


def test_the_event_of_the_page() -> None:
    assert json.loads(event_frame(make_event(ATTACK))) == {
        "type": "event",
        "event": {
            "id": "01HZX",
            "observed_ts": "2026-05-13T15:30:00.123Z",
            "event_ts": "2026-05-13T15:29:59.998Z",
            "source": "syslog",
            "severity": 13,
            "message": "Failed password for root from 10.0.1.42",
            "template_id": "drain_0042",
            "template": "Failed password for <*> from <*>",
            "entities": [
                {"type": "user", "value": "root", "uuid": "u-1"},
                {"type": "ipv4", "value": "10.0.1.42", "uuid": "u-2"},
            ],
            "anomaly_score": 0.87,
            "anomaly_threshold": 0.63,
            "attack": {"tactic": "credential-access", "technique": "T1110.001"},
        },
    }


def test_the_keys_stand_in_the_documented_order() -> None:
    frame = json.loads(event_frame(make_event(ATTACK)))
    assert list(frame) == ["type", "event"]
    assert list(frame["event"]) == EVENT
    assert list(frame["event"]["entities"][0]) == ENTITY
    assert list(frame["event"]["attack"]) == ["tactic", "technique"]
    frame = json.loads(alert_frame(make_alert()))
    assert list(frame) == ["type", "alert"]
    assert list(frame["alert"]) == ALERT


def test_an_event_without_a_technique_has_null() -> None:
    assert json.loads(event_frame(make_event(None)))["event"]["attack"] is None


def test_the_alert_of_the_page() -> None:
    assert json.loads(alert_frame(make_alert()))["alert"] == {
        "id": "alr_01HZX",
        "ts": "2026-05-13T15:30:00.456Z",
        "rule_id": "ssh_brute_force",
        "rule_kind": "sigma",
        "severity": "high",
        "title": "SSH brute force",
        "entities": [{"type": "ipv4", "value": "10.0.1.42", "uuid": "u-2"}],
        "attack": {"tactic": "credential-access", "technique": "T1110.001"},
        "dedup_key": "sigma:ssh_brute_force:10.0.1.42",
    }
    assert list(alert_detail(make_alert())) == [*ALERT, "source", "event_ids", "explanation"]


def test_the_heartbeat_of_the_page() -> None:
    receivers, detectors = {"syslog": "ok", "otlp_grpc": "ok", "file": "ok"}, {"hst": "ok", "markov": "down"}
    beat = json.loads(
        status_frame(Status(at("2026-05-13T15:30:01.000Z"), 4287, 23, 10_000, receivers, detectors, {"actors": {"secret": 1}}))
    )
    assert list(beat) == STATUS
    assert beat == dict(zip(STATUS, ["status", "2026-05-13T15:30:01.000Z", 4287, 23, 10_000, receivers, detectors], strict=True))
