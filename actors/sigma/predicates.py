"""Conditions of rules as fast predicates: pySigma's parsed condition in, one function of an event out. Pure.

pySigma has applied the modifiers by then: what is left are AND, OR, NOT and comparisons of one field with one value, or
of the whole message with a keyword. Strings that are alternatives of one field are compared together: equal ones by a set,
prefixes and suffixes each in one call. What cannot be evaluated is refused here, when the rule is loaded.
(Sigma rules specification 2.1; modifiers appendix 2.1.)
"""

from __future__ import annotations

import ipaddress
import operator
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.types import (
    CompareOperators,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SpecialChars,
    TimestampPart,
)

from actors.sigma.expressions import ExpressionError, compile_expression
from actors.sigma.patterns import Part, Pattern, Test, Wildcard
from actors.sigma.subject import Subject

Predicate = Callable[[Subject], bool]

_WILDCARDS = {SpecialChars.WILDCARD_MULTI: Wildcard.ANY, SpecialChars.WILDCARD_SINGLE: Wildcard.ONE}
_COMPARE: dict[CompareOperators, Callable[[float, float], bool]] = {
    CompareOperators.LT: operator.lt,
    CompareOperators.LTE: operator.le,
    CompareOperators.GT: operator.gt,
    CompareOperators.GTE: operator.ge,
    CompareOperators.NEQ: operator.ne,
}
_PARTS: dict[TimestampPart, Callable[[datetime], int]] = {
    TimestampPart.MINUTE: lambda moment: moment.minute,
    TimestampPart.HOUR: lambda moment: moment.hour,
    TimestampPart.DAY: lambda moment: moment.day,
    TimestampPart.WEEK: lambda moment: moment.isocalendar().week,
    TimestampPart.MONTH: lambda moment: moment.month,
    TimestampPart.YEAR: lambda moment: moment.year,
}


class CannotEvaluate(ValueError):
    """Something in a condition that this engine does not evaluate; the message says what."""


def compile_condition(condition: Any) -> Predicate:
    """Return the predicate of a parsed and postprocessed condition. Raises CannotEvaluate."""
    if isinstance(condition, ConditionAND):
        return _all_of([compile_condition(each) for each in condition.args])
    if isinstance(condition, ConditionOR):
        return _compile_alternatives(condition.args)
    if isinstance(condition, ConditionNOT):
        inner = compile_condition(condition.args[0])
        return lambda subject: not inner(subject)
    if isinstance(condition, ConditionFieldEqualsValueExpression):
        return _compare_field(condition.field, condition.value)
    if isinstance(condition, ConditionValueExpression):
        return _compare_message(condition.value)
    raise CannotEvaluate(f"a condition of the kind {type(condition).__name__}")


def _all_of(predicates: Sequence[Predicate]) -> Predicate:
    if len(predicates) == 1:
        return predicates[0]
    if len(predicates) == 2:
        one, two = predicates
        return lambda subject: one(subject) and two(subject)

    def holds(subject: Subject) -> bool:
        for predicate in predicates:  # noqa: SIM110  a generator costs twice as much here
            if not predicate(subject):
                return False
        return True

    return holds


def _any_of(predicates: Sequence[Predicate]) -> Predicate:
    if len(predicates) == 1:
        return predicates[0]

    def holds(subject: Subject) -> bool:
        for predicate in predicates:  # noqa: SIM110
            if predicate(subject):
                return True
        return False

    return holds


# -- alternatives


def _compile_alternatives(args: Iterable[Any]) -> Predicate:
    """Compile an OR; plain strings that are compared with the same field are taken together."""
    strings: dict[str, list[Pattern]] = {}
    predicates: list[Predicate] = []
    for arg in args:
        value = getattr(arg, "value", None)
        if isinstance(arg, ConditionFieldEqualsValueExpression) and type(value) is SigmaString:
            strings.setdefault(arg.field, []).append(pattern_of(value).folded())
        else:
            predicates.append(compile_condition(arg))
    for field, patterns in strings.items():
        predicates.append(_field_test(field, any_pattern(patterns), folded=True))
    return _any_of(predicates)


def any_pattern(patterns: Sequence[Pattern]) -> Test:
    """Return the test whether any of the patterns matches a text."""
    by_kind: dict[str, list[str]] = {}
    tests: list[Test] = []
    for pattern in patterns:
        kind, constant = pattern.kind()
        if kind == "general":
            tests.append(pattern.test())
        else:
            by_kind.setdefault(kind, []).append(constant)
    if equal := frozenset(by_kind.get("equals", ())):
        tests.insert(0, equal.__contains__)
    if prefixes := tuple(by_kind.get("startswith", ())):
        tests.insert(0, lambda text: text.startswith(prefixes))
    if suffixes := tuple(by_kind.get("endswith", ())):
        tests.insert(0, lambda text: text.endswith(suffixes))
    if inside := tuple(by_kind.get("contains", ())):
        tests.append(_test_inside(inside))
    return tests[0] if len(tests) == 1 else lambda text: any(test(text) for test in tests)


