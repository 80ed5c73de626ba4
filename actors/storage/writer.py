"""The one writer of the store: events and alerts in, committed exactly once."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import apsw
import msgspec

from actors.storage import schema
from actors.storage.damage import DAMAGE, SetAside, damaged_files, leap, set_aside
from actors.syncing import sync_all, sync_folder
from protocol.clock import NS_PER_S, format_day, parse_time
from protocol.findings import Alert
from protocol.identity import decode_ulid
from protocol.messages import LEAP, BatchKey, JudgedEvent, encode

LEAP_TAG = 0  # the tag under which a leap of the commit sequence is noted; no spool has it

log = logging.getLogger(__name__)


class Stored(msgspec.Struct, frozen=True):
    """What a commit has added."""

    first: int  # commit sequence of the first event
    packed: list[bytes]  # each a packed `JudgedEvent`
    alerts: list[Alert]  # those that were not there before
    last_alert: int  # commit sequence of the newest alert


class OutOfOrder(Exception):
    """A batch that lies ahead of what is committed; its receiver will send again what is missing."""


def entity_keys(uuid: str) -> bytes:
    """Return the 16 bytes under which an entity is indexed."""
    return bytes.fromhex(uuid.replace("-", ""))


class StoreWriter:
    """Main file and the newest day file, open for writing."""

    def __init__(self, folder: Path, *, full: bool = False) -> None:
        """`full`: what is committed survives a loss of power."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        schema.refuse_newer(folder)
        self.folder = folder
        self._full = full
        self.set_aside: list[SetAside] = []  # files that were damaged; for whoever tells of it to take
        self._counted: dict[int, int] = {}
        self._last_alert = 0
        self._main = self._open_main()
        self._day: apsw.Connection | None = None
        self._day_name = ""
        self._last_with_events = ""  # the newest day that has events
        self.positions: dict[int, int] = {}  # {spool tag: last committed sequence}
        self.accounts: dict[int, tuple[str, int]] = {}  # {spool tag: (receiver, records of it that are stored)}
        self.breaks = 0  # batches before which the store did not hold as many records as their receiver had accepted
        self._next = 1
        self._untold: list[Alert] = []  # stored, but the day's transaction has not gone through yet
        self._open_newest_days()

    # -- the main file

    def _open_main(self) -> apsw.Connection:
        """Open the main file; one that is damaged is set aside, and another begun."""
        path = schema.main_path(self.folder)
        try:
            if _is_emptied(path) and schema.day_files(self.folder):
                raise apsw.CorruptError("it is empty")
            return self._read_main(schema.open_for_writing(path, schema.MAIN, full=self._full))
        except DAMAGE as error:
            self.set_aside.append(set_aside(path, str(error)))
        return self._read_main(schema.open_for_writing(path, schema.MAIN, full=self._full))

    def _read_main(self, main: apsw.Connection) -> apsw.Connection:
        try:
            self._counted = dict(main.execute("select tag, sequence from counted"))
            if LEAP_TAG not in self._counted and damaged_files(self.folder, "main"):
                self._counted[LEAP_TAG] = leap(self._last_alert, time.time_ns())
                main.execute("insert into counted values(?, ?)", (LEAP_TAG, self._counted[LEAP_TAG]))
            last = main.execute("select coalesce(max(seq), 0) from alerts").get
        except BaseException:
            main.close()
            raise
        self._last_alert = max(last, self._counted.get(LEAP_TAG, 0))
        return main

    def _replace_main(self, error: Exception) -> None:
        """Set the main file aside, which has turned out to be damaged, and begin another."""
        self._main.close()
        self.set_aside.append(set_aside(schema.main_path(self.folder), str(error)))
        self._main = self._open_main()

    # -- day files

    def _open_newest_days(self) -> None:
        """Open the newest day that has events and those after it; set aside what of them is damaged."""
        for day in self._find_newest_days():
            try:
                self._open_day(day)
            except DAMAGE as error:
                self.set_aside.append(set_aside(schema.day_path(self.folder, day), str(error)))
        newest = max(map(day_of, damaged_files(self.folder, "events-*")), default="")
        if newest and all(day_of(path) < newest for path in schema.day_files(self.folder)):
            self.accounts = {}  # what the lost file had is not known: the next batch says it
            self._leap(newest)

    def _find_newest_days(self) -> list[str]:
        """Return the newest day that has events and those after it, oldest first: a crash may leave a day without any."""
        days: list[str] = []
        for path in reversed(schema.day_files(self.folder)):
            try:
                if _is_emptied(path):  # or made at midnight by one who was killed before he wrote to it: no matter
                    raise apsw.CorruptError("it is empty")
                has_events = _has_events(path)
            except DAMAGE as error:
                self.set_aside.append(set_aside(path, str(error)))
                continue
            days.insert(0, day_of(path))
            if has_events:
                break
        return days

    def _leap(self, day: str) -> None:
        """Begin a day anew after its file was set aside; it remembers the leap, should nothing be committed to it for now."""
        self.positions[LEAP_TAG] = leap(self._next, time.time_ns())
        self._next = self.positions[LEAP_TAG] + 1
        self._open_day(day)

    def _replace_day(self, error: Exception) -> None:
        """Set the day's file aside, which has turned out to be damaged, and go on in another; what it knew is known here."""
        if self._day is not None:
            self._day.close()
            self._day = None
        self.set_aside.append(set_aside(schema.day_path(self.folder, self._day_name), str(error)))
        self._leap(self._day_name)

    def _open_day(self, name: str) -> None:
        connection = schema.open_for_writing(schema.day_path(self.folder, name), schema.DAY, full=self._full)
        try:
            self._force_folder()
            found = dict(connection.execute("select tag, sequence from position"))
            behind = {tag: last for tag, last in self.positions.items() if last > found.get(tag, 0)}
            accounts = {tag: (receiver, n) for tag, receiver, n in connection.execute("select * from account")}
            if behind:
                carried = {tag: self.accounts[tag] for tag in behind.keys() & self.accounts.keys()}
                with connection:
                    connection.executemany(
                        "insert or replace into position(tag, receiver, sequence) values(?, '', ?)", behind.items()
                    )
                    connection.executemany(
                        "insert or replace into account values(?, ?, ?)",
                        [(tag, *account) for tag, account in carried.items()],
                    )
                accounts |= carried
            newest = connection.execute("select max(seq) from events").get
        except BaseException:
            connection.close()
            raise
        self.positions, self.accounts = found | behind, accounts
        self._next = max(self._next, (newest or 0) + 1, self.positions.get(LEAP_TAG, 0) + 1)
        if newest is not None:
            self._last_with_events = name
        if self._day is not None:
            self._day.close()
        self._day, self._day_name = connection, name

    def _force_folder(self) -> None:
        """Have a new file found again after a loss of power. Raises apsw.IOError."""
        if self._full:
            try:
                sync_folder(self.folder)
            except OSError as error:
                raise apsw.IOError(f"cannot force {self.folder} to disk: {error.strerror}") from error

    def _day_for(self, observed_ns: int) -> apsw.Connection:
        """Return the file of the day, never an older one than before: a clock that jumps back changes nothing."""
        name = max(format_day(observed_ns), self._day_name)
        if self._day is None or name > self._day_name:
            self._open_day(name)
        assert self._day is not None
        return self._day

    def put_names_right(self, today: str) -> list[tuple[str, str]]:
        """Rename days that lie beyond tomorrow, keeping their order; return what was renamed, wrong and right name.

        A day that a reader has just open keeps its name for now.
        """
        tomorrow, renamed = _day_after(today), list[tuple[str, str]]()
        names = [day_of(path) for path in schema.day_files(self.folder)]
        last = max((name for name in names if name <= tomorrow), default="")
        for name in names:
            if name <= tomorrow:
                continue
            right = max(today, _day_after(last) if last else "")
            if right >= name or not self._rename_day(name, right):
                break
            renamed.append((name, right))
            last = right
        return renamed

    def _rename_day(self, name: str, right: str) -> bool:
        is_open = name == self._day_name
        if is_open and self._day is not None:
            self._day.close()
            self._day = None
        path = schema.day_path(self.folder, name)
        free = not Path(f"{path}-wal").exists()
        if free:
            path.rename(schema.day_path(self.folder, right))
            if self._last_with_events == name:
                self._last_with_events = right
        if is_open:
            self._open_day(right if free else name)
        return free

    # -- committing

    def position(self, key: BatchKey) -> int:
        """Return the last committed sequence of the batch's spool; a spool seen for the first time begins at its base."""
        return max(self.positions.get(key.tag, key.base), key.base)

    def commit(
        self, key: BatchKey | None, judged: Sequence[JudgedEvent], alerts: Sequence[Alert], now_ns: int
    ) -> Stored:
        """Store what is not there yet. Raises OutOfOrder, and apsw.Error as SQLite does; then nothing changed.

        A file that turns out to be damaged is set aside; then too the batch has to come again.

        Alerts and templates go to the main file first: should the day's transaction then fail, the batch comes again,
        and they are found to be there. The other order could lose them.
        """
        skip = 0
        if key is not None:
            position = self.position(key)
            if key.first > position + 1:
                raise OutOfOrder(f"{key.receiver} sent {key.first}, {position} is committed")
            skip = position + 1 - key.first
        fresh = judged[skip:]
        if fresh or alerts:
            try:
                self._commit_main(key, fresh, alerts)
            except DAMAGE as error:
                self._replace_main(error)
                raise
        try:
            packed = self._commit_events(key, fresh, now_ns) if key is not None and fresh else []
        except DAMAGE as error:
            self._replace_day(error)
            raise
        new_alerts, self._untold = self._untold, []
        return Stored(self._next - len(packed), packed, new_alerts, self._last_alert)

    def _held(self, key: BatchKey, skip: int) -> int:
        """Return how many records of a spool are stored, and hold them against what its receiver has accepted before."""
        accepted = key.before + skip
        _, held = self.accounts.get(key.tag, ("", accepted))  # a spool that is new to this store: its past is taken over
        leapt = self.position(key) - self.positions.get(key.tag, key.base) > LEAP // 2
        if leapt and held > accepted:  # they were stored before a loss of power or damage took them from the spool
            log.info("%s has forgotten %d records that are stored", key.receiver, held - accepted)
        elif held != accepted:
            self.breaks += 1
            log.error(
                "the ledger is broken: %s accepted %d records before sequence %d, and %d of them are stored",
                key.receiver, accepted, key.first + skip, held,
            )  # fmt: skip
        return accepted

    def _commit_main(self, key: BatchKey | None, fresh: Sequence[JudgedEvent], alerts: Sequence[Alert]) -> None:
        new_alerts, last = [], self._last_alert
        uncounted = fresh
        if key is not None:  # the day's transaction may fail after this one, and then the batch comes again
            first = key.last + 1 - len(fresh)
            uncounted = fresh[max(0, self._counted.get(key.tag, 0) + 1 - first) :]
        with self._main:
            for alert in alerts:
                self._main.execute(
                    "insert or ignore into alerts(seq, id, ts_ns, source, body) values(?, ?, ?, ?, ?)",
                    (last + 1, alert.id, alert.ts_ns, alert.source, encode(alert)),
                )
                if self._main.changes():
                    new_alerts.append(alert)
                    last += 1
                    self._main.executemany(
                        "insert or ignore into alert_entities values(?, ?)",
                        [(entity.uuid, last) for entity in alert.entities],
                    )
            self._main.executemany(
                """insert into templates(id, template, events, first_ns, last_ns) values(?, ?, ?, ?, ?)
                on conflict(id) do update set template = excluded.template, events = events + excluded.events,
                    first_ns = min(first_ns, excluded.first_ns), last_ns = max(last_ns, excluded.last_ns)""",
                _template_rows(uncounted),
            )
            if key is not None and uncounted:
                self._main.execute("insert or replace into counted values(?, ?)", (key.tag, key.last))
        if key is not None and uncounted:
            self._counted[key.tag] = key.last
        self._last_alert = last
        self._untold += new_alerts

    def _commit_events(self, key: BatchKey, fresh: Sequence[JudgedEvent], now_ns: int) -> list[bytes]:
        day = self._day_for(now_ns)
        account = (key.receiver, self._held(key, key.count - len(fresh)) + len(fresh))
        first = self._next
        packed = [encode(one) for one in fresh]
        events, entities, texts = [], set(), []
        for seq, (one, body) in enumerate(zip(fresh, packed, strict=True), first):
            event = one.event
            events.append(
                (
                    seq,
                    decode_ulid(event.id).to_bytes(16),
                    event.event_ns,
                    event.source,
                    event.severity,
                    event.template_id,
                    one.score,
                    body,
                )
            )
            texts.append((seq, event.message))
            for entity in event.entities:
                entities.add((entity_keys(entity.uuid), seq))
        with day:
            day.executemany("insert into events values(?, ?, ?, ?, ?, ?, ?, ?)", events)
            day.executemany("insert into event_entities values(?, ?)", sorted(entities))
            day.executemany("insert into event_text(rowid, message) values(?, ?)", texts)
            day.execute("insert or replace into position values(?, ?, ?)", (key.tag, key.receiver, key.last))
            day.execute("insert into batches values(?, ?, ?, ?)", (first, key.tag, key.last + 1 - len(fresh), len(fresh)))
            day.execute("insert or replace into account values(?, ?, ?)", (key.tag, *account))
        self.positions[key.tag], self.accounts[key.tag] = key.last, account
        self._next += len(fresh)
        self._last_with_events = self._day_name
        return packed

    def sequences(self) -> tuple[int, int]:
        """Return the commit sequences of the newest event and the newest alert."""
        return self._next - 1, self._last_alert

    def force(self) -> OSError | None:
        """Force to disk what is committed and stands in the write-ahead logs; return the first error.

        SQLite has no lock on a log itself, so a second descriptor of it may be closed without letting one go.
        """
        descriptors = []
        for path in (schema.main_path(self.folder), schema.day_path(self.folder, self._day_name)):
            with suppress(FileNotFoundError):
                descriptors.append(os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC))
        return sync_all(descriptors)

    # -- retention

    def expire(self, *, before_day: str, max_bytes: int) -> list[str]:
        """Delete day files older than `before_day`, then the oldest while all are larger than `max_bytes`.

        The newest day that has events is never deleted: it says where the commit sequence goes on. Days that were set aside
        for damage go like the others. It only unlinks, which needs no room on a disk that is full. Return the days that went.
        """
        files = [*schema.day_files(self.folder), *damaged_files(self.folder, "events-*")]
        sizes = {path: _size(path) for path in files}
        total = sum(sizes.values())
        gone = []
        for path in sorted(files, key=day_of):
            day = day_of(path)
            if day >= before_day and total <= max_bytes:
                break
            if path.suffix == ".db" and day >= self._last_with_events:
                continue
            for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
                each.unlink(missing_ok=True)
            total -= sizes[path]
            gone.append(day)
        self._delete_orphans()
        return gone

    def _delete_orphans(self) -> None:
        """Delete logs whose database is gone: a reader that was just opening a day made them when it was deleted."""
        for path in (*self.folder.glob("events-*.db-wal"), *self.folder.glob("events-*.db-shm")):
            if not path.with_suffix(".db").exists():
                path.unlink(missing_ok=True)

    def close(self) -> None:
        for connection in (self._day, self._main):
            if connection is not None:
                connection.close()


