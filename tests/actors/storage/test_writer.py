from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

import apsw
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.storage import schema
from actors.storage.queries import OutOfOrder
from actors.storage.reader import AlertQuery, EventQuery, StoreReader
from actors.storage.writer import StoreWriter
from protocol.identity import decode_ulid
from protocol.messages import LEAP, JudgedEvent
from tests.actors.storage.events import DAY_NS, NOON_NS, make_alert, make_batch


def read_all(folder: Path) -> list[JudgedEvent]:
    reader, events, cursor = StoreReader(folder), [], None
    while True:
        page, cursor = reader.events(EventQuery(cursor=cursor, limit=1_000))
        events += page
        if cursor is None:
            return events


def places(events: list[JudgedEvent]) -> list[tuple[int, int]]:
    """Return spool tag and sequence of each event, out of its id."""
    numbers = [decode_ulid(one.event.id) for one in events]
    return [(number >> 48 & 0xFFFFFFFF, number & 0xFFFFFFFFFFFF) for number in numbers]


def sequences(folder: Path) -> list[int]:
    found = []
    for path in schema.day_files(folder):
        day = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        found += [seq for (seq,) in day.execute("select seq from events order by seq")]
        day.close()
    return found


class WriterUnderSpools(RuleBasedStateMachine):
    """Batches from several spools in any order, again and overlapping, over crashes, days and failures: each event once."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.writer = StoreWriter(self.folder)
        self.now_ns = NOON_NS
        self.committed: dict[int, int] = defaultdict(int)
        self.alerts = 0
        self.told = 0

    def teardown(self) -> None:
        self.writer.close()
        shutil.rmtree(self.folder)

    @rule(tag=st.integers(1, 3), back=st.integers(-2, 8), count=st.integers(1, 6), alert=st.booleans())
    def commit(self, tag: int, back: int, count: int, alert: bool) -> None:
        committed = self.committed[tag]
        first = max(1, committed + 1 - back)
        key, events = make_batch(tag, first, count)
        self.alerts += alert
        alerts = [make_alert(self.alerts)] if alert else []
        if first > committed + 1:
            self.alerts -= alert
            with pytest.raises(OutOfOrder):
                self.writer.commit(key, events, alerts, self.now_ns)
            return
        stored = self.writer.commit(key, events, alerts, self.now_ns)
        assert len(stored.packed) == max(0, key.last - committed)
        self.told += len(stored.alerts)
        self.committed[tag] = max(committed, key.last)
        assert self.writer.position(key) == self.committed[tag]

    @rule(tag=st.integers(1, 3), alert=st.booleans())
    def fail(self, tag: int, alert: bool) -> None:
        """The day's transaction fails after the main one went through; then the batch comes again."""
        key, events = make_batch(tag, self.committed[tag] + 1, 3)
        self.alerts += alert
        really = self.writer._days.commit

        def fail(*_: object) -> list[bytes]:
            raise apsw.FullError

        self.writer._days.commit = fail  # type: ignore[method-assign, assignment]
        with pytest.raises(apsw.FullError):
            self.writer.commit(key, events, [make_alert(self.alerts)] if alert else [], self.now_ns)
        self.writer._days.commit = really  # type: ignore[method-assign]

    @rule()
    def crash(self) -> None:
        self.told += len(self.writer._main.untold)
        self.writer.close()
        self.writer = StoreWriter(self.folder)

    @rule(days=st.integers(-2, 2))
    def another_day(self, days: int) -> None:
        self.now_ns += days * DAY_NS

    @rule()
    def crash_at_midnight(self) -> None:
        """The next day's file is made, and nothing is in it yet."""
        self.told += len(self.writer._main.untold)
        self.writer.close()
        year = 2027 + len(schema.day_files(self.folder))
        schema.open_for_writing(schema.day_path(self.folder, f"{year}-01-01"), schema.DAY).close()
        self.writer = StoreWriter(self.folder)

    @invariant()
    def each_event_is_there_once(self) -> None:
        events = read_all(self.folder)
        by_tag: dict[int, list[int]] = defaultdict(list)
        for tag, sequence in places(events):
            by_tag[tag].append(sequence)
        assert dict(by_tag) == {tag: list(range(1, last + 1)) for tag, last in self.committed.items() if last}
        assert sequences(self.folder) == list(range(1, len(events) + 1)), "the commit sequence has a gap"
        counts, _ = StoreReader(self.folder).templates(cursor=None, limit=100)
        counted = sum(events for _, _, events, _, _ in counts)
        assert len(events) <= counted <= len(events) + 3 * 3, "only what is committed, or comes again, is counted"
        alerts, _ = StoreReader(self.folder).alerts(AlertQuery(limit=1_000))
        assert [alert.id for alert in alerts] == sorted({alert.id for alert in alerts}, key=lambda name: int(name[4:]))
        assert len(alerts) == self.told + len(self.writer._main.untold)
        assert {tag: n for tag, (_, n) in self.writer.accounts.items()} == {tag: n for tag, n in self.committed.items() if n}
        assert self.writer.breaks == 0


