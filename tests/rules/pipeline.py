"""Lines through the real parser, rules and correlations, without the daemon around them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from actors.parsing.parse import Parser
from actors.receivers.internal import record_of
from actors.sigma.correlation.correlations import Correlation
from actors.sigma.correlation.correlator import Correlator
from actors.sigma.rules.collection import Collection, collect
from actors.sigma.rules.library import find_files
from actors.sigma.rules.rule import Rule
from actors.sigma.ruleset import RuleSet
from protocol.clock import parse_time
from protocol.messages import Notice
from protocol.records import Record, weight_of
from tests.actors.sigma.files import load

BUILTIN = Path(__file__).parents[2] / "actors" / "sigma" / "builtin"
OBSERVED_NS = parse_time("2026-05-13T18:00:00Z")


class Hit(NamedTuple):
    """A rule or correlation that a line made true, and the fields of the event."""

    line: int
    name: str
    fields: dict[str, Any]
    group: dict[str, str]


@cache
def collection() -> Collection:
    """Return the rules and correlations that come with the project."""
    found = collect(load(find_files([str(BUILTIN)])))
    assert not found.refusals, found.refusals
    return found


def builtin() -> tuple[tuple[Rule, ...], tuple[Correlation, ...]]:
    return collection().rules, collection().correlations


def silent() -> frozenset[str]:
    """Return the names of those that only feed others."""
    return collection().silent


@cache
def rule_set() -> RuleSet:
    return RuleSet(builtin()[0])


def record_from(line: str) -> Record:
    """Return a line as a receiver brings it: syslog, any other line, or a notice of the daemon itself."""
    if line.startswith("notice "):
        told = json.loads(line.removeprefix("notice "))
        return record_of(Notice(told["kind"], told["text"], OBSERVED_NS, 17, told["fields"]), "tocsin")
    return Record(OBSERVED_NS, "syslog", "syslog" if line.startswith("<") and line[1:2].isdigit() else "line", "", line.encode())


def run(lines: Iterable[str], observed_ns: int | None = None) -> Iterator[Hit]:
    """Yield what lines that come one after the other make true; `observed_ns`: the time of reading, if not the usual one."""
    records = [record_from(line) for line in lines]
    if observed_ns is not None:
        records = [Record(observed_ns + place, *_rest(record)) for place, record in enumerate(records)]
    events, _ = Parser().parse(records, 1, 1)
    correlator = Correlator(builtin()[1])
    for place, event in enumerate(events):
        subject, source = rule_set().subject_of(event)
        matched = rule_set().match(subject, source)
        fields = dict(subject.fields)
        for rule in matched:
            yield Hit(place, rule.id, fields, {})
        for firing in correlator.feed(event.event_ns, event.id, [rule.id for rule in matched], fields, weight_of(event)):
            yield Hit(place, firing.correlation, fields, firing.group)


def _rest(record: Record) -> Sequence[Any]:
    return record.source, record.form, record.origin, record.body, record.cut
