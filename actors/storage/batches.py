"""Batches from the day files, as they were committed, so that they are learned again as they were learned before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apsw

from actors.storage.damage import LEAP_TAG
from actors.storage.day_reader import DayReader
from actors.storage.queries import StoredBatch
from protocol.messages import decode_judged_one

MAX_BYTES = 4 << 20  # of the batches of one page: events may be large


def newest_sequence(days: DayReader) -> int:
    """Return the commit sequence of the newest event, or of a leap behind it."""
    for path in days.paths("desc"):
        with days.open(path) as day:
            if day is not None:
                leap = "select coalesce(max(sequence), 0) from position where tag = ?"
                newest = day.execute(f"select max(coalesce(max(seq), 0), ({leap})) from events", (LEAP_TAG,)).get  # noqa: S608
                if newest:
                    return int(newest)
    return 0


def sequence_behind(days: DayReader, learned: Mapping[int, int], *, max_events: int) -> int:
    """Return the commit sequence of the first batch that is not learned, at most `max_events` before the newest event.

    `learned` is {spool tag: last sequence learned}; of a spool that is not in it nothing is. With all learned, it is
    the sequence after the newest event.
    """
    behind, newest = list[int](), 0
    pending: set[int] | None = None  # tags of which batches may be missing in this day or an older one
    for path in days.paths("desc"):
        with days.open(path) as day:
            if day is None:
                continue
            newest = newest or day.execute("select coalesce(max(seq), 0) from events").get
            oldest = day.execute("select coalesce(min(seq), 0) from events").get
            positions = _batch_rows(day, "select tag, sequence from position", ())
            if pending is None and positions:
                pending = {tag for tag, sequence in positions if sequence > learned.get(tag, 0) and tag != LEAP_TAG}
            for tag in list(pending or ()):
                first_missing, reached = _missing_of(day, tag, learned.get(tag, 0))
                behind += first_missing
                if reached and pending:
                    pending.discard(tag)
            if pending is not None and (not pending or 0 < oldest <= newest - max_events):
                break
    return max(min(behind), newest + 1 - max_events) if behind else newest + 1


def _missing_of(day: apsw.Connection, tag: int, learned: int) -> tuple[list[int], bool]:
    """Return the commit sequence of the first batch of a spool in a day that is not learned, and whether learned ones precede.

    A spool is committed in the order of its sequences, so where learned ones precede, no older day has any that is not.
    """
    sql = "select seq from batches where tag = ? and first + count > ? order by first limit 1"
    rows = _batch_rows(day, sql, (tag, learned + 1))
    before = _batch_rows(day, "select 1 from batches where tag = ? and first <= ? limit 1", (tag, learned + 1))
    return [seq for (seq,) in rows], bool(before)


def read_batches(days: DayReader, from_seq: int, *, limit: int) -> list[StoredBatch]:
    """Return batches from a commit sequence on, in the order of their commit, at least one if there is any.

    Not more of them than hold `limit` events, and none after they have `MAX_BYTES`; never a part of a batch, but for
    one that `from_seq` lies within: that one is left out.
    """
    found: list[StoredBatch] = []
    for path in days.paths("asc"):
        with days.open(path) as day:
            if day is not None:
                rows = _batch_rows(
                    day, "select seq, tag, first, count from batches where seq >= ? order by seq limit ?", (from_seq, limit)
                )
                if not _add_batches(day, rows, found, limit):
                    break
    return found


def read_batches_of(days: DayReader, tag: int, first: int, last: int, *, limit: int) -> list[StoredBatch]:
    """Return the batches of a spool that hold any of these sequences, oldest first, at least one if there is any.

    Not more of them than hold `limit` events, or `MAX_BYTES`.
    """
    found: list[StoredBatch] = []
    for path in days.paths("asc"):
        with days.open(path) as day:
            if day is not None:
                rows = _batch_rows(
                    day,
                    "select seq, tag, first, count from batches where tag = ? and first <= ? and first + count > ? "
                    "order by first limit ?",
                    (tag, last, first, limit),
                )
                if not _add_batches(day, rows, found, limit):
                    break
    return found


def read_positions(days: DayReader) -> dict[int, int]:
    """Return the committed positions, as {spool tag: last sequence}."""
    positions: dict[int, int] = {}
    for path in days.paths("desc"):
        with days.open(path) as day:
            for tag, sequence in () if day is None else _batch_rows(day, "select tag, sequence from position", ()):
                positions[tag] = max(sequence, positions.get(tag, 0))
    return positions


def _batch_rows(day: apsw.Connection, sql: str, values: Sequence[Any]) -> list[Any]:
    """Return rows of the batches; a day that was written before they were kept has none."""
    try:
        return day.execute(sql, values).fetchall()
    except apsw.SQLError:
        return []


def _add_batches(day: apsw.Connection, rows: Sequence[Any], found: list[StoredBatch], limit: int) -> bool:
    """Add batches to those that were found, until they are as many as are wanted; tell whether more are."""
    events = sum(len(batch.events) for batch in found)
    size = 0
    for seq, tag, first, count in rows:
        if found and events + count > limit:
            return False
        sql = "select body from events where seq between ? and ? order by seq"
        bodies: list[Any] = day.execute(sql, (seq, seq + count - 1)).fetchall()
        if len(bodies) < count:
            raise apsw.CorruptError(f"{count - len(bodies)} events of the batch at {seq} are missing")
        found.append(StoredBatch(seq, tag, first, [decode_judged_one(body) for (body,) in bodies]))
        events += count
        size += sum(len(body) for (body,) in bodies)
        if size >= MAX_BYTES:
            return False
    return True
