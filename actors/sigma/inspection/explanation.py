"""Why a rule matches an event or does not: clause by clause, which held, which failed, which field was missing. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from actors.sigma.matching.conditions import (
    MESSAGE,
    AllOf,
    AnyOf,
    Condition,
    Exists,
    Expression,
    Leaf,
    Moment,
    Network,
    Not,
    Null,
    Number,
    SameAs,
    Text,
)
from actors.sigma.matching.patterns import Pattern
from actors.sigma.matching.predicates import compile_condition
from actors.sigma.matching.subject import Subject

MAX_SHOWN = 120  # characters of a value
_COMPARISONS = {"eq": "=", "ne": "≠", "lt": "<", "lte": "≤", "gt": ">", "gte": "≥"}


class Clause(msgspec.Struct, frozen=True):
    """One part of a condition, and whether it holds."""

    depth: int
    text: str
    holds: bool
    missing: bool = False  # the field is not there

    @property
    def mark(self) -> str:
        return "holds" if self.holds else "no field" if self.missing else "fails"


def explain(condition: Condition, subject: Subject, depth: int = 0) -> Iterator[Clause]:
    """Yield every clause of a condition in its order, inner ones deeper."""
    holds = compile_condition(condition)(subject)
    if isinstance(condition, AllOf | AnyOf):
        yield Clause(depth, "all of" if isinstance(condition, AllOf) else "one of", holds)
        for part in condition.parts:
            yield from explain(part, subject, depth + 1)
    elif isinstance(condition, Not):
        yield Clause(depth, "not", holds)
        yield from explain(condition.part, subject, depth + 1)
    else:
        missing = condition.field != MESSAGE and not subject.has(condition.field)
        yield Clause(depth, f"{condition.field or 'the message'} {_shorten(_say(condition))}", holds, missing)


def _say(leaf: Leaf) -> str:
    """Return in words what a leaf wants of its field."""
    if isinstance(leaf, Text):
        return _say_pattern(leaf.pattern) + (" (in this case)" if leaf.cased else "")
    if isinstance(leaf, Number):
        return f"{_COMPARISONS[leaf.comparison]} {leaf.value:g}"
    if isinstance(leaf, Moment):
        return f"is a time of {leaf.part} {leaf.value}"
    if isinstance(leaf, Exists):
        return "is there" if leaf.wanted else "is not there"
    if isinstance(leaf, Null):
        return "is null or not there"
    if isinstance(leaf, Expression):
        return f"matches /{leaf.text}/"
    if isinstance(leaf, Network):
        return f"is inside {leaf.network}"
    assert isinstance(leaf, SameAs)
    return f"{leaf.how} the field {leaf.other}"


def _say_pattern(pattern: Pattern) -> str:
    kind, constant = pattern.kind()
    if kind == "general":
        return "is like " + "".join(part if isinstance(part, str) else "*?"[part] for part in pattern.parts)
    words = {"equals": "=", "startswith": "starts with", "endswith": "ends with", "contains": "holds"}
    return f"{words[kind]} {constant!r}"


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} …"
