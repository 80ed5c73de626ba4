"""Correlations out of documents. Pure.

pySigma reads and checks (Sigma correlation rules specification 2.1); what it does not know is read here: ranges of several
criteria, and `generate` beside `correlation`. A correlation that could never be true, or that would be true of no events at
all (`lt: 5`, `neq: 3`), is refused: a stream shows events, not their absence.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sigma.correlations import (
    CorrelationConditionItem,
    SigmaCorrelationCondition,
    SigmaCorrelationRule,
    SigmaExtendedCorrelationCondition,
    SigmaRuleReference,
)
from sigma.exceptions import SigmaError

from actors.sigma.correlation.correlations import (
    COUNTS,
    MAX_COUNT,
    MAX_RULES,
    MAX_TIMESPAN_S,
    NUMBERS,
    OPERATORS,
    Correlation,
    Criterion,
    count_limit,
    evaluate,
)
from actors.sigma.rules.attack import attack_of, level_of


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
        level_of(found.level),
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
        tuple(str(tag) for tag in found.tags),
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
