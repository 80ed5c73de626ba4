"""The files of the store and their tables; `migrations.py` says how one layout follows another.

`main.db` holds what outlives a day: alerts, templates. `events-YYYY-MM-DD.db` holds the events of one UTC day of
commits, so that retention is deleting a file. Only apsw writes or checkpoints these files: SQLite before 3.51.3 may
corrupt a WAL that two connections reset.

A day file also holds `position`: for each receiver's spool the last sequence that is committed. It is written in the
transaction that writes the events, which is what makes a record that is sent twice be stored once. A new day file begins
with a copy of it. `account` counts, for each of them, the records that were stored, so that the store can be held against
what the receiver says it has accepted; it is carried on in the same way. `counted` in the main file is the same as
`position` for the counts of templates, which are committed before.

`alert_states` says of an alert how many drafts were folded into it, when the first and the last of them were, and the figures
of the newest. An alert without a row has none. `folded` holds the ids of these drafts, so that one that is sent again
counts once: the newest `main_writer.MAX_FOLDED`, far more than can be on their way.

`actions` is the log of what people did, in the order of the commit; nothing in it is ever changed or deleted.

`batches` says which events came in one batch: whoever learns them again has to see them as they were seen before.

`events.stream` is the key of the event's stream (`protocol.streams`); it is null for what was stored before layout 2.

Commit sequence (`seq`) never falls, within a file and from one to the next. Where a damaged file was set aside it leaps:
tag 0, which no spool has, notes in `position`, and for alerts in `counted`, the sequence after which it goes on.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import apsw

from actors.storage.migrations import Layout, layout_of, migrate, peek_layout
from actors.storage.migrations import StoreError as StoreError

BUSY_MS = 5_000

MAIN_1 = """
create table if not exists alerts(
    seq integer primary key,
    id text not null unique,
    ts_ns integer not null,
    source text not null,
    body blob not null
) strict;
create table if not exists alert_entities(
    entity text not null, seq integer not null, primary key(entity, seq)
) strict, without rowid;
create table if not exists counted(
    tag integer primary key, sequence integer not null
) strict, without rowid;
create table if not exists templates(
    id integer primary key,
    template text not null,
    events integer not null,
    first_ns integer not null,
    last_ns integer not null
) strict;
"""

MAIN_2 = """
create table alert_states(
    alert text primary key,
    count integer not null,
    first_ns integer not null,
    last_ns integer not null,
    explanation blob not null
) strict, without rowid;
create table folded(
    number integer primary key, draft text not null unique
) strict;
"""

MAIN_3 = """
create table actions(
    seq integer primary key,
    id text not null unique,
    ts_ns integer not null,
    who text not null,
    verb text not null,
    subject text not null,
    body blob not null
) strict;
create trigger actions_stay before update on actions begin select raise(abort, 'an action is never changed'); end;
create trigger actions_are_kept before delete on actions begin select raise(abort, 'an action is never deleted'); end;
"""

DAY_1 = """
create table if not exists events(
    seq integer primary key,
    id blob not null unique,
    event_ns integer not null,
    source text not null,
    severity integer not null,
    template_id integer not null,
    score real not null,
    body blob not null
) strict;
create table if not exists event_entities(
    entity blob not null, seq integer not null, primary key(entity, seq)
) strict, without rowid;
create table if not exists position(
    tag integer primary key, receiver text not null, sequence integer not null
) strict, without rowid;
create table if not exists account(
    tag integer primary key, receiver text not null, records integer not null
) strict, without rowid;
create table if not exists batches(
    seq integer primary key, tag integer not null, first integer not null, count integer not null
) strict;
create index if not exists batches_first on batches(tag, first);
create index if not exists events_event_ns on events(event_ns);
create virtual table if not exists event_text using fts5(message, content='', tokenize='unicode61');
"""

DAY_2 = """
alter table events add column stream integer;
"""

MAIN = Layout((MAIN_1, MAIN_2, MAIN_3))
DAY = Layout((DAY_1, DAY_2))


class NotAStoreFile(apsw.CantOpenError):
    """A file that is empty, or that another program made."""


def day_path(folder: Path, day: str) -> Path:
    return folder / f"events-{day}.db"


def day_files(folder: Path) -> list[Path]:
    """Return the day files, oldest first."""
    return sorted(folder.glob("events-????-??-??.db"))


def day_of(path: Path) -> str:
    """Return the day of a file, of its log, or of a file that was set aside."""
    return path.name.removeprefix("events-").partition(".")[0]


def entity_key(uuid: str) -> bytes:
    """Return the 16 bytes under which an entity is indexed in a day."""
    return bytes.fromhex(uuid.replace("-", ""))


def main_path(folder: Path) -> Path:
    return folder / "main.db"


def refuse_newer(folder: Path) -> None:
    """Raise NewerStore if any file of a store, days that are over among them, is of a layout that is not known."""
    for path in (main_path(folder), *day_files(folder)):
        _layout_for(path).check(path, peek_layout(path))


def _layout_for(path: Path) -> Layout:
    return DAY if path.name.startswith("events-") else MAIN


def open_for_writing(path: Path, layout: Layout, *, full: bool = False) -> apsw.Connection:
    """Open or create a file of the store, and migrate it. Raises StoreError if it cannot be used, apsw.Error as SQLite does.

    `full`: a commit stands on disk before it returns; else after the next checkpoint, or when its log is forced there.
    """
    connection = apsw.Connection(str(path))
    try:
        _prepare(connection, path, full=full)
        migrate(connection, path, layout)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: apsw.Connection, path: Path, *, full: bool) -> None:
    connection.set_busy_timeout(BUSY_MS)
    for pragma, wanted in (("journal_mode", "wal"), ("synchronous", "2" if full else "1"), ("wal_autocheckpoint", "1000")):
        connection.execute(f"pragma {pragma} = {wanted}").fetchall()
    if connection.pragma("journal_mode") != "wal":
        raise StoreError(f"{path} is not on a file system that can hold a write-ahead log")


def open_for_reading(path: Path, *, immutable: bool = False) -> apsw.Connection:
    """Open a file of the store read-only, of whatever layout up to ours.

    Raises apsw.CantOpenError if it is not there, or not made to its end yet, and NewerStore.

    `immutable`: nobody writes to it, so that it is read without the files beside it that a full disk would not take.
    """
    flags = apsw.SQLITE_OPEN_READONLY
    if immutable:
        connection = apsw.Connection(f"file:{quote(str(path))}?immutable=1", flags=flags | apsw.SQLITE_OPEN_URI)
    else:
        connection = apsw.Connection(str(path), flags=flags)
    try:
        connection.set_busy_timeout(BUSY_MS)
        connection.pragma("query_only", True)
        found = layout_of(connection)
        _layout_for(path).check(path, found)
        if found == 0:
            raise NotAStoreFile(f"{path} is not a file of this store, or not yet")
    except BaseException:
        connection.close()
        raise
    return connection
