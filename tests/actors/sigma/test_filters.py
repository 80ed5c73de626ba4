from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from actors.sigma.matching.predicates import compile_condition
from actors.sigma.matching.subject import Subject
from actors.sigma.rules.filters import apply_filters
from actors.sigma.rules.library import Sources
from actors.sigma.rules.loading import Reader
from actors.sigma.rules.rule import Refusal, Rule

SSHD = """
title: Login as root
name: root_login
id: 0e95725d-7320-415d-80f7-004da920fc11
logsource: {product: linux, service: sshd}
detection:
    selection_user: {user: root}
    selection_app: {app: sshd}
    condition: all of selection_*
"""
CRON = """
title: Job
name: job
logsource: {product: linux, service: cron}
detection: {keywords: [CMD], condition: keywords}
"""
ROOT = {"user": "root", "app": "sshd"}


def make(document: dict[str, Any]) -> Any:
    return Reader(Sources()).make(document, Path("here.yml"), 1, "")


def rule(text: str) -> Rule:
    made = make(yaml.safe_load(text))
    assert isinstance(made, Rule)
    return made


def a_filter(
    rules: Any, condition: str = "not selection_jump", logsource: dict[str, str] | None = None, **selections: Any
) -> Any:
    parts = {"rules": rules, "selection_jump": {"src_ip|cidr": "10.0.0.0/24"}, "condition": condition, **selections}
    return make({"title": "Jump hosts", "logsource": logsource or {"product": "linux"}, "filter": parts})


def matches(one: Rule, fields: dict[str, Any]) -> bool:
    return compile_condition(one.condition)(Subject(fields))


@pytest.mark.parametrize("reference", ["root_login", ["root_login"], ["0E95725D-7320-415D-80F7-004da920fc11"], "any", []])
def test_a_filter_excludes_by_name_by_id_and_everywhere(reference: Any) -> None:
    given = rule(SSHD)
    (changed,), refused = apply_filters([given], [a_filter(reference)])
    assert not refused
    assert not matches(changed, ROOT | {"src_ip": "10.0.0.9"})
    assert matches(changed, ROOT | {"src_ip": "10.0.1.9"}) and matches(changed, ROOT)
    assert not matches(changed, {"user": "eve", "app": "sshd"})
    assert matches(given, ROOT | {"src_ip": "10.0.0.9"})  # what was given is as it was


def test_a_filter_may_also_demand() -> None:
    (changed,), _ = apply_filters([rule(SSHD)], [a_filter("any", "selection_jump")])
    assert matches(changed, ROOT | {"src_ip": "10.0.0.9"}) and not matches(changed, ROOT)


def test_filters_add_up_and_keep_their_selections_apart() -> None:
    second = a_filter("any", "not 1 of selection_*", selection_host={"host": "lab"})
    third = a_filter("any", "not all of them", selection_host={"host": "attic"})
    (changed,), _ = apply_filters([rule(SSHD)], [second, third])
    assert matches(changed, ROOT | {"host": "attic"})
    assert not matches(changed, ROOT | {"host": "lab"})
    assert not matches(changed, ROOT | {"src_ip": "10.0.0.1"})


def test_any_number_of_filters_may_be_added_to_a_rule() -> None:
    many = [a_filter("any", selection_jump={"host": f"h{number}"}) for number in range(1_500)]
    (changed,), _ = apply_filters([rule(SSHD)], many)
    assert matches(changed, ROOT | {"host": "other"}) and not matches(changed, ROOT | {"host": "h700"})


def test_a_filter_for_all_changes_only_its_logsource() -> None:
    given = [rule(SSHD), rule(CRON)]
    changed, refused = apply_filters(given, [a_filter("any", logsource={"product": "linux", "service": "sshd"})])
    assert changed[1] is given[1] and changed[0] is not given[0] and not refused


def test_what_is_named_and_cannot_be_changed_is_refused_and_the_rest_changed() -> None:
    each = a_filter(["gone", "job", "root_login"], logsource={"service": "sshd"})
    changed, refused = apply_filters([rule(SSHD), rule(CRON)], [each])
    reasons = [fault.reason for fault in refused]
    assert reasons == ["rules: no rule has the name or id gone", "rules: job is for another logsource"]
    assert not matches(changed[0], ROOT | {"src_ip": "10.0.0.9"})


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"title": "x", "filter": {"rules": "any", "a": {"b": 1}, "condition": "not a"}}, "log source"),
        ({"title": "x", "logsource": {"product": "linux"}, "filter": {"a": {"b": 1}, "condition": "not a"}}, "rules"),
        ({"title": "x", "logsource": {"product": "linux"}, "filter": {"rules": "any", "a": {"b": 1}}}, "condition"),
        ({"title": "x", "logsource": {"product": "linux"}, "filter": {"rules": "any", "a": {"b": 1}, "condition": "not b"}}, "b"),
        (
            {
                "title": "x",
                "logsource": {"product": "linux"},
                "filter": {"rules": "any", "a": {"b|re": "(?=x)"}, "condition": "a"},
            },
            "(?=",
        ),
        ({"title": "x", "logsource": {"product": "linux"}, "filter": 7}, "filter"),
    ],
)
def test_a_faulty_filter_is_refused_with_a_reason(document: dict[str, Any], reason: str) -> None:
    refused = make(document)
    assert isinstance(refused, Refusal) and reason in refused.reason
