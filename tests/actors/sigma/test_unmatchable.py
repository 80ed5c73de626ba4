from __future__ import annotations

import random
from pathlib import Path

import pytest

from actors.sigma.inspection.unmatchable import LEAST_EVENTS, LEAST_OF_KIND, judge, report
from actors.sigma.inventory import Seen
from actors.sigma.matching.conditions import AllOf, AnyOf, Condition, Exists, Not, Null, SameAs, Text
from actors.sigma.matching.logsource import LogSource
from actors.sigma.matching.patterns import Pattern
from actors.sigma.matching.predicates import compile_condition
from actors.sigma.matching.subject import Subject
from tests.actors.sigma.site import correlation, in_force, rule

NAMES = ("a", "b", "c")


def seen_of(*fields: str, events: int = LEAST_EVENTS, service: str = "sshd") -> Seen:
    seen = Seen()
    for _ in range(events):
        seen.note(LogSource("linux", frozenset(), frozenset({service, "syslog"})), dict.fromkeys(fields, "x"))
    return seen


def reasons(folder: Path, seen: Seen, *documents: str) -> dict[str, str]:
    return {each.rule: each.reason for each in report(in_force(folder, *documents), seen).never}


def random_condition(maker: random.Random, depth: int = 0) -> Condition:
    field = maker.choice(NAMES)
    if depth < 3 and maker.random() < 0.6:
        parts = tuple(random_condition(maker, depth + 1) for _ in range(maker.randint(1, 3)))
        return maker.choice((AllOf(parts), AnyOf(parts), Not(parts[0])))
    text = Text(field, Pattern.of([maker.choice("xy")]))
    return maker.choice((text, Null(field), Exists(field, maker.random() < 0.5), SameAs(field, maker.choice(NAMES), "equals")))


@pytest.mark.parametrize("seed", range(5))
def test_what_is_said_of_a_condition_is_so_of_every_event_with_these_fields(seed: int) -> None:
    maker, said = random.Random(seed), 0
    for _ in range(400):
        condition = random_condition(maker)
        names = {name for name in NAMES if maker.random() < 0.5}
        holds, fields = judge(condition, names)
        if holds is None:
            continue
        said += 1
        assert fields and not fields & names
        predicate = compile_condition(condition)
        for _ in range(20):
            event = {name: maker.choice(("x", "y", None)) for name in names if maker.random() < 0.7}
            assert predicate(Subject(event)) is holds
    assert said > 50


def test_a_logsource_that_never_came_and_fields_that_never_came(tmp_path: Path) -> None:
    found = reasons(
        tmp_path,
        seen_of("user", "message"),
        rule("audit", "{s: {type: SYSCALL}, condition: s}", source="{product: linux, service: auditd}"),
        rule("fields", "{s: {pid: 1, tty: 2, user: root}, condition: s}"),
        rule("fine", "{s: {user: root}, n: {tty: x}, condition: s and not n}"),
        rule("words", "{s: ['Failed'], condition: s}"),
        rule("null", "{s: {user: root, tty: null}, condition: s}"),
        rule("either", "{s: {tty: x}, o: {user: root}, condition: 1 of them}"),
    )
    assert found == {
        "audit": "no event of linux, auditd has come",
        "fields": "no event of linux, sshd has the fields pid, tty",
    }


def test_not_a_word_while_little_was_seen(tmp_path: Path) -> None:
    lacking = rule("lacking", "{s: {tty: x}, condition: s}")
    early = report(in_force(tmp_path, lacking), seen_of("user", events=LEAST_EVENTS - 1))
    assert (early.enough, early.never, early.events) == (False, [], LEAST_EVENTS - 1)
    seen = seen_of("user", service="cron")
    for number in range(LEAST_OF_KIND):
        assert ("lacking" in reasons(tmp_path, seen, lacking)) is (number == 0)
        seen.note(LogSource("linux", frozenset(), frozenset({"sshd"})), {"user": "x"})
    assert "lacking" in reasons(tmp_path, seen, lacking)


def test_fields_that_come_but_never_together(tmp_path: Path) -> None:
    seen = seen_of("user")
    for _ in range(LEAST_OF_KIND):
        seen.note(LogSource("linux", frozenset({"other"}), frozenset({"sshd"})), {"tty": "x"})
    both = rule("both", "{s: {tty: x, user: root}, condition: s}")
    assert reasons(tmp_path, seen, both) == {"both": "no event of linux, sshd has all the fields that it needs"}


def test_nothing_is_said_of_a_kind_whose_fields_are_too_many_to_know(tmp_path: Path) -> None:
    seen = seen_of(*(f"name{number}" for number in range(600)))
    assert reasons(tmp_path, seen, rule("lacking", "{s: {tty: x}, condition: s}")) == {}


def test_correlations_of_rules_that_never_match(tmp_path: Path) -> None:
    base = [
        rule("good", "{s: {user: root}, condition: s}"),
        rule("bad", "{s: {tty: x}, condition: s}"),
        rule("worse", "{s: {pid: x}, condition: s}"),
    ]
    found = reasons(
        tmp_path,
        seen_of("user", "src_ip"),
        *base,
        correlation("counted", "good, bad", "{gte: 3}"),
        correlation("lost", "bad, worse", "{gte: 3}"),
        correlation("together", "good, bad", "{gte: 2}", kind="temporal"),
        correlation("one_of", "good, bad", "{gte: 1}", kind="temporal"),
        correlation("ordered", "good, bad", "{gte: 2}", kind="temporal_ordered"),
        correlation("grouped", "good", "{gte: 3}", group="dst_ip"),
        correlation("chained", "lost", "{gte: 3}"),
        correlation("valued", "good", "{gte: 3, field: tty}", kind="value_count"),
    )
    assert found.keys() == {"bad", "worse", "lost", "together", "ordered", "grouped", "chained", "valued"}
    assert found["together"] == "bad, which it refers to, can never take part: no event of linux, sshd has the field tty"
    assert found["grouped"].endswith("the field dst_ip") and found["chained"].startswith("lost, which it refers to")


def test_extended_conditions_of_correlations(tmp_path: Path) -> None:
    base = [rule("good", "{s: {user: root}, condition: s}"), rule("bad", "{s: {tty: x}, condition: s}")]
    found = reasons(
        tmp_path,
        seen_of("user", "src_ip"),
        *base,
        correlation("needs_both", "good, bad", "good and bad", kind="temporal"),
        correlation("needs_one", "good, bad", "good or bad", kind="temporal"),
        correlation("without", "good, bad", "good and not bad", kind="temporal"),
    )
    assert found.keys() == {"bad", "needs_both"}
