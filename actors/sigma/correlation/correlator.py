"""Correlations of matched rules over time (Sigma correlation rules specification 2.1). Pure: time comes with the events.

Each event brings the keys of the rules that it matched. A correlation takes an event once for each group that it belongs to,
however many of its rules matched, but where events are counted, `message repeated 3 times` is three; an event without one of
the fields of `group-by`, or without the field that the condition is about, takes no part. Values are compared as text, exactly
as written. What fires is an event itself for the correlations that refer to it: at the time of its newest event, with the
values of its group and, besides, the fields of the event that made it fire.

State and its bound: see `groups.py` and `windows.py`, each correlation by itself. Cost: a look-up for each rule that matched,
then one step of a window for each correlation that refers to it; nothing for events that match no such rule.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from actors.sigma.correlation.correlations import NUMBERS, Correlation
from actors.sigma.correlation.groups import GroupKey, Groups, Span
from actors.sigma.correlation.windows import SCALE

VERSION = 1
MAX_GROUPS = 10_000  # of one correlation, if nobody says otherwise
MAX_ENTRIES = 50_000
MAX_TEXT = 256  # characters of a value; of a longer one the beginning and a digest stand for it
MAX_NUMBER = 1e12  # beyond it, in millionths, is more than 64 bits

Fields = Mapping[str, Any]


class Firing(msgspec.Struct, frozen=True):
    """A correlation fires."""

    correlation: str
    event_ns: int  # of the newest event in the window
    first_ns: int  # of the oldest event that is named
    event_id: str  # of the event that made it fire
    event_ids: tuple[str, ...]  # of the newest events in the window, at most `MAX_EVIDENCE`, the oldest first
    group: dict[str, str]  # {field or alias of `group-by`: value}
    seen: float  # what was measured; counts go no further than the condition asks
    wanted: str  # `gte 10`


class _Occurrence(msgspec.Struct, frozen=True):
    """An event, or a firing, on its way to a correlation."""

    ns: int
    event_id: str
    event_ids: tuple[str, ...]
    fields: Fields
    count: int = 1  # events that it stands for


class _Listener:
    """One correlation, and what it takes of an occurrence."""

    def __init__(self, correlation: Correlation, max_groups: int, max_entries: int) -> None:
        self.correlation = correlation
        self.groups = Groups(correlation, max_groups, max_entries)
        self.apart = 0  # occurrences that lacked a field
        self._group_fields = [correlation.names_for(rule, correlation.group_by) for rule in correlation.rules]
        self._value_fields = [correlation.names_for(rule, correlation.fields) for rule in correlation.rules]
        self._wanted = correlation.wanted()
        self.digest = _digest(correlation)

    def feed(self, occurrence: _Occurrence, places: Sequence[int]) -> list[Firing]:
        """Take an occurrence that matched the rules at these places."""
        if len(places) == 1:
            return self._feed_group(occurrence, self._key_of(places[0], occurrence.fields), places)
        groups: dict[GroupKey | None, list[int]] = {}
        for place in places:
            groups.setdefault(self._key_of(place, occurrence.fields), []).append(place)
        return [firing for key, own in groups.items() for firing in self._feed_group(occurrence, key, own)]

    def _key_of(self, place: int, fields: Fields) -> GroupKey | None:
        return _texts(self._group_fields[place], fields)

    def _feed_group(self, occurrence: _Occurrence, key: GroupKey | None, places: Sequence[int]) -> list[Firing]:
        value = None if key is None else self._value_of(places, occurrence.fields)
        if key is None or value is None:
            self.apart += 1
            return []
        found = None
        for _ in range(occurrence.count if self.correlation.type == "event_count" else 1):
            found = self.groups.feed(key, occurrence.ns, occurrence.event_ids, value) or found
        return [] if found is None else [self._firing(occurrence, key, *found)]

    def _value_of(self, places: Sequence[int], fields: Fields) -> Any:
        """Return what the window has to know of an event; None if the event does not have it."""
        names = self._value_fields[places[0]]
        if not names:
            return places
        if self.correlation.type in NUMBERS and not self.groups.shares:
            return _millionths(fields.get(names[0]))
        return _texts(names, fields)

    def _firing(self, occurrence: _Occurrence, key: GroupKey, span: Span, seen: float) -> Firing:
        event_ids = tuple(dict.fromkeys(event_id for _, event_id in span.evidence))
        group = dict(zip(self.correlation.group_by, key, strict=True))
        name, event_id = self.correlation.id, occurrence.event_id
        return Firing(name, span.end_ns, span.evidence[0][0], event_id, event_ids, group, seen, self._wanted)


class Correlator:
    """All correlations, in an order in which each comes after those that it refers to, as `resolve` returns them."""

    def __init__(self, correlations: Sequence[Correlation], max_groups: int = MAX_GROUPS, max_entries: int = MAX_ENTRIES) -> None:
        self._listeners = [_Listener(each, max_groups, max_entries) for each in correlations]
        self._places: dict[str, list[tuple[int, int]]] = {}  # {rule: (listener, place of the rule in it)}
        for number, correlation in enumerate(correlations):
            for place, rule in enumerate(correlation.rules):
                self._places.setdefault(rule, []).append((number, place))

    def feed(self, event_ns: int, event_id: str, rules: Collection[str], fields: Fields, weight: int = 1) -> list[Firing]:
        """Take an event with the keys of the rules that it matched; return what fires, in the order of the correlations.

        `weight`: how many messages it stands for.
        """
        firings: list[Firing] = []
        waiting: dict[int, list[tuple[_Occurrence, list[int]]]] = {}
        self._deliver(_Occurrence(event_ns, event_id, (event_id,), fields, weight), rules, waiting)
        while waiting:
            number = min(waiting)
            for occurrence, places in waiting.pop(number):
                for firing in self._listeners[number].feed(occurrence, places):
                    firings.append(firing)
                    merged = {**occurrence.fields, **firing.group}
                    follows = _Occurrence(firing.event_ns, firing.event_id, firing.event_ids, merged)
                    self._deliver(follows, (firing.correlation,), waiting)
        return firings

    def _deliver(
        self,
        occurrence: _Occurrence,
        rules: Collection[str],
        waiting: dict[int, list[tuple[_Occurrence, list[int]]]],
    ) -> None:
        """Let an occurrence wait at every correlation that refers to one of the rules."""
        own: dict[int, list[int]] = {}
        for rule in rules:
            for number, place in self._places.get(rule, ()):
                own.setdefault(number, []).append(place)
        for number, places in own.items():
            waiting.setdefault(number, []).append((occurrence, sorted(places)))

    def statistics(self) -> dict[str, int]:
        """Return how much is remembered, and what was forgotten or took no part."""
        return {
            "groups": sum(len(each.groups) for each in self._listeners),
            "entries": sum(each.groups.entries for each in self._listeners),
            "evicted_groups": sum(each.groups.evicted for each in self._listeners),
            "dropped_entries": sum(each.groups.dropped for each in self._listeners),
            "without_field": sum(each.apart for each in self._listeners),
        }

    def adopt(self, other: Correlator) -> None:
        """Go on with what another knows, which is not used any more; a correlation that has changed begins anew."""
        known = {each.correlation.id: each for each in other._listeners}
        for each in self._listeners:
            before = known.get(each.correlation.id)
            if before is not None and before.digest == each.digest:
                before.groups.bound_as(each.groups)
                each.groups, each.apart = before.groups, before.apart

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain data."""
        found = {each.correlation.id: [each.digest, each.groups.snapshot()] for each in self._listeners}
        return {"version": VERSION, "correlations": found}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state; a correlation that has changed since begins anew. Raises ValueError for another version."""
        if state.get("version") != VERSION:
            raise ValueError(f"correlations have version {state.get('version')!r}, this program reads {VERSION}")
        for each in self._listeners:
            digest, groups = state["correlations"].get(each.correlation.id, ("", None))
            if digest == each.digest:
                each.groups.restore(groups)


def _digest(correlation: Correlation) -> str:
    """Return a digest of all that the state depends on."""
    parts = [
        correlation.type,
        correlation.rules,
        correlation.group_by,
        correlation.aliases,
        correlation.timespan_ns,
        correlation.criteria,
        correlation.fields,
        correlation.percentile,
        correlation.expression,
    ]
    return hashlib.blake2b(msgspec.json.encode(parts, order="sorted"), digest_size=16).hexdigest()


def _texts(names: Sequence[str], fields: Fields) -> GroupKey | None:
    """Return the values of fields as text; None if one is null or not there."""
    if len(names) == 1 and type(value := fields.get(names[0])) is str and len(value) <= MAX_TEXT:
        return (value,)
    texts = []
    for name in names:
        text = _text(fields.get(name))
        if text is None:
            return None
        texts.append(text if len(text) <= MAX_TEXT else _shortened(text))
    return tuple(texts)


def _text(value: Any) -> str | None:
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(text for each in value if (text := _text(each)) is not None) or None
    return str(value)


def _shortened(text: str) -> str:
    return text[: MAX_TEXT - 32] + hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _millionths(value: Any) -> int | None:
    """Return a number, or a text that is one, in millionths; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > MAX_TEXT:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return round(number * SCALE) if math.isfinite(number) and abs(number) <= MAX_NUMBER else None
