"""Every rule of our own fires on its own samples, stays silent on its near misses, and says what one has to know of it."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from actors.parsing.parse import Parser
from actors.sigma.engine import Engine
from tests.rules.pipeline import builtin, collection, record_from, rule_set, run, silent
from tests.rules.table import PAGE, documents, section

SAMPLES = Path(__file__).parent / "samples"
DOCUMENTS = documents()
LEVELS = ("informational", "low", "medium", "high", "critical")
TACTICS = frozenset(
    "reconnaissance resource_development initial_access execution persistence privilege_escalation defense_evasion "
    "credential_access discovery lateral_movement collection command_and_control exfiltration impact".split()
)


def lines_of(name: str, kind: str) -> list[str]:
    return (SAMPLES / name / f"{kind}.log").read_text().splitlines()


def level_of(name: str) -> int:
    return LEVELS.index(DOCUMENTS[name]["level"])


def test_all_rules_load_and_there_are_enough() -> None:
    rules, correlations = builtin()
    assert {each.id for each in rules} | {each.id for each in correlations} == DOCUMENTS.keys()
    assert len(DOCUMENTS) - len(silent()) >= 60 and len(correlations) >= 15


def test_every_rule_has_samples_and_no_sample_is_left_over() -> None:
    assert {each.name for each in SAMPLES.iterdir()} == DOCUMENTS.keys()


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_a_rule_says_what_one_has_to_know(name: str) -> None:
    found = DOCUMENTS[name]
    assert re.fullmatch(r"[a-z0-9]+(?:_[a-z0-9]+)*", name) and found["path"].stem == name
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", found["id"])
    assert found["title"] and len(found["description"]) > 40 and found["falsepositives"] and found["author"] == "Tocsin"
    assert found["level"] in LEVELS and found["status"] == "test" and str(found["date"])
    tags = [tag.removeprefix("attack.") for tag in found.get("tags", ())]
    if not tags and name in silent():
        return  # what it matches is ordinary, and only too much of it is not
    assert TACTICS.intersection(tags) and any(re.fullmatch(r"t\d{4}(?:\.\d{3})?", tag) for tag in tags)
    assert all(tag in TACTICS or re.fullmatch(r"t\d{4}(?:\.\d{3})?", tag) for tag in tags)


def test_ids_are_unique() -> None:
    assert len({found["id"] for found in DOCUMENTS.values()}) == len(DOCUMENTS)


def test_what_only_feeds_others_is_informational_and_what_alerts_is_not() -> None:
    assert {name for name in DOCUMENTS if level_of(name) == 0} == silent()


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_a_rule_fires_on_its_samples(name: str) -> None:
    lines = lines_of(name, "fires")
    fired = {hit.line for hit in run(lines) if hit.name == name}
    if "correlation" in DOCUMENTS[name]:
        assert len(lines) - 1 in fired, "the last line completes it"
        assert min(fired) > 0
    else:
        assert fired == set(range(len(lines)))


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_a_rule_is_silent_on_near_misses_and_no_other_is_loud(name: str) -> None:
    lines = lines_of(name, "silent")
    hits = list(run(lines))
    assert lines and [lines[hit.line] for hit in hits if hit.name == name] == []
    loud = [(hit.name, lines[hit.line]) for hit in hits if hit.name not in silent() and level_of(hit.name) >= 2]
    assert loud == []


def test_the_example_of_the_page() -> None:
    (hit,) = [hit for hit in run(lines_of("ssh_brute_force", "fires")) if hit.name == "ssh_brute_force"]
    assert hit.group == {"src_ip": "10.0.1.42"}
    _, correlations = builtin()
    (brute,) = [each for each in correlations if each.id == "ssh_brute_force"]
    assert brute.title == "SSH brute force" and brute.level == "high"
    assert brute.attack is not None and (brute.attack.tactic, brute.attack.technique) == ("credential-access", "T1110.001")


@pytest.mark.parametrize(
    "piece", ["union ", "'or ", "(select ", "../", "<img ", "%2527", "case when ", "&#", "curl ", "&&id", "base64 -d |"]
)
def test_hostile_text_costs_little(piece: str) -> None:
    text = (piece * 16_000)[:16_000]
    asked = text.replace(" ", "+")
    lines = [f'203.0.113.9 - - [13/May/2026:15:29:59 +0000] "GET /?q={asked} HTTP/1.1" 200 5 "-" "{text[:2000]}"']
    lines.append(f"<78>May 13 15:29:59 web CRON[812]: (root) CMD ({text})")
    list(run(lines))  # compiles what is tried
    began_s = time.process_time()
    list(run(lines))
    assert time.process_time() - began_s < 0.5


def test_an_ordinary_line_tries_few_rules() -> None:
    (hit,) = list(run(["<38>May 13 15:29:59 web sshd[7]: Accepted publickey for ann from 192.0.2.5 port 4242 ssh2"]))
    assert hit.name == "ssh_login_success" and len(rule_set().rules) > 60


def test_what_a_syslog_daemon_folded_counts_as_often_and_a_field_that_claims_it_does_not() -> None:
    text = "Failed password for root from 203.0.113.9 port 22 ssh2"
    folded = f"<38>May 13 17:00:00 web sshd[77]: message repeated 20 times: [ {text}]"
    once = f'{{"timestamp":"2026-05-13T17:00:00Z","app":"sshd","message":"{text}"'
    assert "ssh_brute_force" in {hit.name for hit in run([folded])}
    for end in ("}", ',"repeated":900}'):
        assert [hit.name for hit in run([once + end])] == ["ssh_login_failure"]


def test_the_page_has_every_rule_as_it_is() -> None:
    assert section() in PAGE.read_text(), "run: python -m tests.rules.table"


@pytest.mark.parametrize(
    ("line", "technique"),
    [
        ("<38>May 13 15:00:00 web sshd[1]: Failed password for root from 10.0.1.42", "T1110.001"),
        ("<38>May 13 15:00:00 web sshd[1]: Accepted publickey for ann from 192.0.2.50 port 50112 ssh2", None),
        ('192.0.2.50 - - [13/May/2026:15:00:00 +0000] "GET /a HTTP/1.1" 200 512 "-" "Mozilla/5.0"', None),
        ('192.0.2.50 - - [13/May/2026:15:00:00 +0000] "GET /b HTTP/1.1" 404 512 "-" "Mozilla/5.0"', None),
    ],
)
def test_only_what_an_attack_may_be_has_a_place_in_attack(line: str, technique: str | None) -> None:
    events, _ = Parser().parse([record_from(line)], 1, 1)
    attack = Engine(collection()).take(events[0]).attack
    assert (attack.technique if attack else None) == technique
