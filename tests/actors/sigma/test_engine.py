from __future__ import annotations

from pathlib import Path

import msgpack
import pytest

from actors.parsing.parse import Parser
from actors.sigma.engine import MEMORY, Engine
from actors.sigma.rules.collection import collect
from actors.sigma.rules.exceptions import RuleException
from protocol.clock import NS_PER_S, parse_time
from protocol.findings import Alert
from protocol.records import Attack, Event, Record
from tests.actors.sigma.files import load

RULES = """title: SSH login failed
name: sshd_login_failed
logsource: {product: linux, service: sshd}
detection: {failed: ['Failed password for'], condition: failed}
level: informational
tags: [attack.credential-access, attack.t1110]
---
title: SSH brute force
name: ssh_brute_force
correlation: {type: event_count, rules: [sshd_login_failed], group-by: [src_ip], timespan: 60s, condition: {gte: 5}}
level: high
tags: [attack.credential-access, attack.t1110.001]
---
title: Root logs in
name: root_login
logsource: {product: linux, service: sshd}
detection: {accepted: ['Accepted password for'], root: {user: root}, condition: accepted and root}
level: low
tags: [attack.initial-access, attack.t1078]
"""
START_NS = 1_778_686_199_000_000_000


def line(second: int, text: str) -> Record:
    body = f"<36>1 2026-05-13T15:{second // 60:02}:{second % 60:02}Z bastion sshd 4242 - - {text}"
    return Record(START_NS + second * NS_PER_S, "syslog", "syslog", "", body.encode())


def events(*records: Record) -> list[Event]:
    return Parser().parse(records, 7, 1)[0]


def failures(count: int, address: str = "10.0.1.42", start: int = 0) -> list[Record]:
    return [line(start + number, f"Failed password for root from {address}") for number in range(count)]


def engine(folder: Path, *exceptions: RuleException, text: str = RULES) -> Engine:
    path = folder / "rules.yml"
    path.write_text(text)
    collection = collect(load([path]))
    assert not collection.refusals, collection.refusals
    return Engine(collection, exceptions)


def alerts_of(judge: Engine, those: list[Event], *, learn: bool = True) -> list[Alert]:
    return [alert for event in those for alert in judge.take(event, learn=learn).alerts]


def test_the_example_of_the_page(tmp_path: Path) -> None:
    judge = engine(tmp_path)
    outcomes = [judge.take(event) for event in events(*failures(5))]
    assert {outcome.attack for outcome in outcomes} == {Attack("credential-access", "T1110")}
    assert [len(outcome.alerts) for outcome in outcomes] == [0, 0, 0, 0, 1]
    (alert,) = outcomes[-1].alerts
    assert (alert.rule_id, alert.rule_kind, alert.severity) == ("ssh_brute_force", "sigma", "high")
    assert alert.title == "SSH brute force"
    assert alert.dedup_key == "sigma:ssh_brute_force:10.0.1.42"
    assert [(entity.type, entity.value) for entity in alert.entities] == [("ipv4", "10.0.1.42")]
    assert alert.attack == Attack("credential-access", "T1110.001") and len(alert.event_ids) == 5
    (part,) = alert.explanation
    assert (part.seen, part.expected, part.unit) == (5, 5, "events in 60 s")


def test_a_rule_that_no_correlation_needs_rings_of_itself(tmp_path: Path) -> None:
    (event,) = events(line(0, "Accepted password for root from 10.0.1.42 port 22 ssh2"))
    (alert,) = engine(tmp_path).take(event).alerts
    assert (alert.rule_id, alert.severity, alert.dedup_key) == ("root_login", "low", "sigma:root_login:10.0.1.42")
    assert {entity.value for entity in alert.entities} == {"10.0.1.42", "root"} and alert.entities[0].value == "10.0.1.42"


def test_what_is_sent_again_has_the_same_alerts_and_counts_once(tmp_path: Path) -> None:
    judge, those = engine(tmp_path), events(*failures(5), line(9, "Accepted password for root from 10.0.1.42"))
    first = alerts_of(judge, those)
    assert [alert.rule_id for alert in first] == ["ssh_brute_force", "root_login"]
    assert alerts_of(judge, those, learn=False) == first == judge.remembered()
    assert judge.matched == {"sshd_login_failed": 5, "ssh_brute_force": 1, "root_login": 1}


@pytest.mark.parametrize("cut", [0, 3, 5, 8])
def test_a_snapshot_carries_everything_on(tmp_path: Path, cut: int) -> None:
    those = events(*failures(4), *failures(4, "10.0.9.9", 4), *failures(3, start=10))
    whole = alerts_of(engine(tmp_path), those)
    before = engine(tmp_path)
    found = alerts_of(before, those[:cut])
    after = engine(tmp_path)
    after.restore(msgpack.unpackb(msgpack.packb(before.snapshot()), strict_map_key=False))
    assert found + alerts_of(after, those[cut:]) == whole and len(whole) == 1
    assert alerts_of(after, those, learn=False) == whole
    with pytest.raises(ValueError, match="version 99"):
        after.restore({"version": 99})


@pytest.mark.parametrize("cut", [0, 3, 5, 8])
def test_another_engine_goes_on_with_what_one_knew(tmp_path: Path, cut: int) -> None:
    """As after a snapshot; but rules that are gone are not counted on, and correlations that have changed begin anew."""
    those = events(*failures(4), *failures(4, "10.0.9.9", 4), *failures(3, start=10))
    for text in (RULES, RULES.replace("gte: 5", "gte: 6").replace("sshd_login_failed", "failed")):
        before, adopting, restored = engine(tmp_path), engine(tmp_path, text=text), engine(tmp_path, text=text)
        alerts_of(before, those[:cut])
        restored.restore(before.snapshot())
        adopting.adopt(before)
        assert adopting.snapshot() == restored.snapshot()
        assert alerts_of(adopting, those[cut:]) == alerts_of(restored, those[cut:])


def test_an_exception_holds_for_its_scope_and_its_time(tmp_path: Path) -> None:
    until_ns = parse_time("2026-05-13T15:00:30Z")
    lab = RuleException("ssh_brute_force", {"src_ip": "10.0.1.0/24"}, until_ns, "the scanner of the lab")
    assert alerts_of(judge := engine(tmp_path, lab), events(*failures(9))) == [] and judge.excepted >= 1
    assert len(alerts_of(engine(tmp_path, lab), events(*failures(9, "10.0.2.42")))) == 1
    assert len(alerts_of(engine(tmp_path, lab), events(*failures(9, start=31)))) == 1


def test_an_exception_of_a_rule_keeps_it_from_correlations_too(tmp_path: Path) -> None:
    judge = engine(tmp_path, RuleException("sshd_login_failed", {"user": "ro*"}))
    outcomes = [judge.take(event) for event in events(*failures(9))]
    assert all(outcome.attack is None and not outcome.alerts for outcome in outcomes)


def test_what_is_remembered_is_bounded(tmp_path: Path) -> None:
    judge = engine(tmp_path)
    alerts_of(judge, events(*(line(number, "Accepted password for root from 10.0.1.42") for number in range(MEMORY + 10))))
    assert len(judge.remembered()) == MEMORY
