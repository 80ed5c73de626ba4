"""Filters: conditions that are added to those of many rules (Sigma filters specification 2.1). Pure.

A filter's condition is joined to that of each rule with `and`, so one that excludes says `condition: not selection`, as
pySigma and SigmaHQ have it. It is added to the rules that it names by name or id, or with `rules: any` to all, where its
logsource is that of the rule or wider. A rule that it names and cannot change is told of, and the others are changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from actors.sigma.matching.conditions import AllOf, Condition
from actors.sigma.rules.rule import Refusal, Rule


class Filter(msgspec.Struct, frozen=True, tag="filter", tag_field="is"):
    """A part that is added to the condition of rules."""

    title: str
    path: str
    line: int
    rules: tuple[str, ...]  # names or ids; none: every rule that its logsource fits
    product: str | None
    category: str | None
    service: str | None
    condition: Condition

    def fits(self, rule: Rule) -> bool:
        """Tell whether its logsource is that of a rule or wider."""
        pairs = ((self.product, rule.product), (self.category, rule.category), (self.service, rule.service))
        return all(mine is None or mine == its for mine, its in pairs)


def apply_filters(rules: Sequence[Rule], filters: Sequence[Filter]) -> tuple[list[Rule], list[Refusal]]:
    """Return the rules with the filters added, in their order, and what filters name and cannot change."""
    added: dict[int, list[Condition]] = {}
    places = {name.lower(): place for place, rule in enumerate(rules) for name in (rule.id, rule.uuid) if name}
    refused: list[Refusal] = []
    for each in filters:
        for name, place in _targets(each, rules, places):
            if place is None:
                refused.append(Refusal(each.path, each.line, f"rules: no rule has the name or id {name}"))
            elif not each.fits(rules[place]):
                refused.append(Refusal(each.path, each.line, f"rules: {name} is for another logsource"))
            else:
                added.setdefault(place, []).append(each.condition)
    return [_with(rule, added.get(place, ())) for place, rule in enumerate(rules)], refused


def _with(rule: Rule, added: Sequence[Condition]) -> Rule:
    """Return a rule with what is added to its condition, however much, at one depth."""
    return msgspec.structs.replace(rule, condition=AllOf((rule.condition, *added))) if added else rule


def _targets(each: Filter, rules: Sequence[Rule], places: Mapping[str, int]) -> Iterator[tuple[str, int | None]]:
    """Yield the rules that a filter is for, by name and place; None for one that is not there."""
    if each.rules:
        yield from ((name, places.get(name.lower())) for name in each.rules)
    else:
        yield from ((rule.id, place) for place, rule in enumerate(rules) if each.fits(rule))
