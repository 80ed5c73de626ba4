"""All rules, arranged so that an event meets only those that can match it: by logsource, then by the words it holds. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actors.recent import Recent
from actors.sigma.matching.conditions import MESSAGE, Condition
from actors.sigma.matching.fields import fields_of
from actors.sigma.matching.logsource import LogSource, logsource_of
from actors.sigma.matching.predicates import Predicate, compile_condition
from actors.sigma.matching.prefilter import Prefilter, fields_named, text_of
from actors.sigma.matching.subject import Subject
from actors.sigma.rules.rule import Rule
from protocol.records import Event

MAX_SOURCES = 1_024  # kinds of logsource whose selection of rules is remembered
MAX_SELECTIONS = 64


class RuleSet:
    """State: the rules, and at most `MAX_SELECTIONS` selections of them.

    Making a selection takes a while, so logsources that no rule tells apart share one: names of programs can be invented.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = list(rules)
        self._predicates: list[Predicate | None] = [None] * len(self.rules)
        self._named = LogSource(
            "",
            frozenset(rule.category for rule in rules if rule.category is not None),
            frozenset(rule.service for rule in rules if rule.service is not None),
            frozenset(rule.product for rule in rules if rule.product is not None),
        )
        self._selections: Recent[LogSource, _Selection] = Recent(MAX_SELECTIONS)
        self._by_source: Recent[LogSource, _Selection] = Recent(MAX_SOURCES)

    def subject_of(self, event: Event) -> tuple[Subject, LogSource]:
        """Return an event as rules see it, and its logsource."""
        fields = fields_of(event)
        return Subject(fields, event.message), logsource_of(event, fields)

    def matches(self, event: Event) -> list[Rule]:
        """Return the rules that match an event, in their order."""
        return self.match(*self.subject_of(event))

    def match(self, subject: Subject, source: LogSource) -> list[Rule]:
        """Return the rules that match a subject of this logsource, in their order."""
        selection = self._by_source.use(source, lambda: self._select(source))
        return [self.rules[place] for place in selection.candidates(subject) if self._predicate(place)(subject)]

    def _predicate(self, place: int) -> Predicate:
        """Return the predicate of a rule, compiled when it is first tried: most rules of a site never are."""
        known = self._predicates[place]
        if known is None:
            known = self._predicates[place] = compile_condition(self.rules[place].condition)
        return known

    def _select(self, source: LogSource) -> _Selection:
        told = source.as_told_by(self._named)
        return self._selections.use(told, lambda: self._make_selection(told))

    def _make_selection(self, source: LogSource) -> _Selection:
        places = [place for place, rule in enumerate(self.rules) if rule.is_meant_for(source)]
        return _Selection({place: self.rules[place].condition for place in places})


class _Selection:
    """The rules that are meant for one kind of logsource, by their places; those with keywords apart, for they are few and
    the whole message has to be searched for them."""

    def __init__(self, conditions: Mapping[int, Condition]) -> None:
        names = {place: fields_named(condition) for place, condition in conditions.items()}
        with_keywords = {place: conditions[place] for place in names if MESSAGE in names[place]}
        without = {place: conditions[place] for place in names if MESSAGE not in names[place]}
        self._parts = [_Part(part) for part in (without, with_keywords) if part]

    def candidates(self, subject: Subject) -> list[int]:
        """Return the places of the rules that may match, rising."""
        found = [place for part in self._parts for place in part.candidates(subject)]
        return sorted(found) if len(self._parts) > 1 else found


class _Part:
    def __init__(self, conditions: Mapping[int, Condition]) -> None:
        self._places = list(conditions)
        self._prefilter = Prefilter(list(conditions.values()))
        self._names = sorted(set[str]().union(*map(fields_named, conditions.values())))

    def candidates(self, subject: Subject) -> list[int]:
        text = text_of(subject.fields, subject.message, self._names)
        return [self._places[found] for found in self._prefilter.candidates(text, subject.fields)]
