from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.sigma.matching.expressions import ExpressionError, compile_expression, compile_match, compile_search
from actors.sigma.matching.literals import clauses_of_expression


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("abc", [{"abc"}]),
        ("^ABC$", [{"abc"}]),
        (r"a\.b\\c", [{r"a.b\c"}]),
        (r"ab\dcd", [{"ab"}, {"cd"}]),
        ("abc?d", [{"ab"}, {"d"}]),
        ("abc+d", [{"abc"}, {"cd"}]),
        ("ab{0,2}c", [{"a"}, {"c"}]),
        ("ab{3}c", [{"ab"}, {"bc"}]),
        ("ab{1}c", [{"ab"}, {"bc"}]),
        ("ab[xyz]+cd", [{"ab"}, {"cd"}]),
        ("x[]^a]y", [{"x"}, {"y"}]),
        ("x[[:alpha:]a]y", [{"x"}, {"y"}]),
        ("(?i)set.*(environment|invoke)", [{"set"}, {"environment", "invoke"}]),
        ("a(?:bc|)d", [{"a"}, {"d"}]),
        ("(?P<name>foo)?bar", [{"bar"}]),
        ("(foo|ba.)baz", [{"foo", "ba"}, {"baz"}]),
        ("a|b", [{"a", "b"}]),
        ("a|.", []),
        (r"a\x41bc", []),
        (r"\pNabc", []),
        ("a{,3}b", []),
        ("(abc", []),
    ],
)
def test_words_of_expressions(text: str, wanted: list[set[str]]) -> None:
    assert [set(clause) for clause in clauses_of_expression(text)] == wanted


PIECES = ["a", "b", "B", ".", r"\.", r"\d", r"\\", "[ab]", "[^a]", "[]a]", "(", "(?:", "(?i)", ")", "|", "*", "+", "?", "{2}", "{0,1}", "{1,}", "^", "$", "+?", r"\b", "1"]  # noqa: E501


@settings(max_examples=3_000)
@given(st.lists(st.sampled_from(PIECES), max_size=12), st.text("aAbB1.\\", max_size=9))
def test_a_text_that_matches_holds_a_word_of_every_clause(pieces: list[str], text: str) -> None:
    expression = "".join(pieces)
    try:
        found = compile_expression(expression).search(text)
    except ExpressionError:
        return
    if found is not None:
        assert all(any(word in text.lower() for word in clause) for clause in clauses_of_expression(expression)), expression


@settings(max_examples=1_000)
@given(st.lists(st.sampled_from(PIECES), max_size=12), st.text("aAbB1.\\\n\ud800é", max_size=9))
def test_a_search_says_what_the_expression_says(pieces: list[str], text: str) -> None:
    expression = "".join(pieces)
    try:
        search, match = compile_search(expression), compile_match(expression)
    except ExpressionError:
        return
    compiled, clean = compile_expression(expression), text.replace("\ud800", "?")
    assert search(text) is (compiled.search(clean) is not None)
    assert match(text) is (compiled.fullmatch(clean) is not None)
