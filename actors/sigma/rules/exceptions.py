"""Exceptions of a site to a rule: scoped, with a reason, and with an end. Pure.

An exception holds of an event if each field that it names has the value it gives: a text without regard to case in which
`*` and `?` stand for anything and for one character, or a network such as `10.0.0.0/8`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

import msgspec

from actors.sigma.matching.conditions import AllOf, Condition, Network, Text
from actors.sigma.matching.patterns import Part, Pattern, Wildcard
from actors.sigma.matching.predicates import Predicate, compile_condition
from actors.sigma.matching.subject import Subject

_WILDCARDS = {"*": Wildcard.ANY, "?": Wildcard.ONE}
FOREVER_NS = (1 << 63) - 1


class RuleException(msgspec.Struct, frozen=True):
    """One exception; it holds of events up to `until_ns`, by their own time."""

    rule: str
    where: dict[str, str] = {}
    until_ns: int = FOREVER_NS
    reason: str = ""


class Exceptions:
    """State: the exceptions, by rule."""

    def __init__(self, exceptions: Sequence[RuleException]) -> None:
        self._by_rule: dict[str, list[tuple[int, Predicate]]] = {}
        for each in exceptions:
            entry = (each.until_ns, compile_condition(condition_of(each.where)))
            self._by_rule.setdefault(each.rule, []).append(entry)

    def hold(self, rule: str, event_ns: int, subject: Subject) -> bool:
        """Tell whether a match of a rule is excepted."""
        entries = self._by_rule.get(rule)
        return entries is not None and any(event_ns < until_ns and holds(subject) for until_ns, holds in entries)


def condition_of(where: dict[str, str]) -> Condition:
    """Return the condition that each of the fields has its value."""
    return AllOf(tuple(_condition(field, value) for field, value in where.items()))


def _condition(field: str, value: str) -> Condition:
    if "/" in value:
        try:
            return Network(field, str(ipaddress.ip_network(value, strict=False)))
        except ValueError:
            pass
    return Text(field, Pattern.of(_parts(value)).folded())


def _parts(value: str) -> Iterator[Part]:
    for letter in value:
        yield _WILDCARDS.get(letter, letter)
