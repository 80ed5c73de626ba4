"""Which rules can match at all: one pass over an event's text finds the words without which they cannot. Pure.

Of each rule the condition says which constants have to stand in the event if it is to hold: of an AND those of its most
telling part, of an OR those of all its parts, of a NOT none. One automaton (Aho, Corasick 1975) looks for all of them at
once; a rule of which none is found is not tried. A rule that names no constant is always tried.

State: the automaton, about 50 bytes a character of all constants. Cost: one pass over the event's text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import ahocorasick
from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.types import SigmaExpansion, SigmaString

from actors.sigma.predicates import pattern_of

LEAST_LETTERS = 3  # shorter ones stand in nearly every event

Needles = frozenset[str]  # one of them has to be there; empty: nothing is said


def needles_of(condition: Any) -> Needles:
    """Return the constants of which one has to stand in an event if the condition is to hold; none if there are no such."""
    if isinstance(condition, ConditionAND):
        return max((needles_of(each) for each in condition.args), key=_worth)
    if isinstance(condition, ConditionOR):
        return _any_of(needles_of(each) for each in condition.args)
    if isinstance(condition, ConditionNOT):
        return frozenset()
    if isinstance(condition, ConditionFieldEqualsValueExpression | ConditionValueExpression):
        return _needles_of_value(condition.value)
    return frozenset()


def _needles_of_value(value: Any) -> Needles:
    if isinstance(value, SigmaExpansion):
        return _any_of(_needles_of_value(each) for each in value.values)
    if not isinstance(value, SigmaString):
        return frozenset()
    longest = max(pattern_of(value).constants(), key=len, default="").lower()
    return frozenset({longest}) if len(longest) >= LEAST_LETTERS else frozenset()


def _any_of(parts: Iterable[Needles]) -> Needles:
    """Return the needles of alternatives: if one of them says nothing, nothing is said."""
    found: set[str] = set()
    for part in parts:
        if not part:
            return frozenset()
        found |= part
    return frozenset(found)


def _worth(needles: Needles) -> tuple[int, int]:
    """Return how telling needles are: the shortest counts, and few are better than many."""
    return (min(map(len, needles)), -len(needles)) if needles else (0, 0)


class Prefilter:
    """Finds the places of the rules that an event may match. `needles` has one entry a rule."""

    def __init__(self, needles: Sequence[Needles]) -> None:
        self._always = [place for place, each in enumerate(needles) if not each]
        places: dict[str, list[int]] = {}
        for place, each in enumerate(needles):
            for needle in each:
                places.setdefault(needle, []).append(place)
        self._automaton = ahocorasick.Automaton()
        for needle, found in places.items():
            self._automaton.add_word(needle, tuple(found))
        self._automaton.make_automaton()
        self._empty = not places

    def candidates(self, text: str) -> list[int]:
        """Return the places of the rules that may match an event of this folded text, rising."""
        if self._empty:
            return self._always
        found = {place for _, places in self._automaton.iter(text) for place in places}
        found.update(self._always)
        return sorted(found)


def text_of(fields: Mapping[str, Any], message: str) -> str:
    """Return all text of an event that rules compare with, folded."""
    parts = [message]
    for value in fields.values():
        if isinstance(value, str):
            parts.append(value)
        elif isinstance(value, list | tuple):
            parts += [str(each) for each in value]
        elif value is not None:
            parts.append(str(value))
    return "\n".join(parts).lower()
