"""Correlations out of documents, and which rules they refer to. Pure.

pySigma reads and checks (Sigma correlation rules specification 2.1); what it does not know is read here: ranges of several
criteria, and `generate` beside `correlation`. A correlation that could never be true, or that would be true of no events at
all (`lt: 5`, `neq: 3`), is refused: a stream shows events, not their absence.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import msgspec
from sigma.correlations import (
    CorrelationConditionItem,
    SigmaCorrelationCondition,
    SigmaCorrelationRule,
    SigmaExtendedCorrelationCondition,
    SigmaRuleReference,
)
from sigma.exceptions import SigmaError

from actors.sigma.attack import attack_of
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


class Correlation(msgspec.Struct, frozen=True):
    """One correlation. `rules`, `aliases` and `expression` name rules as written, and once resolved by their keys."""

    id: str  # its name, else its id, else that of its file
    uuid: str  # its id, empty if it has none
    title: str
    level: str
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
    generate: bool = False  # whether the rules referred to alert on their own too

    def holds(self, seen: float) -> bool:
        """Tell whether the criteria hold of a number."""
        return all(OPERATORS[each.operator](seen, each.count) for each in self.criteria)

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


def read_correlation(document: Mapping[str, Any], path: str, line: int = 1) -> Correlation:
    """Return the correlation in a document. Raises ValueError."""
    try:
        return _read(dict(document), path, line)
    except SigmaError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except (AttributeError, KeyError, TypeError, RecursionError) as error:  # pySigma, on what is no correlation at all
        raise ValueError(f"is no correlation: {error}") from error


def _read(document: dict[str, Any], path: str, line: int) -> Correlation:
    given = document.get("correlation")
    if not isinstance(given, Mapping):
        raise ValueError("correlation: is no map")
    parts = dict(given)
    condition = parts.get("condition")
    found = SigmaCorrelationRule.from_dict(document | {"correlation": parts | {"condition": _one_criterion(condition)}})
    kind = found.type.name.lower()
    extended = found.condition if isinstance(found.condition, SigmaExtendedCorrelationCondition) else None
    expression = _tree(extended.parsed) if extended else None
    rules = _rules_of(found, extended)
    if kind == "temporal_ordered" and expression is not None:
        rules, expression = _conjunction(expression), None
    criteria = _criteria_of(condition, len(rules) if expression is None else 1)
    correlation = Correlation(
        str(found.name or found.id or Path(path).stem),
        str(found.id or ""),
        found.title,
        found.level.name.lower() if found.level else "medium",
        path,
        line,
        attack_of(str(tag) for tag in found.tags),
        str(found.description or ""),
        tuple(str(each) for each in found.falsepositives or ()),
        kind,
        rules,
        tuple(found.group_by or ()),
        {alias.alias: {ref.reference: str(name) for ref, name in alias.mapping.items()} for alias in found.aliases},
        found.timespan.seconds * 1_000_000_000,
        criteria,
        _fields_of(condition),
        found.condition.percentile if isinstance(found.condition, SigmaCorrelationCondition) else None,
        expression,
        _generates(document, parts),
    )
    _check(correlation)
    return correlation


def _one_criterion(condition: Any) -> Any:
    """Return a condition with the first of its criteria only, which is all that pySigma takes."""
    if not isinstance(condition, Mapping):
        return condition
    rest = [name for name in condition if name in OPERATORS][1:]
    return {name: value for name, value in condition.items() if name not in rest}


def _criteria_of(condition: Any, rules: int) -> tuple[Criterion, ...]:
    """Return the criteria; without any, as many rules as given have to be seen."""
    if not isinstance(condition, Mapping):
        return (Criterion("gte", rules),)
    names = [name for name in condition if name in OPERATORS]
    return tuple(Criterion(name, SigmaCorrelationCondition.from_dict({name: condition[name]}).count) for name in names)


def _fields_of(condition: Any) -> tuple[str, ...]:
    field = condition.get("field") if isinstance(condition, Mapping) else None
    if field is None:
        return ()
    fields = field if isinstance(field, list) else [field]
    if not fields or not all(isinstance(each, str) and each for each in fields):
        raise ValueError("condition: field: is neither a name nor a list of names")
    return tuple(fields)


def _generates(document: Mapping[str, Any], parts: Mapping[str, Any]) -> bool:
    """Return `generate`, which the specification has beside `correlation` and pySigma within."""
    value = document.get("generate", parts.get("generate", False))
    if not isinstance(value, bool):
        raise ValueError("generate: is neither true nor false")
    return value


def _rules_of(found: SigmaCorrelationRule, extended: SigmaExtendedCorrelationCondition | None) -> tuple[str, ...]:
    if found.rules:
        return tuple(each.reference for each in found.rules)
    return tuple(extended.get_referenced_rules()) if extended else ()


def _tree(item: CorrelationConditionItem | SigmaRuleReference) -> Any:
    """Return an extended condition as plain data."""
    if isinstance(item, SigmaRuleReference):
        return item.reference
    word = type(item).__name__.removeprefix("CorrelationCondition").lower()
    return (word, *(_tree(each) for each in item.args))


def _conjunction(tree: Any) -> tuple[str, ...]:
    """Return the rules of `a and b and c` in this order."""
    operands = tree[1:] if isinstance(tree, tuple) and tree[0] == "and" else (tree,)
    if not all(isinstance(each, str) for each in operands):
        raise ValueError("condition: temporal_ordered has an order for `and` only")
    return tuple(operands)


def _check(correlation: Correlation) -> None:
    """Raise ValueError if the correlation cannot be evaluated."""
    if not all(isinstance(each, str) for each in correlation.rules):
        raise ValueError("rules: are not all names or ids")
    if not 1 <= len(correlation.rules) <= MAX_RULES:
        raise ValueError(f"rules: are {len(correlation.rules)}; 1 to {MAX_RULES} can be correlated")
    if correlation.timespan_ns > MAX_TIMESPAN_S * 1_000_000_000:
        raise ValueError(f"timespan: is longer than the {MAX_TIMESPAN_S // 86_400} days that are remembered")
    _check_aliases(correlation)
    _check_field(correlation)
    if correlation.expression is not None:
        if evaluate(correlation.expression, frozenset()):
            raise ValueError("condition: is true when nothing has happened, which events do not show")
    elif correlation.type in COUNTS:
        _check_counts(correlation)
    elif correlation.type == "value_sum" and correlation.holds(0):
        raise ValueError("condition: is true of the sum of nothing, which events do not show")


def _check_aliases(correlation: Correlation) -> None:
    for alias, fields in correlation.aliases.items():
        if alias not in correlation.group_by and alias not in correlation.fields:
            raise ValueError(f"aliases: {alias} is neither in group-by nor the field")
        if len(fields) < len(correlation.rules):
            raise ValueError(f"aliases: {alias} does not have a field for every rule")


def _check_field(correlation: Correlation) -> None:
    kind, fields, percentile = correlation.type, correlation.fields, correlation.percentile
    if fields and not kind.startswith("value_"):
        raise ValueError(f"condition: field: {kind} has none; value_count counts values")
    if kind in NUMBERS and len(fields) > 1:
        raise ValueError(f"condition: field: {kind} has one only")
    if percentile is not None and (kind != "value_percentile" or not 0 <= percentile <= 100):
        raise ValueError("condition: percentile: is for value_percentile, 0 to 100")


def _check_counts(correlation: Correlation) -> None:
    criteria = correlation.criteria
    if any(each.count != int(each.count) or not 0 <= each.count <= MAX_COUNT for each in criteria):
        raise ValueError(f"condition: counts are whole numbers from 0 to {MAX_COUNT}")
    if correlation.holds(0):
        raise ValueError("condition: is true when nothing has happened, which events do not show")
    most = len(correlation.rules) if correlation.type.startswith("temporal") else count_limit(correlation)
    if not any(correlation.holds(count) for count in range(1, most + 1)):
        raise ValueError("condition: can never be true")
    if correlation.type == "temporal_ordered" and any(correlation.holds(count) for count in range(1, most)):
        raise ValueError("condition: temporal_ordered needs all its rules; a part of them has no order of its own")


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