def _test_inside(inside: tuple[str, ...]) -> Test:
    if len(inside) == 1:
        only = inside[0]
        return lambda text: only in text

    def test(text: str) -> bool:
        for constant in inside:  # noqa: SIM110
            if constant in text:
                return True
        return False

    return test


# -- comparisons


def pattern_of(value: SigmaString) -> Pattern:
    """Return the pattern of a string of pySigma. Raises CannotEvaluate if a placeholder is left in it."""
    parts: list[Part] = []
    for part in value.s:
        if isinstance(part, SpecialChars):
            parts.append(_WILDCARDS[part])
        elif isinstance(part, str):
            parts.append(part)
        else:
            raise CannotEvaluate(f"the placeholder %{getattr(part, 'name', part)}%, for which no pipeline has a value")
    return Pattern.of(parts)


def _field_test(field: str, test: Test, *, folded: bool) -> Predicate:
    """Return the predicate that a test holds for any value of a field."""
    get = Subject.folded if folded else Subject.texts

    def holds(subject: Subject) -> bool:
        for text in get(subject, field):  # noqa: SIM110
            if test(text):
                return True
        return False

    return holds


def _compare_field(field: str, value: Any) -> Predicate:
    if isinstance(value, SigmaExpansion):
        return _any_of([_compare_field(field, each) for each in value.values])
    if isinstance(value, SigmaCasedString):
        return _field_test(field, pattern_of(value).test(), folded=False)
    if isinstance(value, SigmaString):
        return _field_test(field, pattern_of(value).folded().test(), folded=True)
    if isinstance(value, SigmaTimestampPart):
        return _field_test(field, _test_of_moment(value), folded=False)
    if isinstance(value, SigmaNumber):
        return _field_test(field, _test_of_number(float(value.number), operator.eq), folded=False)
    if isinstance(value, SigmaCompareExpression):
        return _field_test(field, _test_of_number(float(value.number.number), _COMPARE[value.op]), folded=False)
    if isinstance(value, SigmaBool):
        return _field_test(field, str(value.boolean).lower().__eq__, folded=True)
    if isinstance(value, SigmaExists):
        return (lambda subject: subject.has(field)) if value.exists else (lambda subject: not subject.has(field))
    if isinstance(value, SigmaNull):
        return lambda subject: subject.raw(field) is None
    if isinstance(value, SigmaRegularExpression):
        return _field_test(field, expression_test(value), folded=False)
    if isinstance(value, SigmaCIDRExpression):
        return _field_test(field, lambda text: _is_inside(text, value.network), folded=False)
    if isinstance(value, SigmaFieldReference):
        return _compare_fields(field, value)
    raise CannotEvaluate(f"a value of the kind {type(value).__name__}")


def _compare_message(value: Any) -> Predicate:
    """A keyword: it stands anywhere in the message."""
    if isinstance(value, SigmaExpansion):
        return _any_of([_compare_message(each) for each in value.values])
    if isinstance(value, SigmaRegularExpression):
        search = expression_test(value)
        return lambda subject: search(subject.message)
    if isinstance(value, SigmaNumber):
        value = SigmaString(str(value.number))
    if not isinstance(value, SigmaString):
        raise CannotEvaluate(f"a keyword of the kind {type(value).__name__}")
    around = pattern_of(value).anywhere()
    if isinstance(value, SigmaCasedString):
        cased = around.test()
        return lambda subject: cased(subject.message)
    test = around.folded().test()
    return lambda subject: test(subject.folded_message()[0])


def _test_of_number(wanted: float, compare: Callable[[float, float], bool]) -> Test:
    def test(text: str) -> bool:
        try:
            return compare(float(text), wanted)
        except ValueError:
            return False

    return test


def _test_of_moment(value: SigmaTimestampPart) -> Test:
    part_of, wanted = _PARTS[value.timestamp_part], value.number

    def test(text: str) -> bool:
        try:
            return part_of(datetime.fromisoformat(text)) == wanted
        except ValueError:
            return False

    return test


def expression_test(value: SigmaRegularExpression) -> Test:
    """Return the search for a regular expression. Raises CannotEvaluate."""
    text = str(value.regexp)
    try:
        expression = compile_expression(text, sum(value.sigma_to_python_flags[flag] for flag in value.flags))
    except ExpressionError as error:
        raise CannotEvaluate(f"the regular expression {text!r}: {error}") from error
    return lambda subject: expression.search(subject) is not None


@lru_cache(maxsize=4_096)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_inside(text: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    address = _address(text)
    return address is not None and address.version == network.version and address in network


def _compare_fields(field: str, value: SigmaFieldReference) -> Predicate:
    """Compare with what another field of the same event holds, without regard to case."""
    starts, ends = value.starts_with, value.ends_with

    def holds(subject: Subject) -> bool:
        for text in subject.folded(field):
            for other in subject.folded(value.field):
                if starts and ends:
                    found = other in text
                elif starts:
                    found = text.startswith(other)
                elif ends:
                    found = text.endswith(other)
                else:
                    found = text == other
                if found:
                    return True
        return False

    return holds
