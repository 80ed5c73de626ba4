"""The memory of a correlation for one timespan, a class for each kind of condition. Pure.

A window is told the beginning of its timespan (`expire`) and then what an event brings (`add`); `measure` answers with the
number that the condition compares. Events may come late, but never from before the beginning.

State: sorted lists. Counting stops one beyond what the condition asks for, so of events and of distinct values only the newest
that many are kept, and the answer is still exact: what left first is the first that would have left. Numbers are all needed:
at most `MAX_ENTRIES`, of which the oldest gives way and is counted in `dropped`. An order is followed by the latest possible
beginning of a chain up to each rule, exact for events in order; those that came late are put in their place among the
newest `MAX_LATE`.
Cost: O(log n) comparisons an event and one move of a list; the extended condition, the order of a late event and the
beginning of a timespan are linear in rules, `MAX_LATE` and what leaves.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Any, Protocol

from actors.sigma.correlation.correlations import Correlation, count_limit, evaluate

MAX_ENTRIES = 10_000
MAX_LATE = 64
SCALE = 1_000_000  # numbers are kept in millionths, as integers, so that sums stay exact
NEVER = -(1 << 63)


class Window(Protocol):
    """The events of one timespan."""

    dropped: int  # entries that gave way and may be missed

    def __len__(self) -> int: ...
    def add(self, ns: int, value: Any) -> None: ...
    def expire(self, start_ns: int) -> None: ...
    def measure(self) -> float: ...
    def state(self) -> list[Any]: ...
    def restore(self, state: list[Any]) -> None: ...


class Count:
    """How many events; each brings nothing but its time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._times: list[int] = []
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._times)

    def add(self, ns: int, value: Any) -> None:
        insort(self._times, ns)
        if len(self._times) > self._limit:
            del self._times[0]

    def expire(self, start_ns: int) -> None:
        if self._times and self._times[0] < start_ns:
            del self._times[: bisect_left(self._times, start_ns)]

    def measure(self) -> int:
        return len(self._times)

    def state(self) -> list[Any]:
        return self._times.copy()

    def restore(self, state: list[Any]) -> None:
        self._times = state


