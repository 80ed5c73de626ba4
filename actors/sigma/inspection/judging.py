"""Rules and correlations on single events, in full: clauses that hold, exceptions, groups. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from actors.sigma.correlation.correlations import Correlation
from actors.sigma.correlation.correlator import Correlator, Firing
from actors.sigma.inspection.explanation import Clause, explain
from actors.sigma.inventory import worded
from actors.sigma.matching.subject import Subject
from actors.sigma.rules.collection import Collection
from actors.sigma.rules.exceptions import FOREVER_NS, Exceptions, RuleException
from actors.sigma.rules.rule import Rule
from actors.sigma.ruleset import RuleSet
from protocol.clock import format_time
from protocol.findings import AlertSeverity
from protocol.records import Event, weight_of


class Judgement(msgspec.Struct, frozen=True):
    """The judgement of a rule or a correlation on one event."""

    rule: str
    kind: Literal["rule", "correlation"]
    title: str
    level: AlertSeverity
    matches: bool | None  # of a correlation whether the event makes it fire; null if that is not asked
    excepted: str = ""  # which exception holds, if one does
    meant_for: str = ""  # logsource of a rule
    fits: bool = True  # the event is of that logsource
    clauses: list[Clause] = []  # of a rule's condition
    wanted: str = ""  # condition of a correlation
    group: dict[str, str | None] = {}  # what the correlation around it groups this event by; null if it has no such field
    rules: list[Judgement] = []  # what a correlation refers to

    def holds(self) -> bool:
        """Tell whether it matches; of a correlation of which that is left open, whether one that it refers to does."""
        return any(each.holds() for each in self.rules) if self.matches is None else self.matches


class EventJudgements(msgspec.Struct, frozen=True):
    """An event as rules see it, with their judgements."""

    ts: str
    message: str
    logsource: str
    fields: list[str]
    judgements: list[Judgement]

    def matches(self) -> bool:
        return any(each.holds() for each in self.judgements)


class Bench:
    """Rules and correlations, with all that they refer to, on events in their order.

    State: that of the correlations, bounded by `correlation/correlator.py`.
    """

    def __init__(
        self, collection: Collection, targets: Sequence[Rule | Correlation], exceptions: Sequence[RuleException] = ()
    ) -> None:
        self._targets = targets
        self._collection = collection.closure(targets)
        self._known = {each.id: each for each in self._collection.all()}
        self._exceptions = [msgspec.structs.replace(each, rule=collection.id_of(each.rule)) for each in exceptions]
        self._ruleset = RuleSet(self._collection.rules)
        self._correlator = Correlator(self._collection.correlations)

    def take(self, event: Event) -> EventJudgements:
        """Judge an event that comes after those before."""
        return self._judge(event, alone=False)

    def look(self, event: Event) -> EventJudgements:
        """Judge an event by itself; whether it makes a correlation fire is left open."""
        return self._judge(event, alone=True)

    def _judge(self, event: Event, *, alone: bool) -> EventJudgements:
        subject, source = self._ruleset.subject_of(event)
        matching = {rule.id for rule in self._ruleset.match(subject, source)}
        firings = None if alone else self._feed(event, subject, matching)
        view = _View(event, subject, matching, firings, {rule.id for rule in self._collection.rules if rule.is_meant_for(source)})
        judgements = [self._judgement(each, view, {}) for each in self._targets]
        return EventJudgements(format_time(event.event_ns), event.message, worded(source), sorted(subject.fields), judgements)

    def _feed(self, event: Event, subject: Subject, matching: Iterable[str]) -> dict[str, Firing]:
        taking_part = [rule for rule in matching if not self._excepted(rule, event, subject)]
        firings = self._correlator.feed(event.event_ns, event.id, taking_part, subject.fields, weight_of(event))
        return {firing.correlation: firing for firing in firings}

    def _judgement(self, target: Rule | Correlation, view: _View, group: dict[str, str | None]) -> Judgement:
        if isinstance(target, Rule):
            return self._rule_judgement(target, view, group)
        return self._correlation_judgement(target, view, group)

    def _rule_judgement(self, rule: Rule, view: _View, group: dict[str, str | None]) -> Judgement:
        return Judgement(
            rule.id,
            "rule",
            rule.title,
            rule.level,
            rule.id in view.matching,
            self._excepted(rule.id, view.event, view.subject),
            rule.meant_for(),
            rule.id in view.fitting,
            list(explain(rule.condition, view.subject)),
            group=group,
        )

    def _correlation_judgement(self, correlation: Correlation, view: _View, group: dict[str, str | None]) -> Judgement:
        inner = [self._judgement(self._known[name], view, _group(correlation, name, view.subject)) for name in correlation.rules]
        firing = (view.firings or {}).get(correlation.id)
        around = Subject({**view.subject.fields, **firing.group}, view.subject.message) if firing else view.subject
        return Judgement(
            correlation.id,
            "correlation",
            correlation.title,
            correlation.level,
            None if view.firings is None else firing is not None,
            self._excepted(correlation.id, view.event, around),
            wanted=f"{correlation.type} {correlation.wanted()}",
            group=group,
            rules=inner,
        )

    def _excepted(self, rule: str, event: Event, subject: Subject) -> str:
        """Return the exception that holds of an event in words; "" if none does."""
        for each in self._exceptions:
            if each.rule == rule and Exceptions([each]).hold(rule, event.event_ns, subject):
                return worded_exception(each)
        return ""


class _View(msgspec.Struct, frozen=True):
    """What is known of the event at hand."""

    event: Event
    subject: Subject
    matching: set[str]
    firings: dict[str, Firing] | None
    fitting: set[str]


def _group(correlation: Correlation, rule: str, subject: Subject) -> dict[str, str | None]:
    """Return the values that a correlation groups an event of one of its rules by."""
    names = correlation.names_for(rule, correlation.group_by)
    texts = [", ".join(subject.texts(name)) if subject.raw(name) is not None else None for name in names]
    return dict(zip(correlation.group_by, texts, strict=True))


def worded_exception(exception: RuleException) -> str:
    """Return an exception in words."""
    where = ", ".join(f"{field} = {value}" for field, value in exception.where.items())
    until = "" if exception.until_ns == FOREVER_NS else f", until {format_time(exception.until_ns)}"
    return f"{where}{until}" + (f" ({exception.reason})" if exception.reason else "")
