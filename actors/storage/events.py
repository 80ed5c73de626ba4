"""Events out of the day files: keyset pages in commit order, single events, and entities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw

from actors.storage import schema
from actors.storage.day_reader import DayReader
from actors.storage.migrations import layout_of
from actors.storage.queries import EventQuery, UnknownId, has_fields
from protocol.identity import decode_ulid
from protocol.messages import JudgedEvent, decode_judged_one

STREAMS_SINCE = 2  # layout


def _fts_words(text: str) -> str:
    """Return an FTS5 query for all words of a text; quoting keeps its operators out (SQLite FTS5, section 3.1)."""
    return " ".join('"' + word.replace('"', '""') + '"' for word in text.replace("\0", " ").split())


def _event_conditions(query: EventQuery) -> tuple[list[str], list[Any]]:
    conditions, values = [], []
    for sql, value in (
        ("seq >= (select min(seq) from events where event_ns >= ?)", query.since_ns),
        ("event_ns >= ?", query.since_ns),
        ("event_ns < ?", query.until_ns),
        ("source = ?", query.source),
        ("stream = ?", query.stream),
        ("severity >= ?", query.severity),
        ("template_id = ?", query.template_id),
        ("score >= ?", query.min_score),
        ("seq in (select rowid from event_text where event_text match ?)", _fts_words(query.text or "") or None),
        (
            "seq in (select seq from event_entities where entity = ?)",
            schema.entity_key(query.entity) if query.entity else None,
        ),
    ):
        if value is not None:
            conditions.append(sql)
            values.append(value)
    for name, _ in query.fields:  # packed, a name stands as it is; its value is looked at below
        conditions.append("instr(body, ?) > 0")
        values.append(name.rpartition(".")[2].encode())
    return conditions, values


def read_page(days: DayReader, query: EventQuery) -> tuple[list[JudgedEvent], int | None]:
    """Return a page in commit order and the cursor of the next, or None if this is the last. Raises UnknownId."""
    bounds = []
    if query.after_id is not None:
        bounds.append(("seq > ?", _sequence_of(days, query.after_id)))
    if query.cursor is not None:
        bounds.append(("seq > ?" if query.order == "asc" else "seq < ?", query.cursor))
    conditions, values = _event_conditions(query)
    where = " and ".join([*conditions, *(sql for sql, _ in bounds)]) or "true"
    # Only our own words make up the statement; whatever came from outside is bound.
    sql = f"select seq, body from events where {where} order by seq {query.order} limit ?"  # noqa: S608
    rows: list[tuple[int, JudgedEvent]] = []
    for path in days.paths(query.order):
        with days.open(path) as day:
            if day is not None and (query.stream is None or layout_of(day) >= STREAMS_SINCE):
                left = -1 if query.fields else query.limit + 1 - len(rows)
                for seq, body in day.execute(sql, [*values, *(value for _, value in bounds), left]):
                    judged = decode_judged_one(body)
                    if not query.fields or has_fields(judged.event.fields, query.fields):
                        rows.append((seq, judged))
                        if len(rows) > query.limit:
                            break
        if len(rows) > query.limit:
            break
    page = rows[: query.limit]
    return [event for _, event in page], page[-1][0] if len(rows) > query.limit else None


def read_event(days: DayReader, event_id: str) -> JudgedEvent:
    """Return one event. Raises UnknownId, and ValueError if the id is malformed."""
    number = decode_ulid(event_id).to_bytes(16)
    for path in days.paths("desc"):
        with days.open(path) as day:
            if day is not None and (row := _rows(day, "select body from events where id = ?", (number,))):
                return decode_judged_one(row[0][0])
    raise UnknownId(event_id)


def read_receiver(days: DayReader, event_id: str) -> str:
    """Return the name of the receiver that took an event in; "" if it is not known any more. Raises UnknownId."""
    number = decode_ulid(event_id).to_bytes(16)
    sql = """select receiver from position where tag =
        (select tag from batches where seq <= (select seq from events where id = ?) order by seq desc limit 1)"""
    for path in days.paths("desc"):
        with days.open(path) as day:
            if day is not None and _rows(day, "select 1 from events where id = ?", (number,)):
                rows = _rows(day, sql, (number,))
                return str(rows[0][0]) if rows else ""
    raise UnknownId(event_id)


def _sequence_of(days: DayReader, event_id: str) -> int:
    number = decode_ulid(event_id).to_bytes(16)
    for path in days.paths("desc"):
        with days.open(path) as day:
            if day is not None and (row := _rows(day, "select seq from events where id = ?", (number,))):
                return int(row[0][0])
    raise UnknownId(event_id)


def read_entity(days: DayReader, uuid: str) -> dict[str, Any]:
    """Return an entity: type, value, events, first and last seen. Raises UnknownId."""
    key = schema.entity_key(uuid)
    events, first, last = 0, None, None
    for path in days.paths("asc"):
        with days.open(path) as day:
            if day is None:
                continue
            count, low, high = day.execute(
                "select count(*), min(seq), max(seq) from event_entities where entity = ?", (key,)
            ).get
            if count:
                events += count
                first = first or _event_at(day, low)
                last = _event_at(day, high)
    if first is None or last is None:
        raise UnknownId(uuid)
    entity = next(each for each in last.event.entities if each.uuid == uuid)
    return {"entity": entity, "events": events, "first": first.event.event_ns, "last": last.event.event_ns}


def _rows(day: apsw.Connection, sql: str, values: Sequence[Any]) -> list[Any]:
    return day.execute(sql, values).fetchall()


def _event_at(day: apsw.Connection, seq: int) -> JudgedEvent:
    return decode_judged_one(day.execute("select body from events where seq = ?", (seq,)).get)
