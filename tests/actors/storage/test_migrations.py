"""Layouts: every old store opens and loses nothing, a kill in between is no harm, a newer store is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.frontend import rest
from actors.frontend.rest import Problem
from actors.storage import schema
from actors.storage.backup import cut
from actors.storage.check import check_store
from actors.storage.migrations import Layout, NewerStore, migrate, peek_layout
from actors.storage.reader import AlertQuery, EventQuery, StoreReader
from actors.storage.writer import StoreWriter
from protocol.streams import stream_key
from tests.actors.storage.events import DAY_NS, NOON_NS, make_alert, make_batch
from tests.actors.storage.old_store import ALERTS, EVENTS, LAYOUTS, layout_of, make_newer, unpack


def contents(folder: Path) -> tuple[list[str], list[str], list[Any]]:
    """Return the messages of all events, the ids of all alerts, and the templates, as a reader gives them."""
    reader = StoreReader(folder)
    events, _ = reader.events(EventQuery(limit=1_000))
    alerts, _ = reader.alerts(AlertQuery(limit=1_000))
    templates, _ = reader.templates(cursor=None, limit=1_000)
    return [one.event.message for one in events], [alert.id for alert in alerts], templates


MESSAGES = [f"request {number} of 1" for number in range(1, EVENTS + 1)]
IDS = [f"alr_{number}" for number in range(ALERTS)]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_store_of_every_earlier_layout_is_read_before_it_is_migrated_and_after(name: str, tmp_path: Path) -> None:
    folder = unpack(name, tmp_path / "store")
    assert contents(folder)[:2] == (MESSAGES, IDS)
    before = contents(folder)
    assert list(check_store(folder, lambda _: None)) == []
    writer = StoreWriter(folder)
    assert contents(folder) == before
    assert writer.commit(*make_batch(1, 41, 20), [make_alert(5)], NOON_NS + 3 * DAY_NS).packed == [], "all of it is known"
    stored = writer.commit(*make_batch(1, 61, 20), [make_alert(6)], NOON_NS + 2 * DAY_NS)
    assert (stored.first, len(stored.packed), stored.last_alert) == (EVENTS + 1, 20, ALERTS + 1)
    writer.commit(*make_batch(1, 81, 20), [], NOON_NS + 3 * DAY_NS)
    assert writer.breaks == 0
    writer.close()
    assert contents(folder)[:2] == ([f"request {number} of 1" for number in range(1, 101)], [*IDS, "alr_6"])
    assert list(check_store(folder, lambda _: None)) == []
    assert layout_of(schema.main_path(folder)) == schema.MAIN.number
    assert [layout_of(path) for path in schema.day_files(folder)][2:] == [schema.DAY.number] * 2


@pytest.mark.parametrize("name", LAYOUTS)
def test_streams_are_known_of_what_was_stored_since_they_have_a_column(name: str, tmp_path: Path) -> None:
    folder = unpack(name, tmp_path / "store")
    key, events = make_batch(1, EVENTS + 1, 20)
    asked = EventQuery(stream=stream_key(events[0].event))
    assert StoreReader(folder).events(asked) == ([], None)
    with closing(StoreWriter(folder)) as writer:
        assert StoreReader(folder).events(asked) == ([], None)
        writer.commit(key, events, [], NOON_NS + 3 * DAY_NS)
        assert StoreReader(folder).events(asked) == (events[::2], None)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_day_that_is_over_is_not_written_to(name: str, tmp_path: Path) -> None:
    folder = unpack(name, tmp_path / "store")
    over = schema.day_files(folder)[:2]
    before = [path.read_bytes() for path in over]
    StoreWriter(folder).close()
    contents(folder)
    assert [path.read_bytes() for path in over] == before


TABLES = st.lists(st.integers(1, 3), max_size=5)  # tables that each migration makes


@settings(deadline=None, max_examples=40)
@given(TABLES, st.integers(0, 12))
def test_a_kill_in_a_migration_leaves_a_whole_layout_and_the_next_start_goes_on(
    tmp_path_factory: pytest.TempPathFactory, tables: list[int], statements: int
) -> None:
    path = tmp_path_factory.mktemp("layouts") / "main.db"
    names = [[f"t{number}_{table}" for table in range(count)] for number, count in enumerate([1, *tables])]
    scripts = tuple(
        ";".join(f"create table {'if not exists ' * (number == 0)}{name}(a)" for name in group)
        for number, group in enumerate(names)
    )
    layout = Layout(scripts)
    connection = apsw.Connection(str(path))
    left = statements

    def kill(*_: object) -> bool:
        nonlocal left
        left -= 1
        return left >= 0

    connection.exec_trace = lambda _, sql, __: kill() if sql.startswith("create") else True
    try:
        migrate(connection, path, layout)
    except apsw.ExecTraceAbort:
        connection.exec_trace = None
    found = layout_of(path)
    there = {name for (name,) in connection.execute("select name from sqlite_schema")}
    assert there == {name for group in names[:found] for name in group}, "a layout is there whole, or not at all"
    migrate(connection, path, layout)
    there = {name for (name,) in connection.execute("select name from sqlite_schema")}
    assert there == {name for group in names for name in group}
    connection.close()
    assert layout_of(path) == peek_layout(path) == layout.number
    with pytest.raises(NewerStore, match=f"has layout {layout.number}, and this program knows layouts up to {len(tables)};"):
        Layout(scripts[:-1]).check(path, peek_layout(path))


def files_of(folder: Path) -> list[Path]:
    return [schema.main_path(folder), *schema.day_files(folder)]


@pytest.mark.parametrize("place", range(4))
def test_a_newer_file_is_refused_by_name_and_left_as_it_is(tmp_path: Path, place: int) -> None:
    folder = unpack("layout-1", tmp_path / "store")
    path = files_of(folder)[place]
    make_newer(path)
    before = [each.read_bytes() for each in files_of(folder)]
    reader = StoreReader(folder)
    main = place == 0
    refusals: list[Callable[[], object]] = [
        lambda: StoreWriter(folder),
        lambda: cut(folder, lambda: None).__enter__(),
        reader.check_layout,
        (lambda: reader.alerts(AlertQuery())) if main else (lambda: reader.events(EventQuery())),
        (lambda: reader.alert("alr_1")) if main else (lambda: reader.events(EventQuery(order="desc", limit=1_000))),
    ]
    for refused in refusals:
        with pytest.raises(NewerStore) as refusal:
            refused()
        text = str(refusal.value)
        layouts = schema.MAIN if main else schema.DAY
        assert text.startswith(f"{path} has layout 99, and this program knows layouts up to {layouts.number}; ")
        assert "install the newer Tocsin" in text
    with pytest.raises(Problem) as problem:
        (rest.get_alerts if main else rest.get_events)(reader, {})
    assert problem.value.status == 503 and str(path) in problem.value.detail
    faults = list(check_store(folder, lambda _: None))
    assert [fault.file for fault in faults] == [path.name] and "layout 99" in faults[0].what
    assert [each.read_bytes() for each in files_of(folder)] == before


def test_who_catches_up_beside_the_recorder_sees_nothing_of_a_newer_store(tmp_path: Path) -> None:
    folder = unpack("layout-1", tmp_path / "store")
    for path in files_of(folder):
        make_newer(path)
    reader = StoreReader(folder, quiet=True)
    assert reader.positions() == {} and reader.events(EventQuery()) == reader.alerts(AlertQuery()) == ([], None)
    assert reader.batches(1, limit=100) == [] and reader.damaged_days() == []
