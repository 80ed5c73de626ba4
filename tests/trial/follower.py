"""A trial follower: rings at every tenth event of a source, and counts the alerts of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.following.follower import Follower
from protocol.clock import NS_PER_MS
from protocol.findings import Alert
from protocol.identity import alert_id
from protocol.messages import JudgedEvent

EVERY = 10
MAX_SOURCES = 100


class TrialFollower(Follower):
    """Counts, and rings in tens."""

    name = "trial_follower"
    version = 1
    rule_kind = "ueba"

    def __init__(self) -> None:
        self._events: dict[str, int] = {}  # by source
        self._alerts = 0

    def take_events(self, events: Sequence[JudgedEvent]) -> Sequence[Alert]:
        return [alert for each in events if (alert := self._take(each)) is not None]

    def _take(self, judged: JudgedEvent) -> Alert | None:
        event = judged.event
        if event.source not in self._events and len(self._events) == MAX_SOURCES:
            return None
        count = self._events[event.source] = self._events.get(event.source, 0) + 1
        if count % EVERY:
            return None
        rule = f"{count}-events"
        key = f"{self.rule_kind}:{rule}:{event.source}"
        identity = alert_id(event.event_ns // NS_PER_MS, key, event.id)
        title = f"{count} events of {event.source}"
        return Alert(identity, event.event_ns, rule, self.rule_kind, "low", title, [], None, key, [event.id], event.source)

    def take_alerts(self, alerts: Sequence[Alert]) -> Sequence[Alert]:
        self._alerts += len(alerts)
        return ()

    def snapshot(self) -> dict[str, Any]:
        return {"events": self._events, "alerts": self._alerts}

    def restore(self, state: dict[str, Any]) -> None:
        self._events, self._alerts = dict(state["events"]), int(state["alerts"])

    def statistics(self) -> dict[str, int]:
        return {"sources": len(self._events), "sources_max": MAX_SOURCES, "alerts_of_others": self._alerts}
