"""Which of many rules an event can match at all: a shared search for the words without which they cannot. Pure.

Of each rule the condition says, as clauses, which constants have to stand in the event if it is to hold: of an AND every
part adds its own, an OR says something only if all of its parts do, a NOT says nothing. One automaton (Aho, Corasick
1975) looks for all of them at once; a rule is tried if one word of its most telling clause was found (that whose words the
fewest rules name), and of every other clause too. Of a rule that names no constant the condition says in the same way which
fields have to be there.

State: the automaton, about 50 bytes a character of all constants. Cost: one pass over the event's text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

import ahocorasick

from actors.sigma.matching.conditions import MESSAGE, AllOf, AnyOf, Condition, Exists, Expression, Not, Null, Text
from actors.sigma.matching.folding import fold
from actors.sigma.matching.literals import Clause, clauses_of_expression
from actors.sigma.matching.subject import texts_of

LEAST_WEIGHT = 3  # of a word; lighter ones stand in nearly every event
MAX_CLAUSES = 4  # of a rule, beside the most telling one


def clauses_of(condition: Condition) -> list[Clause]:
    """Return what has to stand in an event if the condition is to hold, the most telling first."""
    return sorted(set(_clauses(condition)), key=_worth, reverse=True)


def _clauses(condition: Condition) -> list[Clause]:
    if isinstance(condition, AllOf):
        return [clause for part in condition.parts for clause in _clauses(part)]
    if isinstance(condition, AnyOf):
        best = [max(_clauses(part), key=_worth, default=None) for part in condition.parts]
        found = [clause for clause in best if clause is not None]
        return [frozenset().union(*found)] if len(found) == len(best) and found else []
    if isinstance(condition, Text):
        longest = max(map(fold, condition.pattern.constants()), key=_weight, default="")
        return [frozenset({longest})] if _weight(longest) >= LEAST_WEIGHT else []
    if isinstance(condition, Expression):
        found = clauses_of_expression(condition.text)
        return [clause for clause in found if min(map(_weight, clause)) >= LEAST_WEIGHT]
    return []


def _weight(word: str) -> int:
    """Return how telling a word is: its letters, but a single one that is not ASCII tells as much as three."""
    return len(word) if word.isascii() else len(word) + 2


def _worth(clause: Clause) -> tuple[int, int, list[str]]:
    """Return how telling a clause is: its weakest word counts, and few are better than many."""
    return min(map(_weight, clause)), -len(clause), sorted(clause)


def presence_of(condition: Condition) -> frozenset[Clause]:
    """Return which fields have to be there if the condition is to hold: one of every clause."""
    if isinstance(condition, AllOf):
        return frozenset[Clause]().union(*map(presence_of, condition.parts))
    if isinstance(condition, AnyOf):
        return reduce(_either, map(presence_of, condition.parts))
    if isinstance(condition, Not | Null) or condition.field == MESSAGE:
        return frozenset()
    if isinstance(condition, Exists) and not condition.wanted:
        return frozenset()
    return frozenset({frozenset({condition.field})})


def _either(one: frozenset[Clause], other: frozenset[Clause]) -> frozenset[Clause]:
    """Return what has to be there if one of two conditions is to hold."""
    both = sorted((a | b for a in one for b in other), key=lambda clause: (len(clause), sorted(clause)))
    return frozenset(both[:MAX_CLAUSES])


class Prefilter:
    """Finds the places of the rules that an event may match. `conditions` has one entry a rule."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        numbers: dict[str, int] = {}
        self._wordless: dict[frozenset[Clause], list[int]] = {}  # {fields that have to be there: places}
        self._others: dict[int, list[frozenset[int]]] = {}  # {place: clauses of which a word has to be there too, by number}
        triggers: dict[int, list[int]] = {}
        clauses = [clauses_of(condition) for condition in conditions]
        common = Counter(word for each in clauses for clause in each for word in clause)
        for place, condition in enumerate(conditions):
            each = sorted(clauses[place], key=lambda clause: sum(common[word] for word in clause))
            if not each:
                self._wordless.setdefault(presence_of(condition), []).append(place)
                continue
            first, *others = [_numbered(clause, numbers) for clause in each[: MAX_CLAUSES + 1]]
            if others:
                self._others[place] = others
            for number in first:
                triggers.setdefault(number, []).append(place)
        self._triggers = [tuple(triggers.get(number, ())) for number in range(len(numbers))]
        self._automaton = ahocorasick.Automaton()
        for word, number in numbers.items():
            self._automaton.add_word(word, number)
        self._automaton.make_automaton()

    def candidates(self, text: str, fields: Mapping[str, Any]) -> list[int]:
        """Return the places of the rules that may match an event of these fields and this folded text, rising."""
        names, found = fields.keys(), set[int]()
        for clauses, places in self._wordless.items():
            if not any(map(names.isdisjoint, clauses)):
                found.update(places)
        words = {number for _, number in self._automaton.iter(text)} if self._triggers else set[int]()
        for number in words:
            for place in self._triggers[number]:
                others = self._others.get(place)
                if others is None or not any(map(words.isdisjoint, others)):
                    found.add(place)
        return sorted(found)


def _numbered(clause: Clause, numbers: dict[str, int]) -> frozenset[int]:
    """Return the words of a clause by number; new ones get the next."""
    return frozenset(numbers.setdefault(word, len(numbers)) for word in clause)


def fields_named(condition: Condition) -> set[str]:
    """Return the fields whose text a condition looks at; `MESSAGE` among them if it has keywords."""
    if isinstance(condition, AllOf | AnyOf):
        return set[str]().union(*map(fields_named, condition.parts))
    return fields_named(condition.part) if isinstance(condition, Not) else {condition.field}


def text_of(fields: Mapping[str, Any], message: str, names: Iterable[str]) -> str:
    """Return the text, folded, of those fields of an event that rules look at."""
    parts: list[str] = []
    for name in names:
        value = message if name == MESSAGE else fields.get(name)
        if isinstance(value, str):
            parts.append(value)
        elif isinstance(value, list | tuple):
            parts += texts_of(value)
        elif value is not None:
            parts.append(str(value))
    return fold("\n".join(parts))
