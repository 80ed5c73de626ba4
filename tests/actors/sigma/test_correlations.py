from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml

from actors.sigma.correlation.correlations import Correlation, Criterion, evaluate, resolve
from actors.sigma.rules.correlation_documents import read_correlation
from protocol.records import Attack

UUID = "0e95725d-7320-415d-80f7-004da920fc11"


def correlation(name: str = "many", rules: Any = ("failed",), **parts: Any) -> Correlation:
    given = {"type": "event_count", "rules": list(rules), "group-by": ["src_ip"], "timespan": "1m", "condition": {"gte": 5}}
    given |= {part.replace("_", "-"): value for part, value in parts.items()}
    document = {"title": name, "name": name, "correlation": {key: value for key, value in given.items() if value is not None}}
    return read_correlation(document, "rules/many.yml")


def test_everything_is_read() -> None:
    text = f"""
title: Many failures
id: {UUID}
description: Somebody guesses.
falsepositives: [Forgotten passwords]
level: high
tags: [attack.credential-access, attack.t1110]
generate: true
correlation:
    type: value_count
    rules: failed
    group-by: [who, host]
    timespan: 10m
    aliases: {{who: {{failed: user}}}}
    condition: {{field: src_ip, gt: 3, lte: 10}}
"""
    found = read_correlation(yaml.safe_load(text), "rules/many.yml", 7)
    assert (found.id, found.uuid, found.title, found.level, found.line) == (UUID, UUID, "Many failures", "high", 7)
    assert found.attack == Attack("credential-access", "T1110")
    assert (found.description, found.falsepositives) == ("Somebody guesses.", ("Forgotten passwords",))
    assert (found.type, found.rules, found.group_by, found.timespan_ns) == (
        "value_count",
        ("failed",),
        ("who", "host"),
        600 * 10**9,
    )
    assert found.criteria == (Criterion("gt", 3), Criterion("lte", 10)) and found.fields == ("src_ip",) and found.generate
    assert [found.holds(count) for count in (3, 4, 10, 11)] == [False, True, True, False]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Correlation) == found


def test_the_file_gives_the_name_that_is_missing_and_all_rules_are_the_condition_that_is_missing() -> None:
    document = {"title": "t", "correlation": {"type": "temporal", "rules": ["a", "b", "c"], "timespan": "5m"}}
    found = read_correlation(document, "rules/recon.yml")
    assert (found.id, found.group_by, found.level, found.generate) == ("recon", (), "medium", False)
    assert found.criteria == (Criterion("gte", 3),)


def test_an_extended_condition_is_a_tree() -> None:
    found = read_correlation(
        {"title": "t", "correlation": {"type": "temporal", "timespan": "5m", "condition": "a and (b or not c)"}}, "x.yml"
    )
    assert found.rules == ("a", "b", "c")
    cases = {"": False, "a": True, "ab": True, "ac": False, "abc": True, "bc": False}
    assert {seen: evaluate(found.expression, frozenset(seen)) for seen in cases} == cases


