from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaError

from actors.sigma.matching.conditions import Text
from actors.sigma.matching.patterns import Pattern, Wildcard
from actors.sigma.matching.predicates import _address, compile_condition
from actors.sigma.matching.prefilter import Prefilter, text_of
from actors.sigma.matching.subject import Subject
from actors.sigma.rules.translation import CannotEvaluate, read_condition
from tests.actors.sigma import reference
from tests.actors.sigma.pairs import differences

RULE = """
title: t
logsource: {{product: linux}}
detection:
    selection:
        {item}
    condition: selection
"""


def predicate(item: str):  # type: ignore[no-untyped-def]
    (rule,) = SigmaCollection.from_yaml(RULE.format(item=item)).rules
    (condition,) = rule.detection.parsed_condition  # type: ignore[union-attr]
    return compile_condition(read_condition(condition.parsed))


def test_the_engine_says_what_the_specification_says() -> None:
    assert differences(seed=int(os.environ.get("SIGMA_SEED", "1")), rules=150, events=20) == []


@given(
    st.lists(st.sampled_from(["a", "b", "ab", Wildcard.ANY, Wildcard.ONE]), max_size=7),
    st.text("ab", max_size=9),
)
def test_patterns_match_as_the_reference_does(parts: list[str | Wildcard], text: str) -> None:
    merged = Pattern.of(parts)
    written = "".join("*?"[part] if isinstance(part, Wildcard) else part for part in parts)
    assert merged.test()(text) == reference.matches(reference.tokens(written), text, cased=True)


@pytest.mark.parametrize(
    ("item", "field", "matching", "other"),
    [
        (r"f: 'C:\Windows\\*'", "f", r"c:\windows\x", r"c:\windowsx"),
        (r"f: 'a\*b'", "f", "A*b", "axb"),
        (r"f: 'a\\*'", "f", r"a\xyz", "a*"),
        (r"f: 'a\\\*'", "f", r"a\*", r"a\x"),
        ("f|base64offset|contains: 'foobar'", "f", "xxZm9vYmFyxx", "foobar"),
        ("f|base64: 'foobar'", "f", "Zm9vYmFy", "Zm9vYmF"),
        ("f|wide|base64offset|contains: 'ping'", "f", "cABpAG4AZw==", "cGluZw=="),
        ("f|windash|contains: ' -enc'", "f", "x /enc", "x enc"),
        ("f|contains|all: [a, b]", "f", "xbxa", "xbx"),
        ("f|re: '^a.c$'", "f", "abc", "ABC"),
        ("f|re|i: '^a.c$'", "f", "ABC", "abcd"),
        ("f|re|s: 'a.c'", "f", "a\nc", "a\n\nc"),
        ("f|cidr: '2001:db8::/32'", "f", "2001:DB8::1", "2001:db9::1"),
        ("f|cidr: '10.0.0.0/8'", "f", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
        ("f|contains: 'ΟΔΟΣ'", "f", "xΟΔΟΣα", "xΟΔΟΤα"),
        ("f: 'ΟΔΟΣ'", "f", "οδος", "οδοσσ"),
        ("f|gte: 5", "f", "5", "4.9"),
        ("f|hour: 3", "f", "2026-05-13T03:04:05Z", "2026-05-13T04:04:05Z"),
        ("f|week: 20", "f", "2026-05-13T03:04:05Z", "2026-05-20T04:04:05Z"),
        ("f: ''", "f", "", "x"),
    ],
)
def test_modifiers(item: str, field: str, matching: str, other: str) -> None:
    holds = predicate(item)
    assert holds(Subject({field: matching}))
    assert not holds(Subject({field: other}))
    assert not holds(Subject({}))


def test_null_empty_and_missing_are_three_things() -> None:
    null, exists = predicate("f: null"), predicate("f|exists: true")
    assert [null(Subject(fields)) for fields in ({}, {"f": None}, {"f": ""})] == [True, True, False]
    assert [exists(Subject(fields)) for fields in ({}, {"f": None}, {"f": ""})] == [False, True, True]


@pytest.mark.parametrize(
    ("item", "reason"),
    [("f|expand: '%admins%'", "the placeholder %admins%"), ("f|re: '(?=a)b'", "invalid perl operator")],
)
def test_what_cannot_be_evaluated_is_refused_with_a_reason(item: str, reason: str) -> None:
    with pytest.raises((CannotEvaluate, SigmaError), match=reason):
        predicate(item)


def test_a_text_that_is_too_long_for_an_address_is_not_remembered() -> None:
    holds, before = predicate("f|cidr: 10.0.0.0/8"), _address.cache_info().currsize
    assert not any(holds(Subject({"f": f"10.0.0.1{'x' * 1_000}{number}"})) for number in range(100))
    assert _address.cache_info().currsize == before and holds(Subject({"f": "10.0.0.1"}))


@pytest.mark.parametrize("value", [r"a\folder", ["x", r"a\folder"], [["x", [r"a\folder"]]], [{"x": 1}, [r"a\folder"]]])
def test_a_rule_that_matches_a_list_is_always_tried(value: object) -> None:
    condition = Text("f", Pattern.of([r"a\folder"]).anywhere())
    fields = {"f": value}
    assert compile_condition(condition)(Subject(fields))
    assert Prefilter([condition]).candidates(text_of(fields, "", ["f"]), fields) == [0]


def test_an_expression_that_backtracks_elsewhere_costs_nothing_here() -> None:
    holds = predicate("f|re: '(a+)+$'")
    assert not holds(Subject({"f": "a" * 50_000 + "b"}))
