from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.storage.reader import AlertQuery, EventQuery, StoreReader, UnknownId
from actors.storage.writer import StoreWriter
from protocol.identity import entity_uuid
from protocol.messages import BatchKey, JudgedEvent
from tests.actors.storage.events import DAY_NS, NOON_NS, make_alert, make_event

WORDS = ["failed", "password", "für", "root", "accepted", "key", "NEAR", "10.0.0.1"]
COUNT = 120


def stored_events() -> list[JudgedEvent]:
    return [
        make_event(1, number, message=" ".join(WORDS[(number * k) % 8] for k in (1, 2, 3)), source=("syslog", "file")[number % 2])
        for number in range(1, COUNT + 1)
    ]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreReader]:
    folder = tmp_path_factory.mktemp("store")
    writer, events = StoreWriter(folder), stored_events()
    for day in range(4):
        batch = events[day * 30 : day * 30 + 30]
        alerts = [make_alert(day * 10 + number) for number in range(10)]
        writer.commit(BatchKey("syslog", 1, 0, 1 + day * 30, 30), batch, alerts, NOON_NS + day * DAY_NS)
    yield StoreReader(folder)
    writer.close()


def pages(read: Any, query: Any) -> list[Any]:
    everything, cursor = [], None
    while True:
        page, cursor = read(msgspec.structs.replace(query, cursor=cursor))
        assert len(page) <= query.limit
        everything += page
        if cursor is None:
            return everything
        assert len(page) == query.limit


def naive(query: EventQuery) -> list[JudgedEvent]:
    events = stored_events()
    if query.after_id is not None:
        events = events[[one.event.id for one in events].index(query.after_id) + 1 :]
    words = [word.lower() for word in (query.text or "").split()]
    found = [
        one
        for one in events
        if (query.since_ns is None or one.event.event_ns >= query.since_ns)
        and (query.until_ns is None or one.event.event_ns < query.until_ns)
        and (query.source is None or one.event.source == query.source)
        and (query.severity is None or one.event.severity >= query.severity)
        and (query.template_id is None or one.event.template_id == query.template_id)
        and (query.entity is None or any(entity.uuid == query.entity for entity in one.event.entities))
        and (query.min_score is None or one.score >= query.min_score)
        and all(word in one.event.message.lower().split() for word in words)
    ]
    return found if query.order == "asc" else found[::-1]


MAYBE_TIMES = st.none() | st.integers(-1, COUNT + 2).map(lambda number: NOON_NS + number * 1_000_000)
QUERIES = st.builds(
    EventQuery,
    since_ns=MAYBE_TIMES,
    until_ns=MAYBE_TIMES,
    after_id=st.none() | st.sampled_from([one.event.id for one in stored_events()]),
    source=st.sampled_from([None, None, "syslog", "file", "nothing"]),
    severity=st.none() | st.integers(1, 24),
    template_id=st.none() | st.integers(0, 6),
    entity=st.none() | st.sampled_from(["user0", "user1", "nobody"]).map(lambda name: entity_uuid("user", name)),
    min_score=st.none() | st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    text=st.none() | st.lists(st.sampled_from(WORDS[:-1]), max_size=2).map(" ".join),
    order=st.sampled_from(["asc", "desc"]),
    limit=st.integers(1, 130),
)


@settings(deadline=None, max_examples=80)
@given(QUERIES)
def test_a_query_finds_what_a_naive_filter_finds_whatever_the_limit(reader: StoreReader, query: EventQuery) -> None:
    assert pages(reader.events, query) == naive(query)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 50))
def test_alerts_page_as_events_do(reader: StoreReader, limit: int) -> None:
    up = pages(reader.alerts, AlertQuery(limit=limit))
    assert [alert.id for alert in up] == [f"alr_{number}" for number in range(40)]
    assert pages(reader.alerts, AlertQuery(limit=limit, order="desc")) == up[::-1]
    assert pages(reader.alerts, AlertQuery(limit=limit, after_id="alr_9")) == up[10:]
    assert pages(reader.alerts, AlertQuery(limit=limit, since_ns=NOON_NS + 5, until_ns=NOON_NS + 8)) == up[5:8]
    assert pages(reader.alerts, AlertQuery(limit=limit, entity=entity_uuid("user", "root"))) == up


@settings(deadline=None, max_examples=200)
@given(st.text(st.characters(codec="utf-8"), max_size=30) | st.lists(st.sampled_from(
    ['"', "'", "(", ")", "*", "-", "^", ":", "{", "NEAR", "AND", "OR", "NOT", "\0", "root", "message", "+", ";", "--"]
)).map(" ".join))  # fmt: skip
@example("\0")
@example("root\0")
@example("word " * 600)
@example('"' * 999)
def test_no_search_text_is_an_error(reader: StoreReader, text: str) -> None:
    events, _ = reader.events(EventQuery(text=text))
    assert len(events) <= 100


def test_ids_that_are_not_stored(reader: StoreReader, tmp_path: Path) -> None:
    for ask in (
        lambda: reader.events(EventQuery(after_id="0" * 26)),
        lambda: reader.events(EventQuery(after_id="7" + "Z" * 25)),
        lambda: reader.alerts(AlertQuery(after_id="alr_none")),
        lambda: reader.alert("alr_none"),
        lambda: reader.entity(entity_uuid("user", "nobody")),
    ):
        with pytest.raises(UnknownId):
            ask()
    nothing = StoreReader(tmp_path / "not there")
    assert nothing.events(EventQuery()) == ([], None) == nothing.alerts(AlertQuery())
    assert nothing.templates(cursor=None, limit=5) == ([], None)


def test_entities_and_templates(reader: StoreReader) -> None:
    known = reader.entity(entity_uuid("user", "user1"))
    mine = [one.event for one in stored_events() if one.event.entities[0].value == "user1"]
    assert (known["events"], known["first"], known["last"]) == (len(mine), mine[0].event_ns, mine[-1].event_ns)
    rows, cursor = reader.templates(cursor=None, limit=3)
    rest, end = reader.templates(cursor=cursor, limit=3)
    assert [row[0] for row in rows + rest] == [1, 2, 3, 4, 5] and end is None
    assert sum(row[2] for row in rows + rest) == COUNT