def test_ordered_by_an_extended_condition_has_the_order_of_the_condition() -> None:
    parts = {"type": "temporal_ordered", "rules": ["a", "b"], "timespan": "5m", "condition": "b and a"}
    found = read_correlation({"title": "t", "correlation": parts}, "x.yml")
    assert found.rules == ("b", "a") and found.expression is None
    with pytest.raises(ValueError, match="has an order for `and` only"):
        read_correlation({"title": "t", "correlation": parts | {"condition": "b or a"}}, "x.yml")


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"type": "near"}, "no valid Sigma correlation type"),
        ({"type": None}, "without type"),
        ({"rules": ()}, "rules: are 0"),
        ({"rules": (7,)}, "not all names"),
        ({"rules": [str(number) for number in range(65)]}, "1 to 64"),
        ({"timespan": None}, "without timespan"),
        ({"timespan": "soon"}, "Timespan 'soon' is invalid"),
        ({"timespan": "0s"}, "greater than zero"),
        ({"timespan": "32d"}, "longer than the 31 days"),
        ({"condition": None}, "condition"),
        ({"condition": "failed"}, "temporal"),
        ({"condition": {"gte": 5, "whatever": 1}}, "invalid items: whatever"),
        ({"condition": {"gte": "many"}}, "no valid Sigma correlation condition count"),
        ({"condition": {"gte": 5, "lte": "many"}}, "no valid Sigma correlation condition count"),
        ({"condition": {"gte": 10_001}}, "whole numbers from 0 to 10000"),
        ({"condition": {"gte": 2.5}}, "whole numbers"),
        ({"condition": {"lt": 5}}, "true when nothing has happened"),
        ({"condition": {"neq": 5}}, "true when nothing has happened"),
        ({"condition": {"gte": 0}}, "true when nothing has happened"),
        ({"condition": {"gt": 5, "lt": 5}}, "can never be true"),
        ({"condition": {"gte": 5, "field": "user"}}, "event_count has none"),
        ({"condition": {"gte": 5, "percentile": 5}}, "is for value_percentile"),
        ({"type": "value_count"}, "without field reference"),
        ({"type": "value_sum", "condition": {"gte": 5, "field": ["a", "b"]}}, "has one only"),
        ({"type": "value_sum", "condition": {"lt": 5, "field": "a"}}, "sum of nothing"),
        ({"type": "value_percentile", "condition": {"lt": 5, "field": "a", "percentile": 101}}, "0 to 100"),
        ({"type": "value_count", "condition": {"gte": 5, "field": []}}, "neither a name nor a list"),
        ({"type": "temporal", "condition": {"gte": 2}}, "can never be true"),
        ({"type": "temporal", "condition": "not failed"}, "true when nothing has happened"),
        ({"type": "temporal", "condition": "failed and other"}, "not defined in rules list"),
        ({"type": "temporal", "condition": "failed and ("}, "Failed to parse"),
        ({"type": "temporal_ordered", "rules": ["a", "b"], "condition": {"gte": 1}}, "needs all its rules"),
        ({"aliases": {"who": {"failed": "user"}}}, "neither in group-by nor the field"),
        ({"aliases": {"src_ip": {}}}, "does not have a field for every rule"),
        ({"aliases": {"src_ip": "user"}}, "must be a dict"),
        ({"generate": "yes"}, "boolean"),
        ({"group_by": {"a": 1}}, "string or list"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_with_a_reason(parts: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        correlation(**parts)


@pytest.mark.parametrize(
    "document", [{}, {"correlation": 7}, {"title": "t", "correlation": {"type": 7}}, {"title": "t", "id": "7"}]
)
def test_what_has_another_form_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        read_correlation(document, "x.yml")


def test_references_are_resolved_by_name_and_id_and_chains_come_in_order() -> None:
    outer = correlation("outer", ["many", "success"], type="temporal_ordered", condition=None)
    many = correlation("many", [UUID.upper()], group_by=["who"], aliases={"who": {UUID: "user"}})
    found = resolve([outer, many], {"failed": "failed", UUID: "failed", "success": "success"})
    assert not found.refused
    assert [each.id for each in found.correlations] == ["many", "outer"]
    assert found.correlations[0].rules == ("failed",) and found.correlations[0].aliases == {"who": {"failed": "user"}}
    assert found.correlations[1].rules == ("many", "success")
    assert found.silent() == {"failed", "many", "success"}


def test_generate_lets_the_rules_alert_on_their_own() -> None:
    found = resolve([correlation("loud", ["a"], generate=True), correlation("quiet", ["b"])], {"a": "a", "b": "b"})
    assert found.silent() == {"b"}


def test_what_cannot_be_resolved_is_refused_and_all_else_is_not() -> None:
    rules = {"a": "a", "also_a": "a", "b": "b"}
    given = [
        correlation("good", ["a"]),
        correlation("good", ["b"]),
        correlation("b", ["a"]),
        correlation("lost", ["nowhere"]),
        correlation("after_lost", ["lost"]),
        correlation("self", ["self"]),
        correlation("one", ["two"]),
        correlation("two", ["three", "a"], type="temporal", condition=None),
        correlation("three", ["one"]),
        correlation("behind", ["three"]),
        correlation("twice", ["a", "also_a"]),
        correlation("alias", ["a"], aliases={"src_ip": {"b": "x"}}),
    ]
    found = resolve(given, rules)
    assert [each.id for each in found.correlations] == ["good"]
    reasons = {each.id: reason for each, reason in found.refused if each is not given[1]}
    assert reasons == {
        "b": "name: b is taken",
        "lost": "rules: no rule has the name or id nowhere",
        "after_lost": "rules: lost is refused itself",
        "self": "rules: refers to itself, directly or by way of others",
        "one": "rules: refers to itself, directly or by way of others",
        "two": "rules: refers to itself, directly or by way of others",
        "three": "rules: refers to itself, directly or by way of others",
        "behind": "rules: refers to itself, directly or by way of others",
        "twice": "rules: one is named twice",
        "alias": "aliases: name other rules than the correlation",
    }
    assert (given[1], "name: good is taken") in found.refused
