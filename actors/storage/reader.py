"""Reading the store: keyset pages in commit order, across day files. Opens read-only, holds nothing open between calls.

A day that is damaged hides nothing but itself: what can be read before the damage is given, the rest of it is left out, and
the days after it follow.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import apsw
import msgspec

from actors.storage import schema
from actors.storage.damage import DAMAGE, DamagedStore
from actors.storage.migrations import NewerStore
from protocol.findings import Alert
from protocol.identity import decode_ulid
from protocol.messages import JudgedEvent, decode_judged_one

MOST_BYTES = 4 << 20  # of the batches of one page: events may be large

Order = Literal["asc", "desc"]

log = logging.getLogger(__name__)

_decode_alert = msgspec.msgpack.Decoder(Alert).decode


class EventQuery(msgspec.Struct, frozen=True):
    """Which events. Everything None is not asked for."""

    since_ns: int | None = None  # event_ns at least
    until_ns: int | None = None  # event_ns below
    after_id: str | None = None  # committed after this event
    source: str | None = None
    severity: int | None = None  # at least
    template_id: int | None = None
    entity: str | None = None  # UUID
    min_score: float | None = None
    text: str | None = None  # all these words are in the message
    cursor: int | None = None  # commit sequence that the page before ended with
    order: Order = "asc"
    limit: int = 100


class AlertQuery(msgspec.Struct, frozen=True):
    since_ns: int | None = None
    until_ns: int | None = None
    after_id: str | None = None
    source: str | None = None
    entity: str | None = None
    cursor: int | None = None
    order: Order = "asc"
    limit: int = 100


class StoredBatch(msgspec.Struct, frozen=True):
    """Events that were committed as one batch, and where they stand in their receiver's spool."""

    seq: int  # commit sequence of the first
    tag: int
    first: int
    events: list[JudgedEvent]

    @property
    def last(self) -> int:
        return self.first + len(self.events) - 1


class UnknownId(LookupError):
    """No event or alert of this id is stored."""


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
        ("severity >= ?", query.severity),
        ("template_id = ?", query.template_id),
        ("score >= ?", query.min_score),
        ("seq in (select rowid from event_text where event_text match ?)", _fts_words(query.text or "") or None),
        (
            "seq in (select seq from event_entities where entity = ?)",
            bytes.fromhex(query.entity.replace("-", "")) if query.entity else None,
        ),
    ):
        if value is not None:
            conditions.append(sql)
            values.append(value)
    return conditions, values