class Distinct:
    """How many different values; each is as new as its newest event."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._newest: dict[Any, int] = {}
        self._order: list[tuple[int, Any]] = []
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._order)

    def add(self, ns: int, value: Any) -> None:
        before = self._newest.get(value)
        if before is not None:
            if before >= ns:
                return
            del self._order[bisect_left(self._order, (before, value))]
        self._newest[value] = ns
        insort(self._order, (ns, value))
        if len(self._order) > self._limit:
            del self._newest[self._order.pop(0)[1]]

    def expire(self, start_ns: int) -> None:
        if self._order and self._order[0][0] < start_ns:
            gone = bisect_left(self._order, start_ns, key=_time)
            for _, value in self._order[:gone]:
                del self._newest[value]
            del self._order[:gone]

    def measure(self) -> int:
        return len(self._order)

    def state(self) -> list[Any]:
        return self._order.copy()

    def restore(self, state: list[Any]) -> None:
        for ns, value in state:
            self.add(ns, tuple(value) if isinstance(value, list) else value)


class Seen:
    """Which rules were seen. Each event brings the places of those that it matched; the answer is their count, or 0 and 1."""

    def __init__(self, rules: Sequence[str], expression: Any) -> None:
        self._rules = rules
        self._expression = expression
        self._newest: dict[int, int] = {}
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._newest)

    def add(self, ns: int, value: Sequence[int]) -> None:
        for place in value:
            self._newest[place] = max(ns, self._newest.get(place, ns))

    def expire(self, start_ns: int) -> None:
        if any(ns < start_ns for ns in self._newest.values()):
            self._newest = {place: ns for place, ns in self._newest.items() if ns >= start_ns}

    def measure(self) -> int:
        if self._expression is None:
            return len(self._newest)
        return int(evaluate(self._expression, frozenset(self._rules[place] for place in self._newest)))

    def state(self) -> list[Any]:
        return list(self._newest.items())

    def restore(self, state: list[Any]) -> None:
        self._newest = dict(state)


class Ordered:
    """How many of the rules were seen one after the other, from the first on. Events of one time stand in order of arrival."""

    def __init__(self, rules: int) -> None:
        self._start_ns = NEVER
        self._tip = [NEVER] * rules  # the latest beginning of a chain that ends with each rule
        self._folded = [NEVER] * rules  # the same of entries that are no longer kept
        self._folded_ns = NEVER
        self._entries: list[tuple[int, list[int]]] = []
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, ns: int, value: Sequence[int]) -> None:
        if ns < self._folded_ns:
            self.dropped += 1
            return
        entry = (ns, list(value))
        if not self._entries or ns >= self._entries[-1][0]:
            self._entries.append(entry)
            _follow(self._tip, entry)
        else:
            insort(self._entries, entry, key=_time)
            self._tip = self._folded.copy()
            for each in self._entries:
                _follow(self._tip, each)
        if len(self._entries) > MAX_LATE:
            self._folded_ns = self._entries[0][0]
            _follow(self._folded, self._entries.pop(0))

    def expire(self, start_ns: int) -> None:
        self._start_ns = start_ns
        if self._entries and self._entries[0][0] < start_ns:
            del self._entries[: bisect_left(self._entries, start_ns, key=_time)]

    def measure(self) -> int:
        return max((place + 1 for place, ns in enumerate(self._tip) if ns >= self._start_ns), default=0)

    def state(self) -> list[Any]:
        return [self._start_ns, self._tip, self._folded, self._folded_ns, [list(each) for each in self._entries]]

    def restore(self, state: list[Any]) -> None:
        self._start_ns, self._tip, self._folded, self._folded_ns, entries = state
        self._entries = [(ns, places) for ns, places in entries]


def _follow(beginnings: list[int], entry: tuple[int, list[int]]) -> None:
    """Let an entry prolong the chains before it, the last rule first: no event comes after itself."""
    ns, places = entry
    for place in reversed(places):
        beginnings[place] = max(beginnings[place], beginnings[place - 1] if place else ns)


class _Kept:
    """All entries of the timespan, up to a bound; what is made of their values is told what comes and what goes."""

    def __init__(self) -> None:
        self._entries: list[tuple[int, Any]] = []
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, ns: int, value: Any) -> None:
        insort(self._entries, (ns, value))
        self._enter(value)
        if len(self._entries) > MAX_ENTRIES:
            self._forget(1)
            self.dropped += 1

    def expire(self, start_ns: int) -> None:
        if self._entries and self._entries[0][0] < start_ns:
            self._forget(bisect_left(self._entries, start_ns, key=_time))

    def _forget(self, count: int) -> None:
        for _, value in self._entries[:count]:
            self._leave(value)
        del self._entries[:count]

    def _enter(self, value: Any) -> None:
        raise NotImplementedError

    def _leave(self, value: Any) -> None:
        raise NotImplementedError

    def state(self) -> list[Any]:
        return self._entries.copy()

    def restore(self, state: list[Any]) -> None:
        for ns, value in state:
            self.add(ns, tuple(value) if isinstance(value, list) else value)


class Numbers(_Kept):
    """Sum and mean."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._mean = kind == "value_avg"
        self._sum = 0

    def _enter(self, value: int) -> None:
        self._sum += value

    def _leave(self, value: int) -> None:
        self._sum -= value

    def measure(self) -> float:
        return self._sum / (SCALE * len(self._entries) if self._mean else SCALE)


class Ranks(_Kept):
    """A percentile, with a straight line between neighbours: that of 50 is the median."""

    def __init__(self, percentile: int) -> None:
        super().__init__()
        self._percentile = percentile
        self._sorted: list[int] = []

    def _enter(self, value: int) -> None:
        insort(self._sorted, value)

    def _leave(self, value: int) -> None:
        del self._sorted[bisect_left(self._sorted, value)]

    def measure(self) -> float:
        place, part = divmod(self._percentile * (len(self._sorted) - 1), 100)
        below, above = self._sorted[place], self._sorted[min(place + 1, len(self._sorted) - 1)]
        return (below * (100 - part) + above * part) / (100 * SCALE)


class Share(_Kept):
    """How many of a hundred events have the value of the event at hand."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[Any, int] = {}
        self._now: Any = None

    def _enter(self, value: Any) -> None:
        self._counts[value] = self._counts.get(value, 0) + 1
        self._now = value

    def _leave(self, value: Any) -> None:
        self._counts[value] -= 1
        if not self._counts[value]:
            del self._counts[value]

    def measure(self) -> float:
        return 100 * self._counts.get(self._now, 0) / len(self._entries)


def _time(entry: tuple[int, Any]) -> int:
    return entry[0]


def window_for(correlation: Correlation) -> Window:
    """Return an empty window of the kind that the correlation needs."""
    kind = correlation.type
    if kind == "event_count":
        return Count(count_limit(correlation))
    if kind == "value_count":
        return Distinct(count_limit(correlation))
    if kind == "temporal":
        return Seen(correlation.rules, correlation.expression)
    if kind == "temporal_ordered":
        return Ordered(len(correlation.rules))
    if kind in ("value_sum", "value_avg"):
        return Numbers(kind)
    if kind == "value_percentile" and correlation.percentile is None:
        return Share()
    return Ranks(50 if correlation.percentile is None else correlation.percentile)
