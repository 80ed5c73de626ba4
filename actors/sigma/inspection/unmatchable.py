"""Rules that cannot match the logs of a site, each with the reason. Pure.

A condition is judged by the names of the fields that came, in three values (Kleene 1952): a comparison with a field that never
came never holds, `null` and `exists: false` of it always do, and of all else nothing is known. A rule can never match if
no log of its logsource came, or if its condition never holds of any of them. A correlation can never be true if too few of
the rules that it refers to can match and have the fields that it groups by.

It says nothing before `LEAST_EVENTS` came, and of fields nothing before `LEAST_OF_KIND` events of the rule's logsource
came: what was not seen yet may still come. What it says is of what came so far and no proof.
"""

from __future__ import annotations

from collections.abc import Collection as Names
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from actors.sigma.correlation.correlations import Correlation
from actors.sigma.inventory import Kind, Seen, worded
from actors.sigma.matching.conditions import MESSAGE, AllOf, AnyOf, Condition, Exists, Leaf, Not, Null, SameAs
from actors.sigma.rules.collection import Collection
from actors.sigma.rules.rule import Rule

LEAST_EVENTS = 1_000
LEAST_OF_KIND = 100
MAX_NAMED = 8  # fields in one reason

Verdict = tuple[bool | None, frozenset[str]]  # whether it holds of every event or of none; the unseen fields that decide it
_UNKNOWN: Verdict = (None, frozenset())


class Silent(msgspec.Struct, frozen=True):
    """A rule or correlation that can never match, and why."""

    rule: str
    title: str
    reason: str


class SeenKind(msgspec.Struct, frozen=True):
    """How much of one kind of log came."""

    logsource: str
    events: int
    fields: int


class Report(msgspec.Struct, frozen=True):
    """What can never match. With fewer than `LEAST_EVENTS` events `enough` is false and nothing is named."""

    events: int
    enough: bool
    forgotten: int  # kinds of log that came and are not remembered
    kinds: list[SeenKind]
    never: list[Silent]


def report(collection: Collection, seen: Seen) -> Report:
    """Return which of the rules in force can never match what was seen."""
    kinds = [SeenKind(worded(source), kind.events, len(kind.names)) for source, kind in seen.kinds()]
    enough = seen.events >= LEAST_EVENTS
    never = _never(collection, seen) if enough else {}
    return Report(
        seen.events,
        enough,
        seen.forgotten,
        kinds,
        [Silent(each.id, each.title, never[each.id]) for each in collection.all() if each.id in never],
    )


def _never(collection: Collection, seen: Seen) -> dict[str, str]:
    """Return {rule: why it can never match}."""
    rules = {rule.id: rule for rule in collection.rules}
    never = {rule.id: reason for rule in collection.rules if (reason := why_never(rule, seen))}
    for correlation in collection.correlations:
        if reason := _why_never_true(correlation, rules, never, seen):
            never[correlation.id] = reason
    return never


def why_never(rule: Rule, seen: Seen, needed: Sequence[str] = ()) -> str:
    """Return why no event can match a rule and have the needed fields besides; "" if one may."""
    kinds = list(seen.fitting(rule.product, rule.category, rule.service))
    if not kinds:
        return f"no event of {rule.meant_for()} has come"
    if sum(kind.events for kind in kinds) < LEAST_OF_KIND:
        return ""
    lacking: list[frozenset[str]] = []
    for kind in kinds:
        missing = _lacking(rule.condition, kind, needed)
        if missing is None:
            return ""
        lacking.append(missing)
    everywhere = sorted(frozenset.intersection(*lacking))
    if not everywhere:
        return f"no event of {rule.meant_for()} has all the fields that it needs"
    named = ", ".join(everywhere[:MAX_NAMED]) + (" …" if len(everywhere) > MAX_NAMED else "")
    return f"no event of {rule.meant_for()} has the field{'s' * (len(everywhere) > 1)} {named}"


def _lacking(condition: Condition, kind: Kind, needed: Sequence[str]) -> frozenset[str] | None:
    """Return the fields for want of which no event of a kind can match; None if one may."""
    if kind.full:
        return None
    missing = frozenset(needed) - kind.names
    holds, fields = judge(condition, kind.names)
    return missing | (fields if holds is False else frozenset()) if missing or holds is False else None


def judge(condition: Condition, names: set[str]) -> Verdict:
    """Return whether a condition holds of all events whose fields are among these, or of none, and the fields that decide."""
    if isinstance(condition, AllOf):
        return _combine([judge(part, names) for part in condition.parts], decisive=False)
    if isinstance(condition, AnyOf):
        return _combine([judge(part, names) for part in condition.parts], decisive=True)
    if isinstance(condition, Not):
        holds, fields = judge(condition.part, names)
        return (None if holds is None else not holds), fields
    return _judge_leaf(condition, names)


def _combine(verdicts: Sequence[Verdict], *, decisive: bool) -> Verdict:
    """Join verdicts: one that is decisive decides; else one that is unknown leaves all unknown."""
    deciding = [fields for holds, fields in verdicts if holds is decisive]
    if deciding:
        return decisive, frozenset().union(*deciding)
    if any(holds is None for holds, _ in verdicts):
        return _UNKNOWN
    return not decisive, frozenset().union(*(fields for _, fields in verdicts))


def _judge_leaf(leaf: Leaf, names: set[str]) -> Verdict:
    looked_at = {leaf.field, leaf.other} if isinstance(leaf, SameAs) else {leaf.field}
    unseen = frozenset(looked_at - names - {MESSAGE})
    if not unseen:
        return _UNKNOWN
    return isinstance(leaf, Null) or (isinstance(leaf, Exists) and not leaf.wanted), unseen


def _why_never_true(correlation: Correlation, rules: Mapping[str, Rule], never: Mapping[str, str], seen: Seen) -> str:
    """Return why a correlation can never be true; "" if it may."""
    reasons = {name: reason for name in correlation.rules if (reason := _why_never_fed(correlation, name, rules, never, seen))}
    if not reasons or _may_be_true(correlation, reasons.keys()):
        return ""
    name, reason = next(iter(reasons.items()))
    return f"{name}, which it refers to, can never take part: {reason}"


def _why_never_fed(correlation: Correlation, name: str, rules: Mapping[str, Rule], never: Mapping[str, str], seen: Seen) -> str:
    """Return why a rule that a correlation refers to can never bring it an event; "" if it may."""
    if name in never or name not in rules:
        return never.get(name, "")
    return why_never(rules[name], seen, correlation.names_for(name, correlation.group_by + correlation.fields))


def _may_be_true(correlation: Correlation, impossible: Names[str]) -> bool:
    """Tell whether a correlation may be true although some of its rules can never take part."""
    if correlation.expression is not None:
        return _may_hold(correlation.expression, impossible) is not False
    possible = [name not in impossible for name in correlation.rules]
    if correlation.type == "temporal_ordered":
        chain = [*possible, False].index(False)
        return any(correlation.holds(count) for count in range(1, chain + 1))
    if correlation.type == "temporal":
        return any(correlation.holds(count) for count in range(1, sum(possible) + 1))
    return any(possible)


def _may_hold(tree: Any, impossible: Names[str]) -> bool | None:
    """Return whether an extended condition may hold: False if never, True if always, None if it depends."""
    if isinstance(tree, str):
        return False if tree in impossible else None
    word, *operands = tree
    found: list[bool | None] = [_may_hold(each, impossible) for each in operands]
    if word == "not":
        (inner,) = found
        return None if inner is None else not inner
    decisive: bool = word == "or"
    if decisive in found:
        return decisive
    return None if None in found else not decisive
