"""Layouts of the files of a store, and the way from one to the next: numbered, forwards only, each in its own transaction.

`PRAGMA user_version` of a file is the number of the last migration that it has taken. A migration and its number are
committed together, so a kill between two of them leaves a file of a layout that is known.

The writer migrates the files that it writes to. A day that is over is not written any more and keeps its layout until
retention deletes it, so a reader reads every layout from 1 on. A file of a newer layout is refused by name: what this
program does not know it can neither read nor keep.
"""

from __future__ import annotations

from pathlib import Path

import apsw
import msgspec

_MAGIC = b"SQLite format 3\0"
_USER_VERSION = slice(60, 64)  # of the header of a database (SQLite, Database File Format, section 1.3)


class StoreError(Exception):
    """A file of the store cannot be used; the message says which and why."""


class NewerStore(StoreError):
    """A file that a newer program wrote."""

    def __init__(self, path: Path, found: int, known: int) -> None:
        self.what = f"has layout {found}, and this program knows layouts up to {known}"
        self.do = "install the newer Tocsin that wrote it again, or restore a backup that was made before the upgrade"
        super().__init__(f"{path} {self.what}; {self.do}")


class Layout(msgspec.Struct, frozen=True):
    """One kind of file. `migrations[n]` are the SQL statements that lead from layout n to n + 1."""

    migrations: tuple[str, ...]

    @property
    def number(self) -> int:
        return len(self.migrations)

    def check(self, path: Path, found: int) -> None:
        """Raise NewerStore for a layout that this program does not know."""
        if found > self.number:
            raise NewerStore(path, found, self.number)


def migrate(connection: apsw.Connection, path: Path, layout: Layout) -> None:
    """Bring a file to the newest layout. Raises NewerStore, and apsw.Error as SQLite does; then it has the layout before.

    Layout 1 grew tables before layouts had numbers. Its statements change nothing that is there, and run again on layout 1.
    """
    found = layout_of(connection)
    layout.check(path, found)
    if found == layout.number:
        return
    for number in range(1 if found <= 1 else found + 1, layout.number + 1):
        with connection:  # a reader sees a layout all at once or not at all
            connection.execute(layout.migrations[number - 1]).fetchall()  # read to its end, or statements would be left out
            connection.pragma("user_version", number)


def layout_of(connection: apsw.Connection) -> int:
    """Return the layout of an open file; 0: it has no tables yet."""
    return int(connection.pragma("user_version"))


def peek_layout(path: Path) -> int:
    """Return the layout that stands in the header of a file, 0 if there is none; its log may hold a newer one."""
    try:
        with open(path, "rb") as file:
            header = file.read(100)
    except OSError:
        return 0
    return int.from_bytes(header[_USER_VERSION]) if header.startswith(_MAGIC) else 0
