"""An event in; its place in ATT&CK and the alerts of the rules and correlations that it makes true out. Pure.

A rule of the level `informational` only places the event and rings for nobody (Sigma rules specification 2.1, "Level"); a
rule that a correlation refers to rings only if that correlation says `generate`.

State: the correlations' (bounded by `correlation/correlator.py`), and the alerts of the last `MEMORY` events that had any,
so that an event that is sent again has the same alerts and counts in no correlation twice; how often each rule in force
matched and when last; and what the site sends (bounded by `inventory.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from actors.recent import Recent
from actors.sigma.alerts import alert_of_firing, alert_of_match
from actors.sigma.correlation.correlator import Correlator
from actors.sigma.inventory import Seen
from actors.sigma.matching.subject import Subject
from actors.sigma.rules.collection import Collection
from actors.sigma.rules.exceptions import Exceptions, RuleException
from actors.sigma.rules.rule import Rule
from actors.sigma.ruleset import RuleSet
from protocol.findings import Alert
from protocol.records import Attack, Event, weight_of

MEMORY = 2_000  # events
MAX_GROUPS, MAX_ENTRIES = 100_000, 500_000  # of all correlations, about 1.5 KB a group; each has an equal share,
LEAST_GROUPS = 1_000  # and no less than this
VERSION = 2
_LEVELS = ("informational", "low", "medium", "high", "critical")


class Outcome(msgspec.Struct, frozen=True):
    """The matches of rules on an event."""

    attack: Attack | None
    alerts: Sequence[Alert]


NOTHING = Outcome(None, ())


class Engine:
    def __init__(self, collection: Collection, exceptions: Sequence[RuleException] = ()) -> None:
        self.collection = collection
        self.matched: dict[str, int] = {}  # {rule: events that matched it}
        self.last_matched: dict[str, int] = {}  # {rule: event_ns of the last of them}
        self.seen = Seen()
        self._rules = RuleSet(collection.rules)
        self._silent = collection.silent
        self._correlations = {each.id: each for each in collection.correlations}
        share = max(1, len(collection.correlations))
        groups, entries = max(MAX_GROUPS // share, LEAST_GROUPS), max(MAX_ENTRIES // share, 5 * LEAST_GROUPS)
        self._correlator = Correlator(collection.correlations, groups, entries)
        self._exceptions = Exceptions([replace(each, rule=collection.id_of(each.rule)) for each in exceptions])
        self._remembered: Recent[str, list[Alert]] = Recent(MEMORY)
        self.excepted = 0

    def take(self, event: Event, *, learn: bool = True) -> Outcome:
        """Return what the rules say of an event. `learn`: it was not seen before."""
        subject, source = self._rules.subject_of(event)
        if learn:
            self.seen.note(source, subject.fields)
        matching = self._rules.match(subject, source)
        if not matching:
            return NOTHING
        return self._judge(event, subject, matching, learn=learn)

    def _judge(self, event: Event, subject: Subject, matching: list[Rule], *, learn: bool) -> Outcome:
        rules = [rule for rule in matching if not self._is_excepted(rule.id, event, subject)]
        attack = attack_of_strongest(rules)
        if not learn and event.id in self._remembered:
            return Outcome(attack, self._remembered[event.id])
        alerts = [alert_of_match(rule, event, subject.fields) for rule in rules if self._rings(rule)]
        if learn:
            for rule in rules:
                self.count(rule.id, event)
            alerts += self._correlate(event, subject, rules)
        if alerts:
            self._remembered.use(event.id, list)[:] = alerts
        return Outcome(attack, alerts)

    def count(self, rule: str, event: Event) -> None:
        """Count an event that a rule or correlation matched."""
        self.matched[rule] = self.matched.get(rule, 0) + 1
        self.last_matched[rule] = event.event_ns

    def _rings(self, rule: Rule) -> bool:
        return rule.level != "informational" and rule.id not in self._silent

    def _is_excepted(self, rule: str, event: Event, subject: Subject) -> bool:
        if self._exceptions.hold(rule, event.event_ns, subject):
            self.excepted += 1
            return True
        return False

    def _correlate(self, event: Event, subject: Subject, rules: Sequence[Rule]) -> Iterator[Alert]:
        keys = [rule.id for rule in rules]
        for firing in self._correlator.feed(event.event_ns, event.id, keys, subject.fields, weight_of(event)):
            correlation = self._correlations[firing.correlation]
            self.count(correlation.id, event)
            around = Subject({**subject.fields, **firing.group}, subject.message)
            if correlation.id in self._silent or correlation.level == "informational":
                continue
            if not self._is_excepted(correlation.id, event, around):
                yield alert_of_firing(correlation, firing, event)

    def remembered(self) -> list[Alert]:
        """Return the alerts of the last events that had any, oldest first."""
        return [alert for alerts in self._remembered.values() for alert in alerts]

    def statistics(self) -> dict[str, int]:
        return self._correlator.statistics() | {"excepted": self.excepted}

    def adopt(self, other: Engine) -> None:
        """Go on with what another engine knows, which is not used any more."""
        self._correlator.adopt(other._correlator)
        self._remembered, self.seen, self.excepted = other._remembered, other.seen, other.excepted
        self._keep_counts([rule, count, other.last_matched[rule]] for rule, count in other.matched.items())

    def snapshot(self) -> dict[str, Any]:
        remembered = [[event, msgspec.to_builtins(alerts)] for event, alerts in self._remembered.items()]
        return {
            "version": VERSION,
            "correlator": self._correlator.snapshot(),
            "remembered": remembered,
            "matched": [[rule, count, self.last_matched[rule]] for rule, count in self.matched.items()],
            "seen": self.seen.snapshot(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of `snapshot`. Raises ValueError if it is of another version."""
        if state.get("version") != VERSION:
            raise ValueError(f"sigma: snapshot of version {state.get('version')}, this is {VERSION}")
        self._correlator.restore(state["correlator"])
        self._keep_counts(state["matched"])
        self.seen.restore(state["seen"])
        for event, alerts in state["remembered"]:
            self._remembered[event] = msgspec.convert(alerts, list[Alert])

    def _keep_counts(self, counts: Iterable[Sequence[Any]]) -> None:
        """Take up how often rules matched, of those that are in force."""
        in_force = {each.id for each in self.collection.all()}
        known = [entry for entry in counts if entry[0] in in_force]
        self.matched = {rule: count for rule, count, _ in known}
        self.last_matched = {rule: last_ns for rule, _, last_ns in known}


def attack_of_strongest(rules: Sequence[Rule]) -> Attack | None:
    """Return the place in ATT&CK that the rule of the highest level names; the first of equal ones."""
    placed = [rule for rule in rules if rule.attack is not None]
    return max(placed, key=lambda rule: _LEVELS.index(rule.level)).attack if placed else None
