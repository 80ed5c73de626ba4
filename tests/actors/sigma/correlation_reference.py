"""Correlations by the letter of the specification, slow and obvious: every event is kept, every window is looked at anew."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from actors.sigma.correlation.correlations import Correlation, evaluate

NAMED = 20


class Kept(NamedTuple):
    ns: int
    ids: tuple[str, ...]
    rules: list[str]
    value: Any


class Memory:
    def __init__(self) -> None:
        self.events: list[Kept] = []
        self.held: Any = False
        self.fired_ns = 0


def seen_in(one: Correlation, window: Sequence[Kept], now: Any) -> Fraction | int:
    """Return what the condition compares; `window` is in order of time, and of arrival where times are the same."""
    values = [each.value for each in window]
    if one.type == "event_count":
        return len(window)
    if one.type == "value_count":
        return len(set(values))
    if one.type == "temporal":
        names = {rule for each in window for rule in each.rules}
        return len(names) if one.expression is None else int(evaluate(one.expression, frozenset(names)))
    if one.type == "temporal_ordered":
        chain = 0
        for each in window:
            if chain < len(one.rules) and one.rules[chain] in each.rules:
                chain += 1
        return chain
    if one.type == "value_sum":
        return sum(values, Fraction())
    if one.type == "value_avg":
        return sum(values, Fraction()) / len(values)
    if one.type == "value_percentile" and one.percentile is None:
        return Fraction(100 * values.count(now), len(values))
    ranked = sorted(values)
    at = Fraction((50 if one.percentile is None else one.percentile) * (len(ranked) - 1), 100)
    below, above = ranked[int(at)], ranked[min(int(at) + 1, len(ranked) - 1)]
    return below + (above - below) * (at - int(at))


def number_of(value: Any) -> Fraction | None:
    try:
        return None if isinstance(value, bool) else Fraction(value)
    except (TypeError, ValueError):
        return None


class Reference:
    """Correlations in an order in which each comes after those that it refers to."""

    def __init__(self, correlations: Sequence[Correlation]) -> None:
        self.correlations = correlations
        self.memory: dict[Any, Memory] = defaultdict(Memory)

    def feed(self, ns: int, event_id: str, rules: Sequence[str], fields: dict[str, Any]) -> list[tuple[Any, ...]]:
        happened: list[tuple[int, str, tuple[str, ...], list[str], dict[str, Any]]] = []
        happened.append((ns, event_id, (event_id,), list(rules), fields))
        fired = []
        for one in self.correlations:
            for when, name, ids, matched, own in list(happened):
                for group, named in self.groups(one, matched, own).items():
                    found = self.look(one, group, Kept(when, ids, named, self.value(one, named, own)))
                    if found is not None:
                        newest, evidence, seen = found
                        values = dict(zip(one.group_by, group, strict=True))
                        fired.append((one.id, newest, name, evidence, values, seen))
                        happened.append((newest, name, evidence, [one.id], own | values))
        return fired

    def groups(self, one: Correlation, matched: list[str], fields: dict[str, Any]) -> dict[tuple[str, ...], list[str]]:
        found: dict[tuple[str, ...], list[str]] = {}
        for rule in one.rules:
            if rule in matched:
                values = [fields.get(one.aliases.get(name, {}).get(rule, name)) for name in one.group_by]
                if None not in values:
                    found.setdefault(tuple(str(value) for value in values), []).append(rule)
        return {group: named for group, named in found.items() if self.value(one, named, fields) is not None}

    def value(self, one: Correlation, named: list[str], fields: dict[str, Any]) -> Any:
        values = [fields.get(one.aliases.get(name, {}).get(named[0], name)) for name in one.fields]
        if not values:
            return True
        if one.type == "value_count" or (one.type == "value_percentile" and one.percentile is None):
            return None if None in values else tuple(str(value) for value in values)
        return number_of(values[0])

    def look(self, one: Correlation, group: Any, event: Kept) -> tuple[int, tuple[str, ...], float] | None:
        memory = self.memory[one.id, group]
        before_ns = max((each.ns for each in memory.events), default=event.ns)
        if event.ns - before_ns > one.timespan_ns:
            memory.held = False
        memory.events.append(event)
        newest = max(before_ns, event.ns)
        window = sorted((each for each in memory.events if each.ns >= newest - one.timespan_ns), key=lambda each: each.ns)
        seen = seen_in(one, window, event.value)
        held = False
        if one.holds(float(seen)):
            held = event.value if one.type == "value_percentile" and one.percentile is None else True
        quiet = held == memory.held and newest - memory.fired_ns < one.timespan_ns
        memory.held = held
        if held is False or quiet:
            return None
        memory.fired_ns = newest
        evidence = sorted((each.ns, name) for each in window for name in each.ids)[-NAMED:]
        return newest, tuple(dict.fromkeys(name for _, name in evidence)), float(seen)
