"""The groups of one correlation: for each combination of the values of `group-by` the events of the last timespan. Pure.

A window reaches from its newest event one timespan back, both ends included. An event that comes late and still falls into it
counts. One that lies further back than a timespan, or further ahead, opens a window of its own, and a group keeps the two
windows last used: a single event with a wrong clock neither blinds a group nor empties it, and two hosts whose clocks differ
are both counted, each by its own clock.

A window fires at the event that makes its condition true, and is then quiet while it stays true, until a whole timespan has
passed since it fired: an attack that goes on is told of again, and a correlation that refers to this one does not forget
it. When the condition was false in between (at some event), it fires again at once. Conditions are looked at when events
come; what becomes true by mere passing of time is seen at the next event.

State: at most `max_groups` groups, and at most `max_entries` entries in all; the group unused longest gives way and is
counted. A group that has been over for two timespans leaves without being counted, when two events in a row say so.
"""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict
from typing import Any

from actors.sigma.correlation.correlations import Correlation
from actors.sigma.correlation.windows import Window, window_for

MAX_EVIDENCE = 20  # newest events of a window whose ids are known

GroupKey = tuple[str, ...]


class Span:
    """One window of a group, and whether it has fired."""

    __slots__ = ("end_ns", "evidence", "fired_ns", "held", "size", "window")

    def __init__(self, window: Window, end_ns: int) -> None:
        self.window = window
        self.end_ns = end_ns
        self.held: Any = None  # what the condition is true of: the value whose share it is, else True
        self.fired_ns = 0
        self.evidence: list[tuple[int, str]] = []
        self.size = 0  # entries of the window and ids of evidence

    def count(self) -> int:
        """Count anew how much is remembered; return by how much that is more."""
        before, self.size = self.size, len(self.window) + len(self.evidence)
        return self.size - before

    def add(self, ns: int, event_ids: tuple[str, ...], value: Any, timespan_ns: int) -> None:
        self.end_ns = max(self.end_ns, ns)
        start_ns = self.end_ns - timespan_ns
        self.window.expire(start_ns)
        self.window.add(ns, value)
        evidence = self.evidence
        for event_id in event_ids:
            insort(evidence, (ns, event_id))
        if len(evidence) > MAX_EVIDENCE:
            del evidence[:-MAX_EVIDENCE]
        while evidence and evidence[0][0] < start_ns:
            del evidence[0]

    def fires(self, held: Any, timespan_ns: int) -> bool:
        """Tell whether to fire, if the condition is true of `held`; None if it is false."""
        before, self.held = self.held, held
        if held is None or (held == before and self.end_ns - self.fired_ns < timespan_ns):
            return False
        self.fired_ns = self.end_ns
        return True

    def state(self) -> list[Any]:
        return [self.end_ns, self.held, self.fired_ns, self.evidence.copy(), self.window.state()]


class Groups:
    """The groups of one correlation, the one used last at the end."""

    def __init__(self, correlation: Correlation, max_groups: int, max_entries: int) -> None:
        self._correlation = correlation
        self._timespan_ns = correlation.timespan_ns
        self._holds = correlation.test()
        self.shares = correlation.type == "value_percentile" and correlation.percentile is None
        self._max_groups = max_groups
        self._max_entries = max_entries
        self._groups: OrderedDict[GroupKey, list[Span]] = OrderedDict()
        self._last_ns = 0  # time of the event before
        self.entries = 0
        self.evicted = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._groups)

    def bound_as(self, other: Groups) -> None:
        """Take the bounds of another; what is beyond them leaves with the next events."""
        self._max_groups, self._max_entries = other._max_groups, other._max_entries

    def feed(self, key: GroupKey, ns: int, event_ids: tuple[str, ...], value: Any) -> tuple[Span, float] | None:
        """Take an event into its group; return the window and what was measured if it fires."""
        span = self._span_for(key, ns)
        dropped = span.window.dropped
        span.add(ns, event_ids, value, self._timespan_ns)
        self.entries += span.count()
        self.dropped += span.window.dropped - dropped
        seen = span.window.measure()
        held = None if not self._holds(seen) else value if self.shares else True
        fires = span.fires(held, self._timespan_ns)
        self._shrink(min(ns, self._last_ns))
        self._last_ns = ns
        return (span, seen) if fires else None

    def _span_for(self, key: GroupKey, ns: int) -> Span:
        """Return the window that an event falls into; the group becomes the last, the window its first."""
        spans = self._groups.get(key)
        if spans is None:
            spans = self._groups[key] = []
        else:
            self._groups.move_to_end(key)
        for span in spans:
            if span.end_ns - self._timespan_ns <= ns <= span.end_ns + self._timespan_ns:
                if span is not spans[0]:
                    spans.reverse()
                return span
        if len(spans) == 2:
            self.entries -= spans.pop().size
        spans.insert(0, Span(window_for(self._correlation), ns))
        return spans[0]

    def _shrink(self, now_ns: int) -> None:
        """Let the oldest groups go: those that are over, and those for which there is no room."""
        over_ns = now_ns - 2 * self._timespan_ns
        while len(self._groups) > 1:
            spans = next(iter(self._groups.values()))
            over = spans[0].end_ns < over_ns and spans[-1].end_ns < over_ns
            if not over and len(self._groups) <= self._max_groups and self.entries <= self._max_entries:
                return
            self._groups.popitem(last=False)
            self.entries -= sum(span.size for span in spans)
            self.evicted += not over

    def snapshot(self) -> list[Any]:
        """Return the state as plain data."""
        return [self._last_ns, [(key, [span.state() for span in spans]) for key, spans in self._groups.items()]]

    def restore(self, state: list[Any]) -> None:
        """Take up a state, into groups that are new."""
        self._last_ns, groups = state
        for key, spans in groups:
            self._groups[tuple(key)] = [self._restored(each) for each in spans]
        self.entries = sum(span.count() for spans in self._groups.values() for span in spans)

    def _restored(self, state: list[Any]) -> Span:
        end_ns, held, fired_ns, evidence, window = state
        span = Span(window_for(self._correlation), end_ns)
        span.held = tuple(held) if isinstance(held, list) else held
        span.fired_ns = fired_ns
        span.evidence = [(ns, event_id) for ns, event_id in evidence]
        span.window.restore(window)
        return span