class StoreReader:
    """Read-only view of a store that is being written to. Whatever reads raises NewerStore where a newer program wrote."""

    def __init__(self, folder: Path, *, quiet: bool = False) -> None:
        """`quiet`: say nothing of damage, nor of a newer layout: someone else does. What cannot be read is left out."""
        self._folder = folder
        self._quiet = quiet
        self._damaged: dict[Path, str] = {}  # day files that could not be read, and why

    @contextmanager
    def _open(self, path: Path) -> Iterator[apsw.Connection | None]:
        """Open a day. One that is damaged is left out, from where the damage is met: the block ends there."""
        try:
            connection = self._connect(path)
        except DAMAGE as error:
            self._note_damage(path, error)
            yield None
            return
        except NewerStore:
            if not self._quiet:
                raise
            yield None
            return
        except (apsw.CantOpenError, apsw.IOError) as error:  # not made yet, or retention took it, or the disk fails
            if self._is_over(path):
                self._note_damage(path, error)
            yield None
            return
        try:
            yield connection
        except (*DAMAGE, apsw.IOError, msgspec.MsgspecError) as error:
            self._note_damage(path, error)
        finally:
            connection.close()

    def _connect(self, path: Path) -> apsw.Connection:
        try:
            return schema.open_for_reading(path)
        except schema.NotAStoreFile:
            raise
        except (apsw.CantOpenError, apsw.IOError, apsw.ReadOnlyError):
            log_of_it = Path(f"{path}-wal")  # what could not be opened may have left an empty one
            if self._is_over(path) and (not log_of_it.exists() or log_of_it.stat().st_size == 0):
                return schema.open_for_reading(path, immutable=True)
            raise

    def check_layout(self) -> None:
        """Raise NewerStore if a newer program wrote any file of the store."""
        schema.refuse_newer(self._folder)

    def _is_over(self, path: Path) -> bool:
        """Tell whether nobody writes to a day any more."""
        return path.exists() and path != schema.day_files(self._folder)[-1]

    def _note_damage(self, path: Path, error: Exception) -> None:
        if path.exists() and path not in self._damaged:
            self._damaged[path] = str(error)
            if not self._quiet:
                log.error("%s is damaged and left out: %s", path, error)

    def damaged_days(self) -> list[str]:
        """Return the days of which something could not be read; those that retention has deleted no more."""
        return [path.stem.removeprefix("events-") for path in sorted(self._damaged) if path.exists()]

    @contextmanager
    def _open_main(self) -> Iterator[apsw.Connection | None]:
        """Open the main file. Raises DamagedStore, and NewerStore unless quiet."""
        path = schema.main_path(self._folder)
        try:
            connection = schema.open_for_reading(path)
        except apsw.CantOpenError:  # not made yet
            yield None
            return
        except NewerStore:
            if not self._quiet:
                raise
            yield None
            return
        except (*DAMAGE, apsw.IOError) as error:
            raise DamagedStore(f"{path}: {error}") from error
        try:
            yield connection
        except (*DAMAGE, apsw.IOError, msgspec.MsgspecError) as error:
            raise DamagedStore(f"{path}: {error}") from error
        finally:
            connection.close()

    def _days(self, order: Order) -> list[Path]:
        files = schema.day_files(self._folder)
        return files if order == "asc" else files[::-1]

    # -- events

    def events(self, query: EventQuery) -> tuple[list[JudgedEvent], int | None]:
        """Return a page in commit order and the cursor of the next, or None if this is the last. Raises UnknownId."""
        bounds = []
        if query.after_id is not None:
            bounds.append(("seq > ?", self._sequence_of(query.after_id)))
        if query.cursor is not None:
            bounds.append(("seq > ?" if query.order == "asc" else "seq < ?", query.cursor))
        conditions, values = _event_conditions(query)
        where = " and ".join([*conditions, *(sql for sql, _ in bounds)]) or "true"
        # Only our own words make up the statement; whatever came from outside is bound.
        sql = f"select seq, body from events where {where} order by seq {query.order} limit ?"  # noqa: S608
        rows: list[tuple[int, JudgedEvent]] = []
        for path in self._days(query.order):
            with self._open(path) as day:
                if day is not None:
                    left = query.limit + 1 - len(rows)
                    for seq, body in day.execute(sql, [*values, *(value for _, value in bounds), left]):
                        rows.append((seq, decode_judged_one(body)))
            if len(rows) > query.limit:
                break
        page = rows[: query.limit]
        return [event for _, event in page], page[-1][0] if len(rows) > query.limit else None

    def event(self, event_id: str) -> JudgedEvent:
        """Return one event. Raises UnknownId, and ValueError for what is no id of an event."""
        number = decode_ulid(event_id).to_bytes(16)
        for path in self._days("desc"):
            with self._open(path) as day:
                if day is not None and (row := _rows(day, "select body from events where id = ?", (number,))):
                    return decode_judged_one(row[0][0])
        raise UnknownId(event_id)

    def _sequence_of(self, event_id: str) -> int:
        number = decode_ulid(event_id).to_bytes(16)
        for path in self._days("desc"):
            with self._open(path) as day:
                if day is not None and (row := _rows(day, "select seq from events where id = ?", (number,))):
                    return int(row[0][0])
        raise UnknownId(event_id)

    # -- batches

    def sequence_behind(self, learnt: Mapping[int, int], *, most_events: int) -> int:
        """Return the commit sequence of the first batch that is not learnt, at most `most_events` before the newest event.

        `learnt` is {spool tag: last sequence learnt}; of a spool that is not in it nothing is. With all learnt, it is
        the sequence after the newest event.
        """
        behind: int | None = None
        newest = 0
        for path in self._days("desc"):
            with self._open(path) as day:
                if day is None:
                    continue
                newest = newest or day.execute("select coalesce(max(seq), 0) from events").get
                oldest = day.execute("select coalesce(min(seq), 0) from events").get
                for (tag,) in _batch_rows(day, "select distinct tag from batches", ()):
                    row = _batch_rows(
                        day, "select min(seq) from batches where tag = ? and first + count > ?", (tag, learnt.get(tag, 0) + 1)
                    )
                    if row[0][0] is not None:
                        behind = row[0][0] if behind is None else min(behind, row[0][0])
                if newest and (behind is None or behind > oldest or oldest <= newest - most_events):
                    break
        return newest + 1 if behind is None else max(behind, newest + 1 - most_events)

    def batches(self, from_seq: int, *, limit: int) -> list[StoredBatch]:
        """Return batches from a commit sequence on, in the order of their commit, at least one if there is any.

        Not more of them than hold `limit` events, and none after they have `MOST_BYTES`; never a part of a batch, but for
        one that `from_seq` lies within: that one is left out.
        """
        found: list[StoredBatch] = []
        for path in self._days("asc"):
            with self._open(path) as day:
                if day is not None:
                    rows = _batch_rows(
                        day, "select seq, tag, first, count from batches where seq >= ? order by seq limit ?", (from_seq, limit)
                    )
                    if not _read_batches(day, rows, found, limit):
                        break
        return found

    def batches_of(self, tag: int, first: int, last: int, *, limit: int) -> list[StoredBatch]:
        """Return the batches of a spool that hold any of these sequences, oldest first, at least one if there is any.

        Not more of them than hold `limit` events, or `MOST_BYTES`.
        """
        found: list[StoredBatch] = []
        for path in self._days("asc"):
            with self._open(path) as day:
                if day is not None:
                    rows = _batch_rows(
                        day,
                        "select seq, tag, first, count from batches where tag = ? and first <= ? and first + count > ? "
                        "order by first limit ?",
                        (tag, last, first, limit),
                    )
                    if not _read_batches(day, rows, found, limit):
                        break
        return found

    def positions(self) -> dict[int, int]:
        """Return what is committed, as {spool tag: last sequence}."""
        positions: dict[int, int] = {}
        for path in self._days("desc"):
            with self._open(path) as day:
                for tag, sequence in () if day is None else _batch_rows(day, "select tag, sequence from position", ()):
                    positions[tag] = max(sequence, positions.get(tag, 0))
        return positions

    # -- alerts

    def alerts(self, query: AlertQuery) -> tuple[list[Alert], int | None]:
        """Return a page in commit order and the cursor of the next. Raises UnknownId."""
        conditions, values = ["true"], list[Any]()
        for sql, value in (
            ("ts_ns >= ?", query.since_ns),
            ("ts_ns < ?", query.until_ns),
            ("source = ?", query.source),
            ("seq in (select seq from alert_entities where entity = ?)", query.entity),
            ("seq > ?" if query.order == "asc" else "seq < ?", query.cursor),
        ):
            if value is not None:
                conditions.append(sql)
                values.append(value)
        with self._open_main() as main:
            if main is None:
                return [], None
            if query.after_id is not None:
                after = _rows(main, "select seq from alerts where id = ?", (query.after_id,))
                if not after:
                    raise UnknownId(query.after_id)
                conditions.append("seq > ?")
                values.append(after[0][0])
            where = " and ".join(conditions)
            sql = f"select seq, body from alerts where {where} order by seq {query.order} limit ?"  # noqa: S608
            rows = _rows(main, sql, [*values, query.limit + 1])
        page = rows[: query.limit]
        return [_decode_alert(body) for _, body in page], page[-1][0] if len(rows) > query.limit else None

    def alert(self, alert_id: str) -> Alert:
        """Return one alert. Raises UnknownId."""
        with self._open_main() as main:
            row = _rows(main, "select body from alerts where id = ?", (alert_id,)) if main is not None else []
        if not row:
            raise UnknownId(alert_id)
        return _decode_alert(row[0][0])

    # -- the rest

    def entity(self, uuid: str) -> dict[str, Any]:
        """Return what is known of an entity: type, value, events, first and last seen. Raises UnknownId."""
        key = bytes.fromhex(uuid.replace("-", ""))
        events, first, last = 0, None, None
        for path in self._days("asc"):
            with self._open(path) as day:
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

    def templates(self, *, cursor: int | None, limit: int) -> tuple[list[tuple[int, str, int, int, int]], int | None]:
        """Return rows of id, template, events, first and last event time, by id; and the cursor of the next page."""
        with self._open_main() as main:
            if main is None:
                return [], None
            rows = _rows(
                main,
                "select id, template, events, first_ns, last_ns from templates where id > ? order by id limit ?",
                (cursor or 0, limit + 1),
            )
        return rows[:limit], rows[limit - 1][0] if len(rows) > limit else None


