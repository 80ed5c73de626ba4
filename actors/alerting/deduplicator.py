"""One alert for one trouble.

The first alert of a key passes; the rest is folded into it while they follow each other within the quiet window, for at
most `LONGEST_NS`, all in event time. No more than `ABREAST` alerts of one rule from one source pass within a window,
whatever their keys: more than that is one trouble with many names. A rule that says what it found may have more of them
than a score that is merely improbable: a hundred attackers are a hundred alerts.

An alert that comes again, because something was lost on its way, is known by its id and judged as it was the first time:
the recorder knows whether it has it. What is folded counts for the alert that people see: that of its key, or, beyond those
abreast, the newest of its rule and source.

State: `KEYS` keys, as many pairs of rule and source and as many ids, the least recently used given up. Cost: a look-up an alert.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from actors.recent import Recent
from protocol.clock import NS_PER_S
from protocol.findings import Alert, AlertState

VERSION = 3
QUIET_NS = 900 * NS_PER_S
LONGEST_NS = 4 * 3600 * NS_PER_S
ABREAST = {"blended": 8}
ABREAST_OF_RULES = 100
KEYS = 10_000


class Trouble(msgspec.Struct, array_like=True, gc=False):
    """The trouble that goes on under one key."""

    alert: str  # id of the one that was shown
    first_ns: int
    last_ns: int


class Shown(msgspec.Struct, array_like=True, gc=False):
    """One of the alerts abreast."""

    ts_ns: int
    alert: str  # its id


class Deduplicator:
    """One alert for each key while its cause goes on."""

    def __init__(self, *, quiet_ns: int = QUIET_NS, longest_ns: int = LONGEST_NS) -> None:
        self.quiet_ns = quiet_ns
        self.longest_ns = longest_ns
        self._open: Recent[str, Trouble] = Recent(KEYS)  # {dedup_key: what goes on}
        self._known: Recent[str, str] = Recent(KEYS)  # {id of a draft: id of the alert that it is shown as}
        self._abreast: Recent[str, list[Shown]] = Recent(KEYS)  # {rule and source: the last ABREAST alerts}
        self.folded = 0

    def admit(self, alert: Alert) -> bool:
        """Tell whether this alert is to be shown; otherwise it is folded into the one that was."""
        return self.shown_as(alert) == alert.id

    def shown_as(self, alert: Alert) -> str:
        """Return the id of the alert under which this one is shown: its own, or that of the one that it is folded into."""
        return self._known.use(alert.id, lambda: self._place(alert))

    def _place(self, alert: Alert) -> str:
        now = alert.ts_ns
        trouble = self._open.get(alert.dedup_key)
        # What lies far before the first is another stretch of history, not a repetition.
        goes_on = trouble is not None and trouble.first_ns - self.quiet_ns <= now <= trouble.last_ns + self.quiet_ns
        if trouble is not None and goes_on and now - trouble.first_ns <= self.longest_ns:
            trouble.last_ns = max(trouble.last_ns, now)
            self.folded += 1
            self._open.move_to_end(alert.dedup_key)
            return trouble.alert
        shown: Sequence[Shown] = self._abreast.get(_abreast_key(alert), ())
        if len(shown) >= _most(alert) and all(abs(now - each.ts_ns) <= self.quiet_ns for each in shown):
            self.folded += 1
            return shown[-1].alert
        self._show(alert)
        return alert.id

    def _show(self, alert: Alert) -> None:
        shown = self._abreast.use(_abreast_key(alert), list)
        shown.append(Shown(alert.ts_ns, alert.id))
        del shown[: -_most(alert)]
        self._open.pop(alert.dedup_key, None)
        self._open.use(alert.dedup_key, lambda: Trouble(alert.id, alert.ts_ns, alert.ts_ns))

    def note_shown(self, alert: Alert, state: AlertState | None = None) -> None:
        """Take notice of an alert that people have seen already, and of how far it goes by its stored state."""
        trouble = self._open.get(alert.dedup_key)
        if alert.id not in self._known:
            self._known.use(alert.id, lambda: alert.id)
            if trouble is None or alert.ts_ns > min(trouble.last_ns + self.quiet_ns, trouble.first_ns + self.longest_ns):
                self._show(alert)
                trouble = self._open[alert.dedup_key]
        if state is not None and trouble is not None and trouble.alert == alert.id:
            trouble.last_ns = max(trouble.last_ns, state.last_ns)

    def statistics(self) -> dict[str, int]:
        return {"keys": len(self._open), "keys_max": KEYS, "folded": self.folded}

    def snapshot(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "open": [[key, *msgspec.to_builtins(trouble)] for key, trouble in self._open.items()],
            "known": [[draft, alert] for draft, alert in self._known.items()],
            "abreast": [[key, msgspec.to_builtins(shown)] for key, shown in self._abreast.items()],
            "folded": self.folded,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of `snapshot`. Raises ValueError if it is of another version."""
        if state.get("version") != VERSION:
            raise ValueError(f"alerts: snapshot of version {state.get('version')}, this is {VERSION}")
        self._open.clear()
        self._abreast.clear()
        self._known.clear()
        for key, *trouble in state["open"]:
            self._open[key] = msgspec.convert(trouble, Trouble)
        for draft, alert in state["known"]:
            self._known[draft] = alert
        for key, shown in state["abreast"]:
            self._abreast[key] = msgspec.convert(shown, list[Shown])
        self.folded = state["folded"]


def _abreast_key(alert: Alert) -> str:
    return f"{alert.rule_kind}:{alert.rule_id}:{alert.source}"


def _most(alert: Alert) -> int:
    return ABREAST.get(alert.rule_kind, ABREAST_OF_RULES)
