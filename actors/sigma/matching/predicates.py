"""Conditions as fast predicates: a condition in, one function of an event out. Pure.

Strings that are alternatives of one field are compared together: equal ones by a set, prefixes and suffixes each in one
call. Of a conjunction or disjunction the cheapest parts are tried first.
"""

from __future__ import annotations

import ipaddress
import operator
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache

import ahocorasick

from actors.sigma.matching.conditions import (
    MESSAGE,
    AllOf,
    AnyOf,
    Comparison,
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
    TimePart,
)
from actors.sigma.matching.expressions import Test, compile_search
from actors.sigma.matching.patterns import Pattern
from actors.sigma.matching.subject import Subject

MAX_ADDRESS = 64  # characters; no longer text is an address, nor remembered
MANY = 16  # constants that are looked for all at once rather than one by one (Aho, Corasick 1975)

Predicate = Callable[[Subject], bool]

_COMPARE: dict[Comparison, Callable[[float, float], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}
_PARTS: dict[TimePart, Callable[[datetime], int]] = {
    "minute": lambda moment: moment.minute,
    "hour": lambda moment: moment.hour,
    "day": lambda moment: moment.day,
    "week": lambda moment: moment.isocalendar().week,
    "month": lambda moment: moment.month,
    "year": lambda moment: moment.year,
}
_COMPARE_TEXTS: dict[str, Callable[[str, str], bool]] = {
    "equals": operator.eq,
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": operator.contains,
}


def compile_condition(condition: Condition) -> Predicate:
    """Return the predicate of a condition."""
    if isinstance(condition, AllOf):
        return _all_of([compile_condition(each) for each in sorted(condition.parts, key=_cost)])
    if isinstance(condition, AnyOf):
        return _compile_alternatives(condition.parts)
    if isinstance(condition, Not):
        inner = compile_condition(condition.part)
        return lambda subject: not inner(subject)
    return _compile_leaf(condition)


def _cost(condition: Condition) -> int:
    """Return a rough price of trying a condition, for the order."""
    if isinstance(condition, AllOf | AnyOf):
        return sum(map(_cost, condition.parts))
    if isinstance(condition, Not):
        return _cost(condition.part)
    if isinstance(condition, Exists | Null):
        return 1
    if isinstance(condition, Text):
        return (2 if condition.pattern.kind()[0] == "equals" else 3) + 2 * (condition.field == MESSAGE)
    return 2 if isinstance(condition, Number) else 8


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


def _compile_alternatives(parts: Iterable[Condition]) -> Predicate:
    """Compile an OR; texts without regard to case that are compared with the same field are taken together."""
    patterns: dict[str, list[Pattern]] = {}
    others: list[Condition] = []
    for part in parts:
        if isinstance(part, Text) and not part.cased:
            patterns.setdefault(part.field, []).append(part.pattern)
        else:
            others.append(part)
    predicates = [_test_folded(field, any_pattern(those)) for field, those in patterns.items()]
    return _any_of(predicates + [compile_condition(each) for each in sorted(others, key=_cost)])


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
    if len(inside) >= MANY and all(inside):
        automaton = ahocorasick.Automaton(ahocorasick.STORE_LENGTH)
        for constant in inside:
            automaton.add_word(constant)
        automaton.make_automaton()
        return lambda text: next(automaton.iter(text), None) is not None

    def test(text: str) -> bool:
        for constant in inside:  # noqa: SIM110
            if constant in text:
                return True
        return False

    return test


# -- leaves


def _compile_leaf(leaf: Leaf) -> Predicate:
    if isinstance(leaf, Text):
        test = leaf.pattern.test()
        return _test_texts(leaf.field, test) if leaf.cased else _test_folded(leaf.field, test)
    if isinstance(leaf, Exists):
        field, wanted = leaf.field, leaf.wanted
        return lambda subject: subject.has(field) is wanted
    if isinstance(leaf, Null):
        field = leaf.field
        return lambda subject: subject.raw(field) is None
    if isinstance(leaf, SameAs):
        return _compare_fields(leaf)
    return _test_texts(leaf.field, _test_of(leaf))


def _test_of(leaf: Number | Moment | Expression | Network) -> Test:
    if isinstance(leaf, Number):
        return _test_of_number(leaf.value, _COMPARE[leaf.comparison])
    if isinstance(leaf, Moment):
        return _test_of_moment(leaf)
    if isinstance(leaf, Network):
        network = ipaddress.ip_network(leaf.network)
        return lambda text: _is_inside(text, network)
    return compile_search(leaf.text, leaf.flags)


def _test_folded(field: str, test: Test) -> Predicate:
    """Return the predicate that a test holds for any value of a field, without regard to case."""
    if field == MESSAGE:
        return lambda subject: test(subject.folded_message()[0])

    def holds(subject: Subject) -> bool:
        for text in subject.folded(field):  # noqa: SIM110
            if test(text):
                return True
        return False

    return holds


def _test_texts(field: str, test: Test) -> Predicate:
    """Return the predicate that a test holds for any value of a field, as it is written."""
    if field == MESSAGE:
        return lambda subject: test(subject.message)

    def holds(subject: Subject) -> bool:
        for text in subject.texts(field):  # noqa: SIM110
            if test(text):
                return True
        return False

    return holds


def _test_of_number(wanted: float, compare: Callable[[float, float], bool]) -> Test:
    def test(text: str) -> bool:
        try:
            return compare(float(text), wanted)
        except ValueError:
            return False

    return test


def _test_of_moment(moment: Moment) -> Test:
    part_of, wanted = _PARTS[moment.part], moment.value

    def test(text: str) -> bool:
        try:
            return part_of(datetime.fromisoformat(text)) == wanted
        except ValueError:
            return False

    return test


@lru_cache(maxsize=4_096)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_inside(text: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    address = _address(text) if len(text) <= MAX_ADDRESS else None
    if address is None:
        return False
    mapped = address.ipv4_mapped if address.version == 6 else None  # as a socket for both families has it
    return address in network or (mapped is not None and mapped in network)


def _compare_fields(leaf: SameAs) -> Predicate:
    field, other_field, compare = leaf.field, leaf.other, _COMPARE_TEXTS[leaf.how]

    def holds(subject: Subject) -> bool:
        others = subject.folded(other_field)
        return any(compare(text, other) for text in subject.folded(field) for other in others)

    return holds