def _rows(connection: apsw.Connection, sql: str, values: Sequence[Any]) -> list[Any]:
    return connection.execute(sql, values).fetchall()


def _batch_rows(day: apsw.Connection, sql: str, values: Sequence[Any]) -> list[Any]:
    """Return rows of the batches; a day that was written before they were kept has none."""
    try:
        return _rows(day, sql, values)
    except apsw.SQLError:
        return [] if "min(" not in sql else [(None,)]


def _read_batches(day: apsw.Connection, rows: Sequence[Any], found: list[StoredBatch], limit: int) -> bool:
    """Add batches to those that were found, until they are as many as are wanted; tell whether more are."""
    events = sum(len(batch.events) for batch in found)
    size = 0
    for seq, tag, first, count in rows:
        if found and events + count > limit:
            return False
        bodies = _rows(day, "select body from events where seq between ? and ? order by seq", (seq, seq + count - 1))
        if len(bodies) < count:
            raise apsw.CorruptError(f"{count - len(bodies)} events of the batch at {seq} are missing")
        found.append(StoredBatch(seq, tag, first, [decode_judged_one(body) for (body,) in bodies]))
        events += count
        size += sum(len(body) for (body,) in bodies)
        if size >= MOST_BYTES:
            return False
    return True


def _event_at(day: apsw.Connection, seq: int) -> JudgedEvent:
    return decode_judged_one(day.execute("select body from events where seq = ?", (seq,)).get)
