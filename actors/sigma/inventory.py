"""The inventory of a site: the number of events of each kind of log, and their fields. Pure.

It is what `inspection/unmatchable.py` judges rules by. A field that came once is known for good.

State: `MAX_SOURCES` kinds of log with `MAX_NAMES` names of fields each. When there are more kinds, the one with the fewest
events gives way, so that made-up names of programs cannot push out what a site really sends; it is counted in `forgotten`.
A kind with more names takes no further ones and says so. Cost: a look-up and one comparison of names an event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from actors.sigma.matching.logsource import LogSource

MAX_SOURCES = 64
MAX_NAMES = 512
MAX_LENGTH = 128  # characters of a name


class Kind:
    """The events of one logsource."""

    __slots__ = ("events", "full", "names")

    def __init__(self, events: int = 0, names: set[str] | None = None, full: bool = False) -> None:
        self.events = events
        self.names: set[str] = names or set()
        self.full = full  # there were more names than are kept

    def note(self, fields: Mapping[str, Any]) -> None:
        self.events += 1
        if self.full or fields.keys() <= self.names:
            return
        for name in sorted(name[:MAX_LENGTH] for name in fields.keys() - self.names):
            if len(self.names) == MAX_NAMES:
                self.full = True
                return
            self.names.add(name)


class Seen:
    def __init__(self) -> None:
        self.forgotten = 0
        self._kinds: dict[LogSource, Kind] = {}

    def __len__(self) -> int:
        return len(self._kinds)

    @property
    def events(self) -> int:
        return sum(kind.events for kind in self._kinds.values())

    def note(self, source: LogSource, fields: Mapping[str, Any]) -> None:
        """Take notice of an event."""
        kind = self._kinds.get(source)
        if kind is None:
            if len(self._kinds) == MAX_SOURCES:
                self._forget_least()
            kind = self._kinds[source] = Kind()
        kind.note(fields)

    def _forget_least(self) -> None:
        del self._kinds[min(self._kinds, key=lambda source: self._kinds[source].events)]
        self.forgotten += 1

    def kinds(self) -> list[tuple[LogSource, Kind]]:
        """Return the kinds of log, those with the most events first."""
        return sorted(self._kinds.items(), key=lambda pair: -pair[1].events)

    def fitting(self, product: str | None, category: str | None, service: str | None) -> Iterator[Kind]:
        """Yield the kinds of log that a rule with this logsource is meant for."""
        for source, kind in self.kinds():
            if source.fits(product, category, service):
                yield kind

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain data."""
        kinds = [
            [msgspec.to_builtins(source, order="deterministic"), kind.events, sorted(kind.names), kind.full]
            for source, kind in self._kinds.items()
        ]
        return {"kinds": kinds, "forgotten": self.forgotten}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up the state of `snapshot`."""
        self.forgotten = state["forgotten"]
        self._kinds = {
            msgspec.convert(source, LogSource): Kind(events, set(names), full) for source, events, names, full in state["kinds"]
        }


def worded(source: LogSource) -> str:
    """Return a logsource in words: `linux, auth sshd syslog`."""
    kinds = " ".join(sorted(source.categories | source.services))
    return ", ".join(part for part in (source.product, kinds) if part) or "of no kind"