def day_of(path: Path) -> str:
    """Return the day that a file, its log or what was set aside of it is of."""
    return path.name.removeprefix("events-").partition(".")[0]


def _day_after(day: str) -> str:
    return format_day(parse_time(day) + 86_400 * NS_PER_S)


def _is_emptied(path: Path) -> bool:
    """Tell whether a database is there and holds nothing, in its log neither."""
    return path.exists() and _size(path) == 0


def _has_events(path: Path) -> bool:
    try:
        connection = schema.open_for_reading(path)
    except apsw.CantOpenError:
        return False
    try:
        return bool(connection.execute("select exists(select 1 from events)").get)
    finally:
        connection.close()


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in (path, Path(f"{path}-wal")) if each.exists())


def _template_rows(fresh: Sequence[JudgedEvent]) -> list[tuple[int, str, int, int, int]]:
    rows: dict[int, tuple[int, str, int, int, int]] = {}
    for one in fresh:
        event = one.event
        _, _, count, first_ns, last_ns = rows.get(event.template_id, (0, "", 0, event.event_ns, event.event_ns))
        rows[event.template_id] = (
            event.template_id,
            event.template,
            count + 1,
            min(first_ns, event.event_ns),
            max(last_ns, event.event_ns),
        )
    return list(rows.values())
