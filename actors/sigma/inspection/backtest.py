"""Backtest of rules and correlations on stored events. Pure: pages of events come in.

The events are judged by the engine and the alerts folded by the deduplicator as in the daemon, both of them new: what came
before the first event is not known to them. Correlations are followed in the order of commits, as the daemon saw it.

State: that of the engine and the deduplicator; for each rule its days and `MAX_EXAMPLES` examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from actors.alerting.deduplicator import Deduplicator
from actors.sigma.correlation.correlations import Correlation
from actors.sigma.engine import Engine
from actors.sigma.rules.collection import Collection
from actors.sigma.rules.exceptions import RuleException
from actors.sigma.rules.rule import Rule
from protocol.clock import format_day, format_time
from protocol.records import Event

MAX_EXAMPLES = 10  # of one rule
MAX_TEXT = 500  # characters of an example


class Example(msgspec.Struct, frozen=True):
    """An event that matched."""

    event: str
    ts: str
    message: str


class Day(msgspec.Struct):
    day: str
    matches: int = 0
    alerts: int = 0


class Account(msgspec.Struct):
    """The hits of one rule."""

    rule: str
    title: str
    silent: bool  # does not ring of its own, being referred to by a correlation in force
    matches: int = 0
    share: float = 0.0  # of the events that were read
    alerts: int = 0  # that people would have seen
    days: list[Day] = []
    examples: list[Example] = []

    def day_of(self, event_ns: int) -> Day:
        name = format_day(event_ns)
        for day in reversed(self.days):
            if day.day == name:
                return day
        self.days.append(Day(name))
        return self.days[-1]

    def note(self, event: Event) -> None:
        self.matches += 1
        self.day_of(event.event_ns).matches += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(Example(event.id, format_time(event.event_ns), event.message[:MAX_TEXT]))


class Backtest(msgspec.Struct, frozen=True):
    """What came out. `rules`: those that were asked for; `referred_to`: what their correlations refer to."""

    events: int  # that were read
    complete: bool  # all that were asked for; else it was stopped before
    rules: list[Account]
    referred_to: list[Account]


class _Witness(Engine):
    """The engine, which keeps an account of every match."""

    def __init__(self, collection: Collection, exceptions: Sequence[RuleException]) -> None:
        super().__init__(collection, exceptions)
        self.accounts = {each.id: Account(each.id, each.title, each.id in collection.silent) for each in collection.all()}

    def count(self, rule: str, event: Event) -> None:
        super().count(rule, event)
        self.accounts[rule].note(event)


def backtest(
    collection: Collection,
    targets: Sequence[Rule | Correlation],
    exceptions: Sequence[RuleException],
    pages: Iterable[Sequence[Event]],
    go_on: Callable[[int, int], bool],
) -> Backtest:
    """Judge stored events. `go_on` is told after each page how many were read and the time of the last; False stops."""
    engine = _Witness(collection.closure(targets), exceptions)
    deduplicator, read, complete = Deduplicator(), 0, True
    for page in pages:
        for event in page:
            for alert in engine.take(event).alerts:
                if deduplicator.admit(alert):
                    account = engine.accounts[alert.rule_id]
                    account.alerts += 1
                    account.day_of(alert.ts_ns).alerts += 1
        read += len(page)
        if page and not go_on(read, page[-1].event_ns):
            complete = False
            break
    for account in engine.accounts.values():
        account.share = account.matches / max(read, 1)
        account.days.sort(key=lambda day: day.day)
    asked = {each.id for each in targets}
    accounts = engine.accounts.values()
    chosen = [account for account in accounts if account.rule in asked]
    return Backtest(read, complete, chosen, [account for account in accounts if account.rule not in asked])
