"""One alert for one trouble.

The first alert of a key passes; the rest is folded into it while they follow each other within the quiet window, for at
most `LONGEST_NS`, all in event time. No more than `ABREAST` alerts of one rule from one source pass within a window,
whatever their keys: more than that is one trouble with many names. A rule that says what it found may have more of them
than a score that is merely improbable: a hundred attackers are a hundred alerts.

An alert that comes again, because something was lost on its way, is known by its id and judged as it was the first time:
the recorder knows whether it has it.

State: `KEYS` keys, as many pairs of rule and source and as many ids, the least recently used given up. Cost: a look-up an alert.
"""

from __future__ import annotations

from typing import Any

from actors.recent import Recent
from protocol.clock import NS_PER_S
from protocol.findings import Alert

VERSION = 2
QUIET_NS = 900 * NS_PER_S
LONGEST_NS = 4 * 3600 * NS_PER_S
ABREAST = {"blended": 8}
ABREAST_OF_RULES = 100
KEYS = 10_000


class Deduplicator:
    """One alert for each key while what causes it goes on."""

    def __init__(self, *, quiet_ns: int = QUIET_NS, longest_ns: int = LONGEST_NS) -> None:
        self.quiet_ns = quiet_ns
        self.longest_ns = longest_ns
        self._open: Recent[str, list[int]] = Recent(KEYS)  # {dedup_key: [first_ns, last_ns, folded]}
        self._known: Recent[str, bool] = Recent(KEYS)  # {id of an alert: whether it was shown}
        self._abreast: Recent[str, list[int]] = Recent(KEYS)  # {rule and source: times of the last ABREAST alerts}
        self.folded = 0

    def admit(self, alert: Alert) -> bool:
        """Tell whether this alert is to be shown; otherwise it is counted under the one that was."""
        return self._known.use(alert.id, lambda: self._is_new(alert))

    def _is_new(self, alert: Alert) -> bool:
        now = alert.ts_ns
        entry = self._open.get(alert.dedup_key)
        # What lies far before the first is another stretch of history, not a repetition.
        goes_on = entry is not None and entry[0] - self.quiet_ns <= now <= entry[1] + self.quiet_ns
        if entry is not None and goes_on and now - entry[0] <= self.longest_ns:
            entry[1] = max(entry[1], now)
            entry[2] += 1
            self.folded += 1
            self._open.move_to_end(alert.dedup_key)
            return False
        shown = self._abreast.get(_abreast_key(alert), ())
        if len(shown) >= _most(alert) and all(abs(now - time) <= self.quiet_ns for time in shown):
            self.folded += 1
            return False
        self._show(alert)
        return True

    def _show(self, alert: Alert) -> None:
        shown = self._abreast.use(_abreast_key(alert), list)
        shown.append(alert.ts_ns)
        del shown[: -_most(alert)]
        self._open.use(alert.dedup_key, list)[:] = [alert.ts_ns, alert.ts_ns, 0]

    def note_shown(self, alert: Alert) -> None:
        """Take notice of an alert that people have seen already, should it be of a trouble that is not known."""
        if alert.id in self._known:
            return
        self._known.use(alert.id, lambda: True)
        entry = self._open.get(alert.dedup_key)
        if entry is None or alert.ts_ns > min(entry[1] + self.quiet_ns, entry[0] + self.longest_ns):
            self._show(alert)

    def folded_into(self, dedup_key: str) -> int:
        """Return how many alerts were folded into the one last shown for this key."""
        entry = self._open.get(dedup_key)
        return entry[2] if entry else 0

    def statistics(self) -> dict[str, int]:
        return {"keys": len(self._open), "keys_max": KEYS, "folded": self.folded}

    def snapshot(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "open": [[key, *entry] for key, entry in self._open.items()],
            "known": [[alert, shown] for alert, shown in self._known.items()],
            "abreast": [[key, times] for key, times in self._abreast.items()],
            "folded": self.folded,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of `snapshot`. Raises ValueError if it is of another version."""
        if state.get("version") != VERSION:
            raise ValueError(f"alerts: snapshot of version {state.get('version')}, this is {VERSION}")
        self._open.clear()
        self._abreast.clear()
        self._known.clear()
        for key, *entry in state["open"]:
            self._open[key] = entry
        for alert, was_shown in state["known"]:
            self._known[alert] = was_shown
        for key, times in state["abreast"]:
            self._abreast[key] = list(times)
        self.folded = state["folded"]


def _abreast_key(alert: Alert) -> str:
    return f"{alert.rule_kind}:{alert.rule_id}:{alert.source}"


def _most(alert: Alert) -> int:
    return ABREAST.get(alert.rule_kind, ABREAST_OF_RULES)
