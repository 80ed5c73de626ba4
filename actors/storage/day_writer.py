"""The day files, the newest of them open for writing: events and positions of spools, in one transaction."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import apsw

from actors.storage import schema
from actors.storage.damage import DAMAGE, LEAP_TAG, damaged_files, is_emptied, leap
from actors.storage.main_writer import SetAsideFile
from actors.syncing import sync_folder
from protocol.clock import format_day
from protocol.identity import decode_ulid
from protocol.messages import LEAP, BatchKey, JudgedEvent, encode
from protocol.streams import stream_key

log = logging.getLogger(__name__)


class DayWriter:
    """The newest day. Positions, accounts and the commit sequence go on from file to file."""

    def __init__(self, folder: Path, set_aside: SetAsideFile, *, full: bool) -> None:
        self.connection: apsw.Connection | None = None  # of the newest day
        self.name = ""  # of that day
        self.last_with_events = ""  # the newest day that has events
        self.positions: dict[int, int] = {}  # {spool tag: last committed sequence}
        self.accounts: dict[int, tuple[str, int]] = {}  # {spool tag: (receiver, records of it that are stored)}
        self.breaks = 0  # batches before which the store did not hold as many records as their receiver had accepted
        self.next = 1  # commit sequence of the next event
        self._folder = folder
        self._full = full
        self._set_aside = set_aside
        self._open_newest()

    # -- opening

    def _open_newest(self) -> None:
        """Open the newest day that has events and those after it; set aside what of them is damaged."""
        for day in self._find_newest():
            try:
                self.open(day)
            except DAMAGE as error:
                self._set_aside(schema.day_path(self._folder, day), error)
        newest = max(map(schema.day_of, damaged_files(self._folder, "events-*")), default="")
        if newest and all(schema.day_of(path) < newest for path in schema.day_files(self._folder)):
            self.accounts = {}  # what the lost file had is not known: the next batch says it
            self._leap(newest)

    def _find_newest(self) -> list[str]:
        """Return the newest day that has events and those after it, oldest first: a crash may leave a day without any."""
        days: list[str] = []
        for path in reversed(schema.day_files(self._folder)):
            try:
                if is_emptied(path):  # or made at midnight by a writer that was killed before it wrote to it: no matter
                    raise apsw.CorruptError("it is empty")
                has_events = _has_events(path)
            except DAMAGE as error:
                self._set_aside(path, error)
                continue
            days.insert(0, schema.day_of(path))
            if has_events:
                break
        return days

    def _leap(self, day: str) -> None:
        """Begin a day anew after its file was set aside; it remembers the leap, should nothing be committed to it for now."""
        self.positions[LEAP_TAG] = leap(self.next, time.time_ns())
        self.next = self.positions[LEAP_TAG] + 1
        self.open(day)

    def _replace(self, error: Exception) -> None:
        """Set the day's file aside, which has turned out to be damaged, and go on in another; what it knew is known here."""
        self.close()
        self._set_aside(schema.day_path(self._folder, self.name), error)
        self._leap(self.name)

    def open(self, name: str) -> None:
        """Open or create the file of a day, and close the one before. Raises StoreError and apsw.Error."""
        connection = schema.open_for_writing(schema.day_path(self._folder, name), schema.DAY, full=self._full)
        try:
            self._force_folder()
            newest = self._carry_on(connection)
        except BaseException:
            connection.close()
            raise
        self.next = max(self.next, (newest or 0) + 1, self.positions.get(LEAP_TAG, 0) + 1)
        if newest is not None:
            self.last_with_events = name
        self.close()
        self.connection, self.name = connection, name

    def _carry_on(self, connection: apsw.Connection) -> int | None:
        """Bring positions and accounts of the days before into a file; return the commit sequence of its newest event."""
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
        newest: int | None = connection.execute("select max(seq) from events").get
        self.positions, self.accounts = found | behind, accounts
        return newest

    def _force_folder(self) -> None:
        """Have a new file found again after a loss of power. Raises apsw.IOError."""
        if self._full:
            try:
                sync_folder(self._folder)
            except OSError as error:
                raise apsw.IOError(f"cannot force {self._folder} to disk: {error.strerror}") from error

    def _for(self, observed_ns: int) -> apsw.Connection:
        """Return the file of the day, never an older one than before: a clock that jumps back changes nothing."""
        name = max(format_day(observed_ns), self.name)
        if self.connection is None or name > self.name:
            self.open(name)
        assert self.connection is not None
        return self.connection

    def rename(self, name: str, right: str) -> bool:
        """Give a day its right name, unless a reader has it open; tell whether it has it."""
        is_open = name == self.name
        if is_open:
            self.close()
        path = schema.day_path(self._folder, name)
        free = not Path(f"{path}-wal").exists()
        if free:
            path.rename(schema.day_path(self._folder, right))
            if self.last_with_events == name:
                self.last_with_events = right
        if is_open:
            self.open(right if free else name)
        return free

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    # -- committing

    def position(self, key: BatchKey) -> int:
        """Return the last committed sequence of the batch's spool; a spool seen for the first time begins at its base."""
        return max(self.positions.get(key.tag, key.base), key.base)

    def commit(self, key: BatchKey, fresh: Sequence[JudgedEvent], now_ns: int) -> list[bytes]:
        """Store events and the new position of their spool; return them packed. Raises StoreError and apsw.Error."""
        try:
            return self._commit(key, fresh, now_ns)
        except DAMAGE as error:
            self._replace(error)
            raise

    def _commit(self, key: BatchKey, fresh: Sequence[JudgedEvent], now_ns: int) -> list[bytes]:
        day = self._for(now_ns)
        account = (key.receiver, self._held(key, key.count - len(fresh)) + len(fresh))
        first = self.next
        packed = [encode(one) for one in fresh]
        with day:
            _insert_events(day, first, fresh, packed)
            day.execute("insert or replace into position values(?, ?, ?)", (key.tag, key.receiver, key.last))
            day.execute("insert into batches values(?, ?, ?, ?)", (first, key.tag, key.last + 1 - len(fresh), len(fresh)))
            day.execute("insert or replace into account values(?, ?, ?)", (key.tag, *account))
        self.positions[key.tag], self.accounts[key.tag] = key.last, account
        self.next += len(fresh)
        self.last_with_events = self.name
        return packed

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


def _insert_events(day: apsw.Connection, first: int, fresh: Sequence[JudgedEvent], packed: Sequence[bytes]) -> None:
    """Insert events with their entities and words; the first has this commit sequence."""
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
                stream_key(event),
            )
        )
        texts.append((seq, event.message))
        for entity in event.entities:
            entities.add((schema.entity_key(entity.uuid), seq))
    day.executemany("insert into events values(?, ?, ?, ?, ?, ?, ?, ?, ?)", events)
    day.executemany("insert into event_entities values(?, ?)", sorted(entities))
    day.executemany("insert into event_text(rowid, message) values(?, ?)", texts)


def _has_events(path: Path) -> bool:
    try:
        connection = schema.open_for_reading(path)
    except apsw.CantOpenError:
        return False
    try:
        return bool(connection.execute("select exists(select 1 from events)").get)
    finally:
        connection.close()
