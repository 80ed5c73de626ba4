"""What a disk may do to the files of a store: no reader fails, nothing else is hidden, no sequence stands for two things."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from actors.storage import schema
from actors.storage.damage import DamagedStore, leap
from actors.storage.reader import AlertQuery, EventQuery, StoreReader
from actors.storage.writer import StoreWriter
from protocol.identity import entity_uuid
from tests.actors.storage.events import DAY_NS, NOON_NS, make_alert, make_batch

A_DAY = 400  # events


def overwrite_middle(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    third = len(raw) // 3
    raw[third : 2 * third] = b"\xa5" * third
    path.write_bytes(raw)


def overwrite_head(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[:4096] = b"\xa5" * 4096
    path.write_bytes(raw)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def replace(path: Path) -> None:
    path.write_bytes(b"The quick brown fox. " * 5_000)


DAMAGES: list[Callable[[Path], None]] = [overwrite_middle, overwrite_head, cut, empty, replace]


def fill(folder: Path, days: int) -> StoreWriter:
    writer = StoreWriter(folder)
    for day in range(days):
        key, events = make_batch(1, 1 + A_DAY * day, A_DAY)
        writer.commit(key, events, [make_alert(day)], NOON_NS + day * DAY_NS)
    return writer


def read_all(reader: StoreReader, **query: object) -> list[int]:
    """Return the spool sequences of everything that a reader gives, page by page."""
    found: list[int] = []
    cursor = None
    while True:
        page, cursor = reader.events(EventQuery(cursor=cursor, limit=90, **query))  # type: ignore[arg-type]
        found += [int(one.event.message.split()[1]) for one in page]
        if cursor is None:
            return found


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_old_day_is_left_out_and_hides_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    writer = fill(tmp_path, 3)
    damage(schema.day_path(tmp_path, "2026-05-14"))
    reader = StoreReader(tmp_path)
    good = {*range(1, A_DAY + 1), *range(2 * A_DAY + 1, 3 * A_DAY + 1)}
    for _ in range(2):
        found = read_all(reader)
        assert found == sorted(set(found)) and good <= set(found)
        assert good <= set(read_all(reader, order="desc"))
    assert good & set(range(1, 2_000, 5)) <= set(read_all(reader, template_id=2))
    assert reader.entity(entity_uuid("user", "user1"))["events"] >= 200
    assert reader.sequence_behind({}, max_events=10_000) <= 3 * A_DAY
    batches, seq = [], 1
    while page := reader.batches(seq, limit=500):
        seq = page[-1].seq + len(page[-1].events)
        batches += [batch.first for batch in page]
    assert {1, 2 * A_DAY + 1} <= set(batches)
    assert reader.damaged_days() == ["2026-05-14"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR], "it is said once"
    assert writer.expire(before_day="2026-05-15", max_bytes=1 << 40) == ["2026-05-13", "2026-05-14"]
    assert reader.damaged_days() == []
    writer.close()


@pytest.mark.parametrize("damage", DAMAGES[1:])
def test_a_damaged_newest_day_is_set_aside_and_the_stream_goes_on(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    fill(tmp_path, 2).close()
    damage(schema.day_path(tmp_path, "2026-05-14"))
    for _ in range(2):  # should it be killed before it commits anything
        writer = StoreWriter(tmp_path)
        writer.close()
    writer = StoreWriter(tmp_path)
    assert (tmp_path / "events-2026-05-14.damaged").exists()
    # The receiver knew the first half of that day to be committed, and sends the rest again.
    key, events = make_batch(1, A_DAY + 201, 300, base=A_DAY + 200, before=A_DAY + 200)
    stored = writer.commit(key, events, [], NOON_NS + DAY_NS)
    assert stored.first > 2 * A_DAY and len(stored.packed) == 300
    assert writer.commit(key, events, [], NOON_NS + DAY_NS).packed == []
    assert writer.breaks == 0, "what was lost with the file is no break of the ledger"
    writer.close()
    writer = StoreWriter(tmp_path)
    assert writer.set_aside == []
    following = writer.commit(*make_batch(1, A_DAY + 501, 10), [], NOON_NS + 3 * DAY_NS)
    assert following.first == stored.first + 300, "it leaps once"
    assert writer.breaks == 0
    assert read_all(StoreReader(tmp_path)) == [*range(1, A_DAY + 1), *range(A_DAY + 201, A_DAY + 511)]
    assert writer.expire(before_day="2026-05-15", max_bytes=1 << 40) == ["2026-05-13", "2026-05-14", "2026-05-14"]
    writer.close()


def test_a_day_that_proves_damaged_at_a_commit_is_set_aside_and_everything_goes_on(tmp_path: Path) -> None:
    writer = fill(tmp_path, 1)
    assert writer._days.connection is not None
    writer._days.connection.execute("pragma wal_checkpoint(truncate)").fetchall()
    overwrite_middle(schema.day_path(tmp_path, "2026-05-13"))
    writer._days.connection.execute("pragma shrink_memory").fetchall()  # or it would find its own pages in its cache
    first, failures, sequences = A_DAY + 1, 0, [A_DAY]
    while first < 3 * A_DAY:
        key, events = make_batch(1, first, 100)
        try:
            stored = writer.commit(key, events, [make_alert(first)], NOON_NS)
        except (apsw.CorruptError, apsw.NotADBError):
            failures += 1
            continue
        assert stored.first > sequences[-1] and len(stored.packed) == 100
        sequences.append(stored.first)
        first += 100
    assert failures == 1 and [each.path.name for each in writer.set_aside] == ["events-2026-05-13.db"]
    assert writer.breaks == 0
    assert set(range(A_DAY + 1, 3 * A_DAY + 1)) <= set(read_all(StoreReader(tmp_path)))
    alerts, _ = StoreReader(tmp_path).alerts(AlertQuery(limit=1_000))
    assert len(alerts) == len({alert.id for alert in alerts}) == 1 + len(sequences) - 1
    writer.close()


@pytest.mark.parametrize("damage", DAMAGES[1:])
def test_a_damaged_main_file_is_set_aside_and_its_sequences_do_not_return(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    fill(tmp_path, 2).close()
    damage(tmp_path / "main.db")
    reader = StoreReader(tmp_path)
    if damage is not empty:
        with pytest.raises(DamagedStore, match=r"main\.db"):
            reader.alerts(AlertQuery())
    for _ in range(2):
        StoreWriter(tmp_path).close()
    writer = StoreWriter(tmp_path)
    assert (tmp_path / "main.damaged").exists() and not (tmp_path / "main.damaged-2").exists()
    stored = writer.commit(*make_batch(1, 2 * A_DAY + 1, 10), [make_alert(7)], NOON_NS + DAY_NS)
    assert stored.first == 2 * A_DAY + 1 and stored.last_alert > 1 << 40
    writer.close()
    writer = StoreWriter(tmp_path)
    assert writer.commit(*make_batch(1, 2 * A_DAY + 11, 1), [make_alert(8)], NOON_NS).last_alert == stored.last_alert + 1
    assert [alert.id for alert in reader.alerts(AlertQuery())[0]] == ["alr_7", "alr_8"]
    assert read_all(reader) == list(range(1, 2 * A_DAY + 12))
    writer.close()


def test_a_leap_is_beyond_everything_and_readable_everywhere() -> None:
    assert leap(5, NOON_NS) % (1 << 20) == 0
    assert leap(5, NOON_NS) < leap(5, NOON_NS + 1_000_000_000) < 1 << 53
    assert leap(leap(5, NOON_NS) + 3, NOON_NS) > leap(5, NOON_NS) + 3


def test_an_old_day_is_read_where_nothing_can_be_written(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    folder = small_disk / "store"
    writer = StoreWriter(folder)
    writer.commit(*make_batch(1, 1, 20), [], NOON_NS)
    writer.commit(*make_batch(1, 21, 20), [], NOON_NS + DAY_NS)
    with open(small_disk / "filler", "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4_096)
    reader = StoreReader(folder)
    assert read_all(reader) == list(range(1, 41))
    assert reader.damaged_days() == []
    assert writer.expire(before_day="2026-05-14", max_bytes=1 << 40) == ["2026-05-13"], "retention needs no room"
    writer.close()
