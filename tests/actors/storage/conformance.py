"""What every store promises, whatever keeps it. A store passes if `conform` returns for any story that it is told.

A story is a list of steps: batches that come late, again, overlapping or too early; alerts, folded drafts and actions, new
and known; days that pass, and restarts. After each step what was committed is what the rules of the seam say (`Model`),
and everything that a reader gives (pages, batches, states, entities) agrees with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import msgspec
import pytest
from hypothesis import strategies as st

from actors.storage.queries import AlertQuery, EventQuery, OutOfOrder, StoredAction, StoredBatch, UnknownId
from actors.storage.store import ReadableStore, WritableStore
from protocol.findings import Alert, Folded
from protocol.identity import encode_ulid, entity_uuid
from protocol.messages import Action, BatchKey, JudgedEvent, encode
from protocol.streams import stream_key
from tests.actors.storage.events import DAY_NS, NOON_NS, make_alert, make_batch, make_event

T = TypeVar("T")


class Opened(Protocol):
    """A store under test: both of its sides, and a restart."""

    writer: WritableStore
    reader: ReadableStore

    def restart(self) -> None: ...


class Batch(msgspec.Struct, frozen=True):
    tag: int
    back: int  # sequences that the batch begins before what is new; negative: it leaves some out
    count: int
    alerts: tuple[int, ...] = ()
    folded: tuple[int, ...] = ()


class Act(msgspec.Struct, frozen=True):
    number: int
    note: str


class Restart(msgspec.Struct, frozen=True):
    days: int  # that pass


Step = Batch | Act | Restart
NUMBERS = st.lists(st.integers(0, 12), max_size=3).map(tuple)
STORIES = st.lists(
    st.builds(Batch, st.integers(1, 3), st.integers(-1, 6), st.integers(1, 6), NUMBERS, NUMBERS)
    | st.builds(Act, st.integers(1, 5), st.sampled_from(["", "", "other"]))
    | st.builds(Restart, st.integers(0, 2)),
    min_size=1,
    max_size=14,
)


def draft_of(number: int) -> Folded:
    return Folded(f"alr_{number}" if number == 0 else f"alr_draft{number}", f"alr_{number % 4}", NOON_NS + number * 5 % 13)


def action_of(step: Act) -> Action:
    return Action(encode_ulid(step.number), "eve", "rest", "note", "", {"text": step.note})


class Model:
    """What the store has to hold, by the rules of the seam."""

    def __init__(self) -> None:
        self.events: list[JudgedEvent] = []
        self.batches: list[StoredBatch] = []
        self.positions: dict[int, int] = {}
        self.alerts: list[Alert] = []
        self.folded: dict[str, Folded] = {}
        self.actions: list[StoredAction] = []


def conform(opened: Opened, story: list[Step]) -> None:
    """Tell a store a story. Raises AssertionError where it breaks what it promises."""
    model, now_ns = Model(), NOON_NS
    check(opened.reader, model)
    for step in story:
        now_ns += 1_000
        match step:
            case Batch():
                _commit(opened.writer, model, step, now_ns)
            case Act():
                _act(opened.writer, model, step, now_ns)
            case Restart(days):
                now_ns += days * DAY_NS
                opened.restart()
        assert opened.writer.sequences() == opened.reader.sequences() == (len(model.events), len(model.alerts))
        check(opened.reader, model)


def _commit(writer: WritableStore, model: Model, step: Batch, now_ns: int) -> None:
    committed = model.positions.get(step.tag, 0)
    first = max(1, committed + 1 - step.back)
    key, events = make_batch(step.tag, first, step.count)
    alerts, folded = [make_alert(number) for number in step.alerts], [draft_of(number) for number in step.folded]
    if first > committed + 1:
        with pytest.raises(OutOfOrder):
            writer.commit(key, events, alerts, now_ns, folded)
        return
    fresh = events[committed + 1 - first :]
    known = {alert.id for alert in model.alerts}
    new = list({alert.id: alert for alert in alerts if alert.id not in known}.values())
    stored = writer.commit(key, events, alerts, now_ns, folded)
    assert stored.packed == [encode(one) for one in fresh], "each event once"
    assert stored.alerts == new and stored.last_alert == len(model.alerts) + len(new), "each alert once"
    assert not fresh or stored.first == len(model.events) + 1, "commit sequences have no gap"
    if fresh:
        model.batches.append(StoredBatch(stored.first, step.tag, committed + 1, fresh))
        model.positions[step.tag] = key.last
    model.events += fresh
    model.alerts += new
    shown = {alert.id for alert in model.alerts}
    for draft in folded:
        if draft.id not in shown:
            model.folded.setdefault(draft.id, draft)
    assert writer.position(key) == model.positions.get(step.tag, 0)
    unseen = BatchKey("other", 99, 41, 42, 1)
    assert writer.position(unseen) == 41, "a spool that is new begins at its base"


def _act(writer: WritableStore, model: Model, step: Act, now_ns: int) -> None:
    action = action_of(step)
    known = [entry for entry in model.actions if entry.action.id == action.id]
    done = writer.act(action, now_ns)
    assert done.id == action.id
    if not known:
        assert not done.refusal and done.time_ns == now_ns
        assert not model.actions or done.sequence > model.actions[-1].sequence
        model.actions.append(StoredAction(done.sequence, now_ns, action))
    elif known[0].action == action:
        assert (done.refusal, done.sequence, done.time_ns) == ("", known[0].sequence, known[0].time_ns)
    else:
        assert done.refusal and not done.sequence


# -- what a reader gives


def check(reader: ReadableStore, model: Model) -> None:
    """Hold everything that a reader gives against the model."""
    reader.check_layout()
    assert reader.damaged_days() == []
    _check_events(reader, model)
    _check_alerts(reader, model)
    _check_following(reader, model)
    _check_unknown(reader)


def pages(read: Callable[[int | None, int], tuple[list[T], int | None]], limit: int) -> list[T]:
    """Return everything, page by page."""
    found: list[T] = []
    cursor: int | None = None
    while True:
        page, cursor = read(cursor, limit)
        assert len(page) <= limit
        found += page
        if cursor is None:
            return found
        assert len(page) == limit, "a page before the last is full"


def _events(reader: ReadableStore, limit: int = 1_000, **asked: Any) -> list[JudgedEvent]:
    return pages(lambda cursor, limit: reader.events(EventQuery(cursor=cursor, limit=limit, **asked)), limit)


def _check_events(reader: ReadableStore, model: Model) -> None:
    events = model.events
    assert _events(reader) == events
    assert _events(reader, 3) == events and _events(reader, 3, order="desc") == events[::-1]
    middle = NOON_NS + 4_000_000
    user, word = entity_uuid("user", "user1"), "2"
    web1 = stream_key(make_event(1, 1).event)
    filters: list[tuple[dict[str, Any], Callable[[JudgedEvent], bool]]] = [
        ({"since_ns": middle}, lambda one: one.event.event_ns >= middle),
        ({"until_ns": middle}, lambda one: one.event.event_ns < middle),
        ({"source": "syslog"}, lambda one: True),
        ({"source": "file"}, lambda one: False),
        ({"stream": web1}, lambda one: one.event.fields["host"] == "web1"),
        ({"severity": 4}, lambda one: one.event.severity >= 4),
        ({"template_id": 2}, lambda one: one.event.template_id == 2),
        ({"entity": user}, lambda one: any(entity.uuid == user for entity in one.event.entities)),
        ({"min_score": 0.3}, lambda one: one.score >= 0.3),
        ({"fields": (("host", "web1"),)}, lambda one: one.event.fields["host"] == "web1"),
        ({"text": f"request {word}"}, lambda one: word in one.event.message.split()),
    ]
    for asked, holds in filters:
        assert _events(reader, **asked) == [one for one in events if holds(one)], asked
    for place, one in list(enumerate(events, 1))[-3:]:
        assert reader.event(one.event.id) == one
        assert reader.receiver(one.event.id) == "syslog"
        assert _events(reader, after_id=one.event.id) == events[place:]
    rows = pages(lambda cursor, limit: reader.templates(cursor=cursor, limit=limit), 2)
    assert [(row[0], row[2]) for row in rows] == sorted(_counts(events).items())
    mine = [one.event for one in events if any(entity.uuid == user for entity in one.event.entities)]
    if mine:
        entity = reader.entity(user)
        assert (entity["entity"].value, entity["events"]) == ("user1", len(mine))
        assert (entity["first"], entity["last"]) == (mine[0].event_ns, mine[-1].event_ns)


def _counts(events: list[JudgedEvent]) -> Mapping[int, int]:
    numbers = [one.event.template_id for one in events]
    return {number: numbers.count(number) for number in numbers}


def _check_alerts(reader: ReadableStore, model: Model) -> None:
    alerts = model.alerts

    def read(order: Any = "asc", **asked: Any) -> list[Alert]:
        return pages(lambda cursor, limit: reader.alerts(AlertQuery(cursor=cursor, limit=limit, order=order, **asked)), 2)

    assert read() == alerts and read("desc") == alerts[::-1]
    assert read(since_ns=NOON_NS + 3, until_ns=NOON_NS + 8) == [one for one in alerts if 3 <= one.ts_ns - NOON_NS < 8]
    assert read(entity=entity_uuid("user", "root")) == alerts and read(entity=entity_uuid("user", "eve")) == []
    for place, alert in enumerate(alerts, 1):
        assert reader.alert(alert.id) == alert and read(after_id=alert.id) == alerts[place:]
    states = reader.alert_states(alerts)
    for alert in alerts:
        times = [alert.ts_ns, *(draft.ts_ns for draft in model.folded.values() if draft.into == alert.id)]
        state = states[alert.id]
        assert (state.count, state.first_ns, state.last_ns) == (len(times), min(times), max(times))


def _check_following(reader: ReadableStore, model: Model) -> None:
    assert reader.positions() == model.positions
    sequence, found = 1, list[StoredBatch]()
    while batches := reader.batches(sequence, limit=7):
        assert len(batches) == 1 or sum(len(batch.events) for batch in batches) <= 7
        found += batches
        sequence = found[-1].seq + len(found[-1].events)
    assert found == model.batches, "whoever follows gets each batch once, whole and in commit order"
    newest = len(model.events)
    assert reader.sequence_behind(model.positions, max_events=1_000) == newest + 1
    assert reader.sequence_behind({}, max_events=1_000) == 1
    assert reader.sequence_behind({}, max_events=2) == max(1, newest - 1)
    for batch in model.batches[-2:]:
        assert reader.sequence_behind(model.positions | {batch.tag: batch.first - 1}, max_events=1_000) == batch.seq
        assert batch in reader.batches_of(batch.tag, batch.first, batch.last, limit=1_000)
        assert reader.batches_of(batch.tag, batch.last, batch.last, limit=1) == [batch]
    assert reader.actions(0, limit=100) == model.actions
    for place, entry in enumerate(model.actions, 1):
        assert reader.actions(entry.sequence, limit=2) == model.actions[place : place + 2]


def _check_unknown(reader: ReadableStore) -> None:
    asked: list[Callable[[], object]] = [
        lambda: reader.event("0" * 26),
        lambda: reader.events(EventQuery(after_id="0" * 26)),
        lambda: reader.alert("alr_none"),
        lambda: reader.alerts(AlertQuery(after_id="alr_none")),
        lambda: reader.entity(entity_uuid("user", "nobody")),
    ]
    for ask in asked:
        with pytest.raises(UnknownId):
            ask()
    with pytest.raises(ValueError, match="ULID"):
        reader.event("no id")
    assert reader.batches(1 << 40, limit=5) == reader.batches_of(98, 1, 9, limit=5) == []