WriterUnderSpools.TestCase.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)
TestWriterUnderSpools = WriterUnderSpools.TestCase


def test_a_store_that_holds_too_few_or_too_many_records_of_a_spool_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = StoreWriter(tmp_path)
    writer.commit(*make_batch(1, 1, 10), [], NOON_NS)
    writer.commit(*make_batch(1, 11, 10, before=10), [], NOON_NS + DAY_NS)
    assert writer.breaks == 0
    writer.commit(*make_batch(1, 21, 10, before=21), [], NOON_NS + DAY_NS)
    assert writer.breaks == 1
    assert "syslog accepted 21 records before sequence 21, and 20 of them are stored" in caplog.text
    writer.commit(*make_batch(1, 31, 10, before=31), [], NOON_NS + DAY_NS)
    assert writer.breaks == 1, "a break is told once"
    writer.commit(*make_batch(2, 501, 10, base=500, before=400), [], NOON_NS + DAY_NS)
    assert writer.breaks == 1 and writer.accounts[2] == ("syslog", 410), "the past of a spool that is new here is taken over"
    writer.close()


def test_what_a_spool_has_forgotten_and_the_store_has_is_no_break(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path)
    writer.commit(*make_batch(1, 1, 50), [], NOON_NS)
    writer.commit(*make_batch(1, LEAP + 2, 10, base=LEAP + 1, before=0), [], NOON_NS)
    assert writer.breaks == 0 and writer.accounts[1] == ("syslog", 10)
    writer.commit(*make_batch(1, 2 * LEAP + 12, 10, base=2 * LEAP + 11, before=12), [], NOON_NS)
    assert writer.breaks == 1, "over a leap too, nothing may be missing"
    writer.close()


def test_a_batch_that_failed_is_counted_once(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path)
    key, events = make_batch(1, 1, 10)
    really, writer._days.commit = writer._days.commit, lambda *_: (_ for _ in ()).throw(apsw.FullError)  # type: ignore
    for _ in range(5):
        with pytest.raises(apsw.FullError):
            writer.commit(key, events, [], NOON_NS)
    writer._days.commit = really  # type: ignore[method-assign]
    writer.commit(key, events, [], NOON_NS)
    writer.close()
    rows, _ = StoreReader(tmp_path).templates(cursor=None, limit=10)
    assert sum(row[2] for row in rows) == 10


def test_a_clock_that_jumps_back_stays_in_the_newest_file(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path)
    for number, now_ns in enumerate((NOON_NS, NOON_NS + DAY_NS, NOON_NS, NOON_NS - 9 * DAY_NS)):
        writer.commit(*make_batch(1, 1 + number, 1), [], now_ns)
    writer.close()
    assert len(schema.day_files(tmp_path)) == 2
    assert [sequence for _, sequence in places(read_all(tmp_path))] == [1, 2, 3, 4]


def fill_days(folder: Path, days: int) -> StoreWriter:
    writer = StoreWriter(folder)
    for day in range(days):
        writer.commit(*make_batch(1, 1 + 100 * day, 100), [], NOON_NS + day * DAY_NS)
    return writer


def test_expiry_by_age_and_by_size(tmp_path: Path) -> None:
    writer = fill_days(tmp_path, 6)
    assert writer.expire(before_day="2026-05-15", max_bytes=1 << 40) == ["2026-05-13", "2026-05-14"]
    sizes = [sum(each.stat().st_size for each in tmp_path.glob(f"{path.name}*") if not each.name.endswith("-shm"))
             for path in schema.day_files(tmp_path)]  # fmt: skip
    assert writer.expire(before_day="", max_bytes=sum(sizes[1:])) == ["2026-05-15"]
    assert writer.expire(before_day="9999-01-01", max_bytes=0) == ["2026-05-16", "2026-05-17"]
    assert writer.expire(before_day="9999-01-01", max_bytes=0) == [], "the newest day stays"
    writer.commit(*make_batch(1, 601, 1), [], NOON_NS + 5 * DAY_NS)
    writer.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events-2026-05-18.db", "main.db"]
    writer = StoreWriter(tmp_path)
    writer.commit(*make_batch(1, 602, 1), [], NOON_NS + 5 * DAY_NS)
    writer.close()
    assert sequences(tmp_path)[-1] == 602


