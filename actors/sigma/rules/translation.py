"""pySigma's parsed conditions as the plain data of `matching/conditions.py`. Pure.

What cannot be evaluated is refused here, when the rule is loaded.
"""

from __future__ import annotations

from typing import Any, get_args

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
)

from actors.sigma.matching.conditions import (
    MESSAGE,
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Exists,
    Expression,
    Moment,
    Network,
    Not,
    Null,
    Number,
    SameAs,
    Text,
    TimePart,
)
from actors.sigma.matching.expressions import ExpressionError, compile_expression
from actors.sigma.matching.patterns import Part, Pattern, Wildcard

_WILDCARDS = {SpecialChars.WILDCARD_MULTI: Wildcard.ANY, SpecialChars.WILDCARD_SINGLE: Wildcard.ONE}
_COMPARISONS: dict[CompareOperators, Comparison] = {
    CompareOperators.LT: "lt",
    CompareOperators.LTE: "lte",
    CompareOperators.GT: "gt",
    CompareOperators.GTE: "gte",
    CompareOperators.NEQ: "ne",
}
_TIME_PARTS: dict[str, TimePart] = {part: part for part in get_args(TimePart)}


class CannotEvaluate(ValueError):
    """Something in a condition that this engine does not evaluate; the message says what."""


def read_condition(condition: Any) -> Condition:
    """Return a parsed and postprocessed condition as plain data. Raises CannotEvaluate."""
    if isinstance(condition, ConditionAND):
        return AllOf(tuple(read_condition(each) for each in condition.args))
    if isinstance(condition, ConditionOR):
        return AnyOf(tuple(read_condition(each) for each in condition.args))
    if isinstance(condition, ConditionNOT):
        return Not(read_condition(condition.args[0]))
    if isinstance(condition, ConditionFieldEqualsValueExpression):
        return _read_value(condition.field, condition.value)
    if isinstance(condition, ConditionValueExpression):
        return _read_keyword(condition.value)
    raise CannotEvaluate(f"a condition of the kind {type(condition).__name__}")


def pattern_of(value: SigmaString) -> Pattern:
    """Return the pattern of a string of pySigma. Raises CannotEvaluate if a placeholder is left in it."""
    parts: list[Part] = []
    for part in value.s:
        if isinstance(part, SpecialChars):
            parts.append(_WILDCARDS[part])
        elif isinstance(part, str):
            parts.append(part)
        else:
            raise CannotEvaluate(f"the placeholder %{getattr(part, 'name', part)}%, for which nothing gives a value")
    return Pattern.of(parts)


def _read_text(field: str, value: SigmaString) -> Text:
    pattern = pattern_of(value)
    if field == MESSAGE:
        pattern = pattern.anywhere()
    cased = isinstance(value, SigmaCasedString)
    return Text(field, pattern if cased else pattern.folded(), cased)


def _read_value(field: str, value: Any) -> Condition:
    if isinstance(value, SigmaExpansion):
        return AnyOf(tuple(_read_value(field, each) for each in value.values))
    if isinstance(value, SigmaString):
        return _read_text(field, value)
    if isinstance(value, SigmaTimestampPart):
        return Moment(field, _TIME_PARTS[value.timestamp_part.name.lower()], int(value.number))
    if isinstance(value, SigmaNumber):
        return Number(field, "eq", float(value.number))
    if isinstance(value, SigmaCompareExpression):
        return Number(field, _COMPARISONS[value.op], float(value.number.number))
    if isinstance(value, SigmaBool):
        return Text(field, Pattern.of([str(value.boolean).lower()]))
    if isinstance(value, SigmaExists):
        return Exists(field, bool(value.exists))
    if isinstance(value, SigmaNull):
        return Null(field)
    if isinstance(value, SigmaRegularExpression):
        return _read_expression(field, value)
    if isinstance(value, SigmaCIDRExpression):
        return Network(field, str(value.network))
    if isinstance(value, SigmaFieldReference):
        return _read_reference(field, value)
    raise CannotEvaluate(f"a value of the kind {type(value).__name__}")


def _read_keyword(value: Any) -> Condition:
    if isinstance(value, SigmaExpansion):
        return AnyOf(tuple(_read_keyword(each) for each in value.values))
    if isinstance(value, SigmaRegularExpression):
        return _read_expression(MESSAGE, value)
    if isinstance(value, SigmaNumber):
        value = SigmaString(str(value.number))
    if not isinstance(value, SigmaString):
        raise CannotEvaluate(f"a keyword of the kind {type(value).__name__}")
    return _read_text(MESSAGE, value)


def _read_expression(field: str, value: SigmaRegularExpression) -> Expression:
    text = str(value.regexp)
    flags = int(sum(value.sigma_to_python_flags[flag] for flag in value.flags))
    try:
        compile_expression(text, flags)
    except ExpressionError as error:
        raise CannotEvaluate(f"the regular expression {text!r}: {error}") from error
    return Expression(field, text, flags)


def _read_reference(field: str, value: SigmaFieldReference) -> SameAs:
    if value.starts_with and value.ends_with:
        return SameAs(field, value.field, "contains")
    return SameAs(field, value.field, "startswith" if value.starts_with else "endswith" if value.ends_with else "equals")
