from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.frontend import rest
from actors.frontend.rest import Page, Problem
from actors.storage.reader import StoreReader
from actors.storage.writer import StoreWriter
from protocol.findings import Folded
from protocol.identity import entity_uuid
from tests.actors.storage.events import NOON_NS, make_alert, make_batch

READS: list[Callable[..., Page]] = [rest.get_events, rest.get_alerts, rest.get_templates]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreReader]:
    folder = tmp_path_factory.mktemp("store")
    writer = StoreWriter(folder)
    writer.commit(*make_batch(1, 1, 50), [make_alert(number) for number in range(5)], NOON_NS)
    yield StoreReader(folder)
    writer.close()


def ask(read: Callable[..., Page], reader: StoreReader, **given: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(read(reader, given).body())
    return answer


VALUES = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=30),
    st.integers().map(str),
    st.floats().map(str),
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.integers().map(lambda number: f"c{number}"),
    st.integers(0).map(lambda number: f"drain_{number}"),
    st.sampled_from(["7" + "Z" * 24 + "ß", "0" * 26, "alr_" + "0" * 26, "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z",
                     "drain_99999999999999999999", "c4611686018427387904", "nan", "asc", "desc", "\0", '"', "1e9"]),
)  # fmt: skip
GIVEN = st.dictionaries(st.sampled_from(sorted(rest.EVENT_PARAMETERS)), VALUES, min_size=1, max_size=4)


@settings(deadline=None, max_examples=300)
@given(GIVEN)
@example({"since": "7" + "Z" * 24 + "ß"})
@example({"since": "9999-12-31T23:59:59Z", "until": "0001-01-01T00:00:00Z"})
@example({"template": "drain_99999999999999999999"})
@example({"text": "\0"})
def test_whatever_is_asked_is_answered_or_the_askers_fault(reader: StoreReader, given: dict[str, str]) -> None:
    for read in READS:
        try:
            page = json.loads(read(reader, given).body())
        except Problem as problem:
            assert problem.status in (400, 404)
            assert json.loads(problem.body())["status"] == problem.status
        else:
            assert set(page) == {page_name(read), "next_cursor"}


def page_name(read: Callable[..., Page]) -> str:
    return read.__name__.removeprefix("get_")


@pytest.mark.parametrize(
    ("name", "value"),
    [("limit", "0"), ("limit", "1001"), ("limit", "many"), ("severity", "25"), ("min_score", "1.1"), ("min_score", "nan"),
     ("order", "up"), ("cursor", "7"), ("cursor", "c-1"), ("entity", "root"), ("template", "42"), ("until", "tomorrow"),
     ("since", "yesterday"), ("colour", "red")],
)  # fmt: skip
def test_a_complaint_names_the_parameter(reader: StoreReader, name: str, value: str) -> None:
    with pytest.raises(Problem) as complaint:
        rest.get_events(reader, {name: value})
    assert complaint.value.status == 400 and name in complaint.value.detail


def test_pages_follow_their_cursors(reader: StoreReader) -> None:
    ids: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = ask(rest.get_events, reader, limit="7", order="desc", **cursor)
        ids += [event["id"] for event in page["events"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    everything = [event["id"] for event in ask(rest.get_events, reader, limit="1000")["events"]]
    assert ids == everything[::-1] and len(ids) == 50
    assert [event["id"] for event in ask(rest.get_events, reader, since=everything[10].lower())["events"]] == everything[11:]


def test_a_plus_sign_that_nobody_escaped(reader: StoreReader) -> None:
    assert len(ask(rest.get_events, reader, until="2026-05-13T14:00:00.011 02:00")["events"]) == 10


def test_entities_and_alerts(reader: StoreReader, tmp_path: Path) -> None:
    entity = json.loads(rest.get_entity(reader, entity_uuid("user", "user1").upper()))
    assert (entity["type"], entity["value"], entity["event_count"]) == ("user", "user1", 17)
    for ask_for in (
        lambda: rest.get_entity(reader, entity_uuid("user", "nobody")),
        lambda: rest.get_alert(reader, "alr_none"),
        lambda: rest.get_events(StoreReader(tmp_path), {"since": "0" * 26}),
    ):
        with pytest.raises(Problem) as problem:
            ask_for()
        assert problem.value.status == 404
    assert json.loads(rest.get_alert(reader, "alr_3"))["id"] == "alr_3"


def test_an_alert_says_what_it_has_become_and_stays_what_it_was(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path)
    writer.commit(None, [], [make_alert(0)], NOON_NS)
    before = json.loads(rest.get_alert(StoreReader(tmp_path), "alr_0"))
    assert before.pop("state") == {
        "count": 1, "first_seen": "2026-05-13T12:00:00.000Z", "last_seen": "2026-05-13T12:00:00.000Z", "explanation": [],
    }  # fmt: skip
    writer.commit(None, [], [], NOON_NS, (Folded("alr_9", "alr_0", NOON_NS + 5_000_000),))
    after = json.loads(rest.get_alert(StoreReader(tmp_path), "alr_0"))
    assert (after["state"]["count"], after["state"]["last_seen"]) == (2, "2026-05-13T12:00:00.005Z")
    assert {key: value for key, value in after.items() if key != "state"} == before
    writer.close()


def test_an_event_has_its_fields_and_its_receiver(reader: StoreReader) -> None:
    known = ask(rest.get_events, reader, limit="1")["events"][0]
    event = json.loads(rest.get_event(reader, known["id"]))
    assert {name: event[name] for name in known} == known
    assert event["receiver"] == "syslog" and event["fields"]["host"] == "web1"
    found = ask(rest.get_events, reader, **{"field.host": "web1", "limit": "1000"})["events"]
    assert known in found
    for wanted in ({"field.host": "nowhere"}, {"field.host": "web1", "field.nothing": "1"}):
        assert ask(rest.get_events, reader, **wanted)["events"] == []
    for bad in ("no id", "0" * 26):
        with pytest.raises(Problem):
            rest.get_event(reader, bad)
