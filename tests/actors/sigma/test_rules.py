from __future__ import annotations

import os
from pathlib import Path

import pytest

from actors.parsing.parse import Parser
from actors.sigma.inspection.explanation import explain
from actors.sigma.matching.fields import fields_of
from actors.sigma.matching.logsource import LogSource, logsource_of, windows_source
from actors.sigma.matching.predicates import compile_condition
from actors.sigma.matching.prefilter import clauses_of
from actors.sigma.matching.subject import Subject
from actors.sigma.rules.attack import attack_of
from actors.sigma.rules.library import find_files
from actors.sigma.rules.rule import Refusal, Rule
from actors.sigma.ruleset import MAX_SOURCES, RuleSet
from protocol.messages import encode
from protocol.records import Attack, Event, OtlpRecord, Record
from tests.actors.sigma.files import load

GOOD = """title: Failed SSH password
name: sshd_failed_password
logsource: {product: linux, service: sshd}
detection:
    failed:
        - 'Failed password for'
    root:
        user: root
    condition: failed and root
level: low
tags: [attack.credential_access, attack.t1110.001]
"""


def event_of(body: bytes, form: str = "syslog") -> Event:
    (event,), _ = Parser().parse([Record(1_778_686_199_998_000_000, "syslog", form, "", body)], 1, 1)  # type: ignore[arg-type]
    return event


def load_one(folder: Path, text: str) -> Rule | Refusal:
    path = folder / "rule.yml"
    path.write_text(text)
    return list(load([path]))[-1]  # type: ignore[return-value]


def test_a_rule_meets_a_line_by_way_of_the_real_parser(tmp_path: Path) -> None:
    rule = load_one(tmp_path, GOOD)
    assert isinstance(rule, Rule) and rule.id == "sshd_failed_password" and rule.level == "low"
    assert rule.attack == Attack("credential-access", "T1110.001")
    event = event_of(b"<36>1 2026-05-13T15:29:59.998Z bastion sshd 4242 - - Failed password for root from 10.0.1.42")
    fields = fields_of(event)
    source = logsource_of(event, fields)
    holds = compile_condition(rule.condition)
    assert rule.is_meant_for(source) and {"sshd", "auth", "syslog"} <= source.services
    assert fields["user"] == "root" and fields["src_ip"] == "10.0.1.42"
    assert holds(Subject(fields, event.message))
    other = event_of(b"<36>1 2026-05-13T15:29:59.998Z bastion cron 1 - - Failed password for root")
    assert not rule.is_meant_for(logsource_of(other, fields_of(other)))


def test_why_goes_clause_by_clause(tmp_path: Path) -> None:
    rule = load_one(tmp_path, GOOD)
    assert isinstance(rule, Rule)
    clauses = list(explain(rule.condition, Subject({}, "Failed password for nobody")))
    assert [(clause.depth, clause.holds, clause.missing) for clause in clauses] == [
        (0, False, False),
        (1, True, False),
        (1, False, True),
    ]
    assert clauses[2].text == "user = 'root'"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (GOOD.replace("user: root", "user|expand: '%admins%'"), 4, "placeholder %admins%"),
        (GOOD.replace("user: root", "user|re: '(?=a)'"), 4, "invalid perl operator"),
        (GOOD.replace("failed and root", "failed and nothing"), 4, "nothing"),
        (GOOD.replace("user: root", "user|colour: root"), 4, "colour"),
        (GOOD.replace("    failed:", "   failed"), 7, "mapping values"),
        ("- a\n- b\n", 1, "is no rule"),
        ("title: [\n", 2, "expected"),
        ("title: t\nlogsource: 7\ndetection: 8\n", 3, ""),
        ("title: t\ncorrelation: {type: event_count, rules: [a], timespan: 1m, condition: {lt: 2}}\n", 2, "nothing has happened"),
        ("title: t\nlogsource: {product: linux}\nfilter: {rules: any, condition: not a}\n", 3, ""),
        (GOOD + "---\naction: global\n", 13, "older specification"),
        ("a: &a [x]\nb: *a\n", 2, "alias"),
        (GOOD.replace("user: root", "user: root\n        user: admin"), 9, "user twice"),
        (GOOD + "falsepositives:\n    - Backups: those that we know\n", 4, "falsepositives"),
        ("title: f\nlogsource: {product: linux}\nfilter: {rules: [7], a: {b: c}, condition: not a}\n", 3, "Expected `str`"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(tmp_path: Path, text: str, line: int, reason: str) -> None:
    refused = load_one(tmp_path, text)
    assert isinstance(refused, Refusal), refused
    assert refused.path == str(tmp_path / "rule.yml") and reason in refused.reason
    assert refused.line == line


def test_a_file_that_is_no_rule_never_stops_the_others(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "folder.yml").mkdir()
    os.mkfifo(tmp_path / "pipe.yml")
    (tmp_path / "device.yml").symlink_to("/dev/zero")
    (tmp_path / "circle.yml").symlink_to("circle.yml")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "a.yml").write_bytes(b"\xff\xfe")
    (tmp_path / "b.yml").write_bytes(b"x" * (2 << 20))
    (tmp_path / "deep" / "c.yaml").write_text(GOOD)
    (tmp_path / "notes.txt").write_text("no rule")
    loaded = list(load(find_files([str(tmp_path)])))
    assert [type(each) for each in loaded] == [Refusal, Refusal, Rule]
    named = [tmp_path / "pipe.yml", tmp_path / "device.yml"]
    assert [each.reason for each in load(named) if isinstance(each, Refusal)] == ["is no ordinary file"] * 2
    with pytest.raises(FileNotFoundError):
        find_files([str(tmp_path / "none.yml")])


