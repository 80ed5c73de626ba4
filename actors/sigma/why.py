"""Why a rule matches an event or does not: clause by clause, which held, which failed, which field was missing. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from sigma.conditions import ConditionAND, ConditionFieldEqualsValueExpression, ConditionNOT, ConditionOR
from sigma.types import SigmaExpansion

from actors.sigma.predicates import compile_condition
from actors.sigma.subject import Subject

MAX_SHOWN = 120  # characters of a value


class Clause(msgspec.Struct, frozen=True):
    """One part of a condition, and whether it holds."""

    depth: int
    text: str
    holds: bool
    missing: bool = False  # the field is not there


def explain(condition: Any, subject: Subject, depth: int = 0) -> Iterator[Clause]:
    """Yield every clause of a condition in its order, inner ones deeper."""
    holds = compile_condition(condition)(subject)
    if isinstance(condition, ConditionAND | ConditionOR | ConditionNOT):
        words = {ConditionAND: "all of", ConditionOR: "one of", ConditionNOT: "not"}
        yield Clause(depth, words[type(condition)], holds)
        for inner in condition.args:
            yield from explain(inner, subject, depth + 1)
    elif isinstance(condition, ConditionFieldEqualsValueExpression):
        text = f"{condition.field} {_shown(condition.value)}"
        yield Clause(depth, text, holds, not subject.has(condition.field))
    else:
        yield Clause(depth, f"the message holds {_shown(getattr(condition, 'value', condition))}", holds)


def _shown(value: Any) -> str:
    if isinstance(value, SigmaExpansion):
        text = " or ".join(str(each) for each in value.values)
    else:
        text = f"{type(value).__name__.removeprefix('Sigma')} {value}"
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} …"
