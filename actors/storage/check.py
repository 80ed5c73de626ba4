"""Verifies the databases of a store, also while it is written to: each is intact, and they agree.

What holds of a store that was only ever written by the recorder: each file passes SQLite's own check; commit sequences have
no gap within a file and from one to the next, but for leaps after damage; the batches of a file hold its events; positions
of spools never fall; the account of a spool grows by the records of its batches; every template of an event is known.

Cost: everything is read once. State: two numbers a spool, and the ids of templates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import apsw
import msgspec

from actors.storage import schema
from actors.storage.damage import DAMAGE, LEAP_TAG, damaged_files
from actors.storage.migrations import NewerStore

RESTORE = "restore it from a backup, or leave it: readers leave out what they cannot read, and retention deletes it"
RESTORE_MAIN = "restore it from a backup, or restart the recorder: it begins another"
REPORT = "keep the state directory and report it"


class Fault(msgspec.Struct, frozen=True):
    """A fault of one file, and its remedy."""

    file: str
    what: str
    do: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}; {self.do}"


class _Before:
    """The state at the end of the days before."""

    def __init__(self) -> None:
        self.last = 0  # commit sequence
        self.positions: dict[int, int] = {}
        self.accounts: dict[int, int] = {}
        self.templates: set[int] = set()  # of all events


def check_store(folder: Path, progress: Callable[[str], None]) -> Iterator[Fault]:
    """Yield every fault, file by file; `progress` is told the name of each before it is read."""
    before = _Before()
    for path in schema.day_files(folder):
        progress(path.name)
        try:
            yield from _check_day(path, before)
        except NewerStore as error:
            yield Fault(path.name, error.what, error.do)
            before.last, before.accounts = -1, {}
        except (*DAMAGE, apsw.CantOpenError, apsw.IOError, apsw.SQLError) as error:
            if path.exists():  # else retention took it meanwhile
                yield Fault(path.name, str(error), RESTORE)
                before.last, before.accounts = -1, {}
    main = schema.main_path(folder)
    progress(main.name)
    try:
        yield from _check_main(main, before)  # last: what it has to know is written there first
    except NewerStore as error:
        yield Fault(main.name, error.what, error.do)
    except (*DAMAGE, apsw.CantOpenError, apsw.IOError, apsw.SQLError) as error:
        yield Fault(main.name, str(error), RESTORE_MAIN)
    for aside in (*damaged_files(folder, "main"), *damaged_files(folder, "events-*")):
        yield Fault(aside.name, "was damaged and set aside", "save what can be saved from a copy, then delete it")


def _integrity(connection: apsw.Connection, name: str, do: str) -> Iterator[Fault]:
    connection.execute("begin").fetchall()  # all that follows is read of one moment
    found = [row[0] for row in connection.execute("pragma integrity_check(5)")]
    if found != ["ok"]:
        yield Fault(name, "; ".join(found), do)


def _check_main(path: Path, before: _Before) -> Iterator[Fault]:
    with closing(schema.open_for_reading(path)) as main:
        yield from _integrity(main, path.name, RESTORE_MAIN)
        known = {number for (number,) in main.execute("select id from templates")}
    unknown = before.templates - known
    if unknown and not damaged_files(path.parent, "main"):  # a new one knows only what came after
        what = f"{len(unknown)} templates of events are not in it, drain_{min(unknown):04d} is one"
        yield Fault(path.name, what, REPORT)


def _check_day(path: Path, before: _Before) -> Iterator[Fault]:
    with closing(schema.open_for_reading(path)) as day:
        yield from _integrity(day, path.name, RESTORE)
        count, first, last = day.execute("select count(*), coalesce(min(seq), 0), coalesce(max(seq), 0) from events").get
        positions = dict(day.execute("select tag, sequence from position"))
        accounts = dict(day.execute("select tag, records from account"))
        batches = dict(day.execute("select tag, sum(count) from batches group by tag"))
        before.templates |= {number for (number,) in day.execute("select distinct template_id from events")}
    if count:
        yield from (Fault(path.name, what, REPORT) for what in _sequence_faults(count, first, last, before.last, positions))
        before.last = last
    if batches and sum(batches.values()) != count:
        yield Fault(path.name, f"its batches hold {sum(batches.values())} events, and there are {count}", REPORT)
    for tag, position in positions.items():
        if tag != LEAP_TAG and position < before.positions.get(tag, 0):
            what = f"of spool {tag} sequence {position} is committed, {before.positions[tag]} was on an earlier day"
            yield Fault(path.name, what, REPORT)
    for tag, records in accounts.items():
        if tag in before.accounts and records != before.accounts[tag] + batches.get(tag, 0):
            held = before.accounts[tag] + batches.get(tag, 0)
            yield Fault(path.name, f"the account of spool {tag} says {records} records, {held} are stored", REPORT)
    before.positions |= positions
    before.accounts |= accounts


def _sequence_faults(count: int, first: int, last: int, before: int, positions: dict[int, int]) -> Iterator[str]:
    """Yield the faults of the commit sequences of a day; `before` is 0 or -1 where that of the day before is not known."""
    leap = positions.get(LEAP_TAG, 0)
    awaited = max(before, leap if leap < first else 0) + 1
    if last - first + 1 != count:
        yield f"its commit sequences {first} to {last} are {last - first + 1}, and there are {count} events"
    if before > 0 and first <= before:
        yield f"its commit sequences begin with {first}, and {before} was given on an earlier day"
    elif before > 0 and first > awaited:
        yield f"{first - awaited} events before commit sequence {first} are missing"
