"""Filters: conditions that are added to rules when they are loaded (Sigma filters specification 2.1). Pure.

A filter's condition is joined to that of each rule with `and`, so one that excludes says `condition: not selection`, as
pySigma and SigmaHQ have it. It is added to the rules that it names by name or id, or with `rules: any` to all, where its
logsource is that of the rule or wider. A rule that it names and cannot change is told of, and the others are changed.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sigma.exceptions import SigmaError
from sigma.filters import SigmaFilter
from sigma.rule import SigmaRule

from actors.sigma.expressions import POLICY

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
_KEYWORDS = frozenset({"not", "and", "or", "all", "any", "of", "them"})


class Filtered(msgspec.Struct, frozen=True):
    """The rules, changed where a filter says so, in their order; and why filters could not be added."""

    rules: tuple[SigmaRule, ...]
    refused: tuple[tuple[SigmaFilter, str], ...]


def read_filter(document: Mapping[str, Any]) -> SigmaFilter:
    """Return the filter in a document. Raises ValueError."""
    try:
        found = SigmaFilter.from_dict(dict(document), policy=POLICY)
        _check(found)
    except SigmaError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except (AttributeError, KeyError, TypeError, RecursionError) as error:  # pySigma, on what is no filter at all
        raise ValueError(f"is no filter: {error}") from error
    return found


def _check(found: SigmaFilter) -> None:
    """Raise ValueError or SigmaError if the condition cannot become a part of another; pySigma gives its names a prefix."""
    for name in found.filter.detections:
        if not _NAME.fullmatch(name) or name.lower() in _KEYWORDS:
            raise ValueError(f"filter: {name} cannot name a selection here: letter first, then letters, digits, _ or -")
    for condition in found.filter.parsed_condition:
        condition.parse()


def apply_filters(rules: Sequence[SigmaRule], filters: Sequence[SigmaFilter]) -> Filtered:
    """Return the rules with the filters added; the rules given stay as they are."""
    changed = list(rules)
    places = _places_by_name(rules)
    refused = []
    for each in filters:
        found, reasons = _targets(each, rules, places)
        refused += [(each, reason) for reason in reasons]
        for place in found:
            if changed[place] is rules[place]:
                changed[place] = copy.deepcopy(rules[place])
            each.apply_on_rule(changed[place])
    return Filtered(tuple(changed), tuple(refused))


def _places_by_name(rules: Sequence[SigmaRule]) -> dict[str, int]:
    places: dict[str, int] = {}
    for place, rule in enumerate(rules):
        for name in (rule.name, rule.id):
            if name:
                places.setdefault(str(name).lower(), place)
    return places


def _targets(each: SigmaFilter, rules: Sequence[SigmaRule], places: Mapping[str, int]) -> tuple[list[int], list[str]]:
    """Return the places of the rules that a filter changes, and why it does not change others that it names."""
    if isinstance(each.filter.rules, str):
        return [place for place, rule in enumerate(rules) if rule.logsource in each.logsource], []
    found: dict[int, None] = {}
    reasons = []
    for reference in each.filter.rules:
        place = places.get(str(reference.reference).lower())
        if place is None:
            reasons.append(f"rules: no rule has the name or id {reference.reference}")
        elif rules[place].logsource not in each.logsource:
            reasons.append(f"rules: {reference.reference} is for another logsource")
        else:
            found[place] = None
    return list(found), reasons
