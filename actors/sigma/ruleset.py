"""All rules, arranged so that an event meets only those that can match it: by logsource, then by the words it holds. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from actors.recent import Recent
from actors.sigma.fields import fields_of
from actors.sigma.logsource import LogSource, logsource_of
from actors.sigma.prefilter import Needles, Prefilter, needles_of, text_of
from actors.sigma.rules import Rule
from actors.sigma.subject import Subject
from protocol.records import Event

MAX_SOURCES = 64  # kinds of logsource that a selection of rules is kept for


class _Selection:
    """The rules that are meant for one kind of logsource."""

    def __init__(self, rules: Sequence[Rule], needles: Sequence[Needles]) -> None:
        self.rules = rules
        self.prefilter = Prefilter(needles)


class RuleSet:
    """State: the rules, and a selection of them for each of the last `MAX_SOURCES` logsources."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = list(rules)
        self._needles = [_needles_of_rule(rule) for rule in rules]
        self._selections: Recent[LogSource, _Selection] = Recent(MAX_SOURCES)

    def matches(self, event: Event) -> list[Rule]:
        """Return the rules that match an event, in their order."""
        fields = fields_of(event)
        selection = self._selection_for(logsource_of(event, fields))
        if not selection.rules:
            return []
        subject = Subject(fields, event.message)
        rules = [selection.rules[place] for place in selection.prefilter.candidates(text_of(fields, event.message))]
        return [rule for rule in rules if rule.matches(subject)]

    def _selection_for(self, source: LogSource) -> _Selection:
        return self._selections.use(source, lambda: self._select(source))

    def _select(self, source: LogSource) -> _Selection:
        places = [place for place, rule in enumerate(self.rules) if rule.is_meant_for(source)]
        return _Selection([self.rules[place] for place in places], [self._needles[place] for place in places])


def _needles_of_rule(rule: Rule) -> Needles:
    parts = [needles_of(condition) for condition in rule.conditions]
    return frozenset().union(*parts) if all(parts) else frozenset()