def test_every_document_of_a_long_file_has_its_line(tmp_path: Path) -> None:
    text = "\n---\n".join(["- 1\n- 2"] * 20_000)
    (tmp_path / "long.yml").write_text(text)
    refused = list(load([tmp_path / "long.yml"]))
    assert [each.line for each in refused if isinstance(each, Refusal)] == [1 + 3 * number for number in range(20_000)]


def test_events_of_windows_are_laid_out_flat() -> None:
    body = {
        "Event": {
            "System": {
                "EventID": 1,
                "Channel": "Microsoft-Windows-Sysmon/Operational",
                "Provider": {"#attributes": {"Name": "Microsoft-Windows-Sysmon"}},
            },
            "EventData": {"Image": "C:\\evil.exe", "Threat Name": "EICAR"},
        }
    }
    packed = encode(OtlpRecord(body, 0, 0, 9, "", {"zone": {"id": 7}}, {}, {}, "", ""))
    event = event_of(packed, "otlp")
    fields = fields_of(event)
    assert fields["Image"] == "C:\\evil.exe" and fields["ThreatName"] == "EICAR" and fields["EventID"] == 1
    assert fields["Provider_Name"] == "Microsoft-Windows-Sysmon" and fields["attributes.zone.id"] == 7
    assert logsource_of(event, fields) == windows_source("Microsoft-Windows-Sysmon/Operational", 1)


@pytest.mark.parametrize(
    ("source", "product", "category", "service", "fits"),
    [
        (windows_source("Security", 4688), "windows", "process_creation", None, True),
        (windows_source("Security", 4688), "windows", None, "security", True),
        (windows_source("Security", 4624), "windows", "process_creation", None, False),
        (windows_source("Unheard of", 1), "windows", None, None, True),
        (windows_source("System", 7045), "linux", None, None, False),
        (LogSource("linux"), None, None, None, True),
    ],
)
def test_only_rules_that_are_meant_for_an_event_are_tried(
    source: LogSource, product: str | None, category: str | None, service: str | None, fits: bool
) -> None:
    assert source.fits(product, category, service) is fits


@pytest.mark.parametrize("tactic", ["attack.credential-access", "attack.credential_access", "attack.TA0006"])
def test_the_spellings_of_a_tactic_are_one(tactic: str) -> None:
    assert attack_of([tactic, "attack.t1110", "cve.2024-1", "attack.t1110.003"]) == Attack("credential-access", "T1110.003")
    assert attack_of(["cve.2024-1", "attack.g0001"]) is None


def test_of_many_rules_only_those_are_tried_that_can_match(tmp_path: Path) -> None:
    rules = [
        load_one(tmp_path, GOOD),
        load_one(tmp_path, GOOD.replace("Failed password for", "Accepted password for").replace("sshd_failed", "sshd_accepted")),
        load_one(tmp_path, GOOD.replace("service: sshd", "service: cron")),
        load_one(tmp_path, GOOD.replace("'Failed password for'", "'Fa*wor?'").replace("name: sshd_failed", "name: wild")),
    ]
    chosen = RuleSet([rule for rule in rules if isinstance(rule, Rule)])
    event = event_of(b"<36>1 2026-05-13T15:29:59.998Z bastion sshd 4242 - - Failed password for root from 10.0.1.42")
    assert [rule.id for rule in chosen.matches(event)] == ["sshd_failed_password", "wild_password"]
    assert [rule.id for rule in candidates(chosen, event)] == ["sshd_failed_password", "wild_password"]


def candidates(rules: RuleSet, event: Event) -> list[Rule]:
    subject, source = rules.subject_of(event)
    return [rules.rules[place] for place in rules._select(source).candidates(subject)]


def test_programs_that_no_rule_names_share_a_selection(tmp_path: Path) -> None:
    rule = load_one(tmp_path, GOOD)
    assert isinstance(rule, Rule)
    chosen = RuleSet([rule])
    for number in range(3_000):
        chosen.matches(event_of(b"<36>1 2026-05-13T15:29:59.998Z bastion invented%d 4242 - - Failed password" % number))
    assert len(chosen._selections) == 1 and len(chosen._by_source) <= MAX_SOURCES
    event = event_of(b"<36>1 2026-05-13T15:29:59.998Z bastion sshd 4242 - - Failed password for root from 10.0.1.42")
    assert chosen.matches(event) == [rule]


def clauses(folder: Path, condition: str) -> list[set[str]]:
    text = GOOD.replace("        - 'Failed password for'", "        a|contains: [first, second]")
    rule = load_one(folder, text.replace("user: root", "b: 'x*longest'").replace("failed and root", condition))
    assert isinstance(rule, Rule), rule
    return [set(clause) for clause in clauses_of(rule.condition)]


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("failed", [{"first", "second"}]),
        ("failed and root", [{"longest"}, {"first", "second"}]),
        ("failed or root", [{"first", "second", "longest"}]),
        ("failed and not root", [{"first", "second"}]),
        ("not failed", []),
        ("failed or not root", []),
    ],
)
def test_the_words_without_which_a_rule_cannot_match(tmp_path: Path, condition: str, wanted: list[set[str]]) -> None:
    assert clauses(tmp_path, condition) == wanted