def test_the_commit_sequence_outlives_expiry_and_a_day_without_events(tmp_path: Path) -> None:
    fill_days(tmp_path, 2).close()
    schema.open_for_writing(schema.day_path(tmp_path, "2026-06-01"), schema.DAY).close()
    writer = StoreWriter(tmp_path)
    writer.expire(before_day="9999-01-01", max_bytes=0)
    writer.close()
    writer = StoreWriter(tmp_path)
    assert writer.commit(*make_batch(1, 201, 1), [], NOON_NS).first == 201
    writer.close()


def test_a_reader_reads_on_while_its_day_expires(tmp_path: Path) -> None:
    writer = fill_days(tmp_path, 2)
    path = schema.day_files(tmp_path)[0]
    reading = schema.open_for_reading(path)
    rows = reading.execute("select seq from events order by seq")
    assert next(rows) == (1,)
    writer.expire(before_day="2026-05-14", max_bytes=1 << 40)
    assert [seq for (seq,) in rows] == list(range(2, 101))
    reading.close()
    assert len(read_all(tmp_path)) == 100
    writer.close()


def test_readers_see_whole_commits_while_it_writes(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path)
    for number in range(20):
        writer.commit(*make_batch(1, 1 + 10 * number, 10), [], NOON_NS + number * DAY_NS // 4)
        assert len(read_all(tmp_path)) == 10 * (number + 1)
    writer.close()


def test_a_day_that_is_being_made_is_not_there_yet(tmp_path: Path) -> None:
    writer = fill_days(tmp_path, 1)
    schema.day_path(tmp_path, "2026-05-14").touch()
    making = apsw.Connection(str(schema.day_path(tmp_path, "2026-05-15")))
    making.execute("pragma journal_mode = wal").fetchall()
    assert len(read_all(tmp_path)) == 100
    making.close()
    writer.close()


def test_a_full_disk_holds_back_and_goes_on_without_half_a_batch(small_disk: Path) -> None:
    folder = small_disk / "store"
    writer = StoreWriter(folder)
    done, first = 0, 1
    with pytest.raises(apsw.Error):
        for _ in range(1_000):
            writer.commit(*make_batch(1, first, 50), [make_alert(first)], NOON_NS)
            done, first = done + 50, first + 50
    for _ in range(3):
        with pytest.raises(apsw.Error):
            writer.commit(*make_batch(1, first, 50), [make_alert(first)], NOON_NS)
    assert len(read_all(folder)) == done
    writer.close()
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    writer = StoreWriter(folder)
    stored = writer.commit(*make_batch(1, first, 50), [make_alert(first)], NOON_NS)
    assert len(stored.packed) == 50
    writer.close()
    assert [sequence for _, sequence in places(read_all(folder))] == list(range(1, done + 51))


def test_a_locked_database_holds_back_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "BUSY_MS", 10)
    for name in ("main.db", "events-2026-05-13.db"):
        folder = tmp_path / name
        writer = StoreWriter(folder)
        writer.commit(*make_batch(1, 1, 5), [make_alert(1)], NOON_NS)
        locker = apsw.Connection(str(folder / name))
        locker.execute("begin immediate")
        with pytest.raises(apsw.BusyError):
            writer.commit(*make_batch(1, 6, 5), [make_alert(2)], NOON_NS)
        locker.execute("rollback")
        locker.close()
        stored = writer.commit(*make_batch(1, 6, 5), [make_alert(2)], NOON_NS)
        assert (stored.first, len(stored.packed), [alert.id for alert in stored.alerts]) == (6, 5, ["alr_2"])
        writer.close()
        assert [sequence for _, sequence in places(read_all(folder))] == list(range(1, 11))


def test_a_file_of_another_layout_is_refused(tmp_path: Path) -> None:
    StoreWriter(tmp_path).close()
    other = apsw.Connection(str(tmp_path / "main.db"))
    other.pragma("user_version", 99)
    other.close()
    with pytest.raises(schema.StoreError, match="has layout 99"):
        StoreWriter(tmp_path)


@pytest.mark.parametrize(("full", "wanted"), [(False, 1), (True, 2)])
def test_what_power_loss_may_take_is_as_asked(tmp_path: Path, full: bool, wanted: int) -> None:
    writer = StoreWriter(tmp_path, full=full)
    writer._days.open("2026-06-01")
    assert writer._days.connection is not None
    assert writer._main.connection.pragma("synchronous") == writer._days.connection.pragma("synchronous") == wanted
    assert writer.force() is None
    writer.close()
