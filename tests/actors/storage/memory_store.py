"""A store in memory: the smallest thing that fulfils `actors.storage.store.Store`. It proves that the suite is of the seam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from actors.storage.queries import (
    AlertQuery,
    EventQuery,
    Order,
    OutOfOrder,
    StoredAction,
    StoredBatch,
    Template,
    UnknownId,
    has_fields,
)
from actors.storage.writer import Stored
from protocol.findings import Alert, AlertState, Folded
from protocol.identity import decode_ulid
from protocol.messages import Action, ActionDone, BatchKey, JudgedEvent, encode
from protocol.streams import stream_key

T = TypeVar("T")


class MemoryStore:
    def __init__(self) -> None:
        self._events: list[JudgedEvent] = []  # that of commit sequence n at n - 1, and so of alerts and actions
        self._batches: list[tuple[int, int, int, int]] = []  # commit sequence, tag, first, count
        self._positions: dict[int, int] = {}
        self._receivers: dict[str, str] = {}
        self._alerts: list[Alert] = []
        self._folded: dict[str, Folded] = {}
        self._actions: list[StoredAction] = []

    # -- append

    def commit(
        self,
        key: BatchKey | None,
        judged: Sequence[JudgedEvent],
        alerts: Sequence[Alert],
        now_ns: int,
        folded: Sequence[Folded] = (),
    ) -> Stored:
        position = 0 if key is None else self.position(key)
        if key is not None and key.first > position + 1:
            raise OutOfOrder(key)
        fresh = [] if key is None else judged[position + 1 - key.first :]
        known = {alert.id for alert in self._alerts}
        new = list({alert.id: alert for alert in alerts if alert.id not in known}.values())
        first = len(self._events) + 1
        if key is not None and fresh:
            self._batches.append((first, key.tag, key.last + 1 - len(fresh), len(fresh)))
            self._positions[key.tag] = key.last
            self._receivers |= {one.event.id: key.receiver for one in fresh}
        self._events += fresh
        self._alerts += new
        known |= {alert.id for alert in new}
        self._folded = {draft.id: draft for draft in folded if draft.id not in known} | self._folded
        return Stored(first, [encode(one) for one in fresh], new, len(self._alerts))

    def act(self, action: Action, now_ns: int) -> ActionDone:
        for stored in self._actions:
            if stored.action == action:
                return ActionDone(action.id, stored.sequence, stored.time_ns)
            if stored.action.id == action.id:
                return ActionDone(action.id, refusal="give it an id of its own")
        self._actions.append(StoredAction(len(self._actions) + 1, now_ns, action))
        return ActionDone(action.id, len(self._actions), now_ns)

    def position(self, key: BatchKey) -> int:
        return max(self._positions.get(key.tag, key.base), key.base)

    def sequences(self) -> tuple[int, int]:
        return len(self._events), len(self._alerts)

    def close(self) -> None:
        pass

    # -- query

    def events(self, query: EventQuery) -> tuple[list[JudgedEvent], int | None]:
        after = self._sequence_of(query.after_id)
        found = [
            (sequence, one)
            for sequence, one in enumerate(self._events, 1)
            if sequence > after
            and (query.since_ns is None or one.event.event_ns >= query.since_ns)
            and (query.until_ns is None or one.event.event_ns < query.until_ns)
            and query.source in (None, one.event.source)
            and query.stream in (None, stream_key(one.event))
            and (query.severity is None or one.event.severity >= query.severity)
            and query.template_id in (None, one.event.template_id)
            and (query.entity is None or query.entity in {entity.uuid for entity in one.event.entities})
            and (query.min_score is None or one.score >= query.min_score)
            and has_fields(one.event.fields, query.fields)
            and {word.lower() for word in (query.text or "").split()} <= set(one.event.message.lower().split())
        ]
        return _page(found, query.order, query.cursor, query.limit)

    def _sequence_of(self, event_id: str | None) -> int:
        return 0 if event_id is None else 1 + self._events.index(self.event(event_id))

    def event(self, event_id: str) -> JudgedEvent:
        decode_ulid(event_id)
        return _one([one for one in self._events if one.event.id == event_id], event_id)

    def receiver(self, event_id: str) -> str:
        self.event(event_id)
        return self._receivers[event_id]

    def entity(self, uuid: str) -> dict[str, Any]:
        mine = [one.event for one in self._events if uuid in {entity.uuid for entity in one.event.entities}]
        entity = _one([entity for event in mine[-1:] for entity in event.entities if entity.uuid == uuid], uuid)
        return {"entity": entity, "events": len(mine), "first": mine[0].event_ns, "last": mine[-1].event_ns}

    def alerts(self, query: AlertQuery) -> tuple[list[Alert], int | None]:
        after = 0 if query.after_id is None else 1 + self._alerts.index(self.alert(query.after_id))
        found = [
            (sequence, alert)
            for sequence, alert in enumerate(self._alerts, 1)
            if sequence > after
            and (query.since_ns is None or alert.ts_ns >= query.since_ns)
            and (query.until_ns is None or alert.ts_ns < query.until_ns)
            and query.source in (None, alert.source)
            and (query.entity is None or query.entity in {entity.uuid for entity in alert.entities})
        ]
        return _page(found, query.order, query.cursor, query.limit)

    def alert(self, alert_id: str) -> Alert:
        return _one([alert for alert in self._alerts if alert.id == alert_id], alert_id)

    def alert_states(self, alerts: Sequence[Alert]) -> dict[str, AlertState]:
        states = {}
        for alert in alerts:
            mine = [draft for draft in self._folded.values() if draft.into == alert.id]
            newest = max(mine, key=lambda draft: draft.ts_ns, default=Folded("", "", -1))
            times = [alert.ts_ns, *(draft.ts_ns for draft in mine)]
            figures = newest.explanation if newest.ts_ns >= alert.ts_ns else alert.explanation
            states[alert.id] = AlertState(1 + len(mine), min(times), max(times), figures)
        return states

    def templates(self, *, cursor: int | None, limit: int) -> tuple[list[Template], int | None]:
        numbers = sorted({one.event.template_id for one in self._events})
        rows = []
        for number in numbers:
            mine = [one.event for one in self._events if one.event.template_id == number]
            times = [event.event_ns for event in mine]
            rows.append((number, (number, mine[-1].template, len(mine), min(times), max(times))))
        return _page(rows, "asc", cursor, limit)

    # -- follow

    def positions(self) -> dict[int, int]:
        return dict(self._positions)

    def sequence_behind(self, learned: Mapping[int, int], *, max_events: int) -> int:
        newest = len(self._events)
        behind = [seq for seq, tag, first, count in self._batches if first + count - 1 > learned.get(tag, 0)]
        return max(behind[0], newest + 1 - max_events) if behind else newest + 1

    def batches(self, from_seq: int, *, limit: int) -> list[StoredBatch]:
        return self._read([batch for batch in self._batches if batch[0] >= from_seq], limit)

    def batches_of(self, tag: int, first: int, last: int, *, limit: int) -> list[StoredBatch]:
        mine = [batch for batch in self._batches if batch[1] == tag]
        return self._read([batch for batch in mine if batch[2] <= last and batch[2] + batch[3] > first], limit)

    def _read(self, batches: list[tuple[int, int, int, int]], limit: int) -> list[StoredBatch]:
        found: list[StoredBatch] = []
        for seq, tag, first, count in batches:
            if found and sum(len(batch.events) for batch in found) + count > limit:
                break
            found.append(StoredBatch(seq, tag, first, self._events[seq - 1 : seq - 1 + count]))
        return found

    def actions(self, after: int, *, limit: int) -> list[StoredAction]:
        return self._actions[after : after + limit]

    def check_layout(self) -> None:
        pass

    def damaged_days(self) -> list[str]:
        return []


def _page(found: list[tuple[int, T]], order: Order, cursor: int | None, limit: int) -> tuple[list[T], int | None]:
    if order == "desc":
        found = found[::-1]
    if cursor is not None:
        found = [each for each in found if (each[0] > cursor if order == "asc" else each[0] < cursor)]
    page = found[:limit]
    return [each for _, each in page], page[-1][0] if len(found) > limit else None


def _one(found: Sequence[T], name: str) -> T:
    if not found:
        raise UnknownId(name)
    return found[0]
