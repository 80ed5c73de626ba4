"""Correlations as plain data, and which rules they refer to (Sigma correlation rules specification 2.1). Pure."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

import msgspec

from protocol.findings import AlertSeverity
from protocol.records import Attack

MAX_COUNT = 10_000  # that a condition counts to; what decides it has to be remembered for every group
MAX_RULES = 64  # that one correlation refers to
MAX_TIMESPAN_S = 31 * 86_400

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    name: getattr(operator, python)
    for name, python in {"gt": "gt", "gte": "ge", "lt": "lt", "lte": "le", "eq": "eq", "neq": "ne"}.items()
}
COUNTS = ("event_count", "value_count", "temporal", "temporal_ordered")
NUMBERS = ("value_sum", "value_avg", "value_percentile", "value_median")


class Criterion(msgspec.Struct, frozen=True):
    """One comparison of a condition."""

    operator: str  # `gt gte lt lte eq neq`
    count: int | float

    def __str__(self) -> str:
        return f"{self.operator} {self.count}"


class Correlation(msgspec.Struct, frozen=True, tag="correlation", tag_field="is"):
    """One correlation. `rules`, `aliases` and `expression` name rules as written, and once resolved by their keys."""

    id: str  # its name, else its id, else that of its file
    uuid: str  # its id, empty if it has none
    title: str
    level: AlertSeverity
    path: str
    line: int
    attack: Attack | None
    description: str
    falsepositives: tuple[str, ...]
    type: str
    rules: tuple[str, ...]
    group_by: tuple[str, ...]
    aliases: dict[str, dict[str, str]]  # {alias: {rule: field}}
    timespan_ns: int
    criteria: tuple[Criterion, ...]  # all of them hold
    fields: tuple[str, ...] = ()
    percentile: int | None = None
    expression: Any = None  # of the extended kind: a rule, or (`and` | `or` | `not`, operands ...)
    tags: tuple[str, ...] = ()
    generate: bool = False  # whether the rules referred to alert on their own too

    def holds(self, seen: float) -> bool:
        """Tell whether the criteria hold of a number."""
        return self.test()(seen)

    def test(self) -> Callable[[float], bool]:
        """Return the test whether the criteria hold of a number."""
        pairs = [(OPERATORS[each.operator], each.count) for each in self.criteria]
        if len(pairs) == 1:
            ((compare, count),) = pairs
            return lambda seen: compare(seen, count)
        return lambda seen: all(compare(seen, count) for compare, count in pairs)

    def names_for(self, rule: str, names: Sequence[str]) -> tuple[str, ...]:
        """Return the fields that names, which may be aliases, mean in events of a rule that it refers to."""
        return tuple(self.aliases[name][rule] if name in self.aliases else name for name in names)

    def wanted(self) -> str:
        """Return the condition in words: `gte 10`, `(a and (not b))`."""
        return ", ".join(map(str, self.criteria)) if self.expression is None else _worded(self.expression)


class Resolution(msgspec.Struct, frozen=True):
    """Correlations in an order in which each comes after those that it refers to, and why others are refused."""

    correlations: tuple[Correlation, ...]
    refused: tuple[tuple[Correlation, str], ...]

    def silent(self) -> frozenset[str]:
        """Return the keys of what does not alert on its own, being referred to without `generate`."""
        return frozenset(key for each in self.correlations if not each.generate for key in each.rules)


def count_limit(correlation: Correlation) -> int:
    """Return how far one has to count to decide the condition."""
    return 1 + max(int(each.count) for each in correlation.criteria)


def evaluate(tree: Any, seen: frozenset[str]) -> bool:
    """Tell whether an extended condition holds if these rules were seen."""
    if isinstance(tree, str):
        return tree in seen
    word, *operands = tree
    if word == "not":
        return not evaluate(operands[0], seen)
    return (all if word == "and" else any)(evaluate(each, seen) for each in operands)


def _worded(tree: Any) -> str:
    if isinstance(tree, str):
        return tree
    word, *operands = tree
    parts = [_worded(each) for each in operands]
    return f"(not {parts[0]})" if word == "not" else f"({f' {word} '.join(parts)})"


def resolve(correlations: Iterable[Correlation], rules: Mapping[str, str]) -> Resolution:
    """Order correlations after what they refer to; `rules` has the key of every rule by its names and ids."""
    unique, refused = _unique(correlations, frozenset(rules.values()))
    names = {name.lower(): each.id for each in unique.values() for name in (each.id, each.uuid) if name}
    names.update((name.lower(), key) for name, key in rules.items())
    known = set(rules.values())
    done: dict[str, Correlation] = {}
    order = _order({key: [names.get(name.lower()) for name in each.rules] for key, each in unique.items()})
    for key in order:
        try:
            done[key] = _with_keys(unique[key], names, known)
            known.add(key)
        except ValueError as error:
            refused.append((unique[key], str(error)))
    circles = unique.keys() - set(order)
    refused += [(each, "rules: refers to itself, directly or by way of others") for key, each in unique.items() if key in circles]
    return Resolution(tuple(done.values()), tuple(refused))


def _unique(
    correlations: Iterable[Correlation], taken: frozenset[str]
) -> tuple[dict[str, Correlation], list[tuple[Correlation, str]]]:
    unique: dict[str, Correlation] = {}
    refused = []
    for each in correlations:
        if each.id in taken or each.id in unique:
            refused.append((each, f"name: {each.id} is taken"))
        else:
            unique[each.id] = each
    return unique, refused


def _order(references: Mapping[str, Sequence[str | None]]) -> list[str]:
    """Return the keys, each after those that it refers to; those on circles and behind them are left out."""
    sorter = TopologicalSorter({key: [each for each in found if each in references] for key, found in references.items()})
    with contextlib.suppress(CycleError):  # what is not on a circle is sorted all the same
        sorter.prepare()
    order: list[str] = []
    while ready := sorter.get_ready():
        order += [each for each in ready if each is not None]
        sorter.done(*ready)
    return order


def _with_keys(correlation: Correlation, names: Mapping[str, str], known: Collection[str]) -> Correlation:
    """Return the correlation with keys in place of names and ids. Raises ValueError."""

    def key_of(name: str) -> str:
        key = names.get(name.lower())
        if key is None:
            raise ValueError(f"rules: no rule has the name or id {name}")
        if key not in known:
            raise ValueError(f"rules: {name} is refused itself")
        return key

    def with_keys(tree: Any) -> Any:
        return key_of(tree) if isinstance(tree, str) else (tree[0], *(with_keys(each) for each in tree[1:]))

    rules = tuple(key_of(name) for name in correlation.rules)
    if len(set(rules)) < len(rules):
        raise ValueError("rules: one is named twice")
    aliases = {alias: {key_of(rule): field for rule, field in fields.items()} for alias, fields in correlation.aliases.items()}
    if any(set(fields) != set(rules) for fields in aliases.values()):
        raise ValueError("aliases: name other rules than the correlation")
    expression = correlation.expression
    return msgspec.structs.replace(
        correlation, rules=rules, aliases=aliases, expression=None if expression is None else with_keys(expression)
    )
