"""A consistent copy of a store that is being written to.

For a moment the newest day is locked against commits, the recorder waits (its busy timeout is 5 s), and a read transaction
is begun on every file: that is the cut. What else belongs to it is copied in that moment by the caller. Then the lock is let
go, and the files are copied out of their transactions at leisure, by SQLite's online backup, while the stream goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apsw

from actors.storage import schema

PAGES = 2_048  # a step, 8 MiB
TRIES = 10


class Cut:
    """Every file of a store as it was at one moment."""

    def __init__(self, files: dict[Path, apsw.Connection]) -> None:
        self._files = files

    def copy(self, target: Path, progress: Callable[[str, float], None]) -> None:
        """Copy the files into a folder; `progress` is told the name of each and the share of it that is done."""
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path, source in self._files.items():
            copy = apsw.Connection(str(target / path.name))
            try:
                with copy.backup("main", source, "main") as backup:
                    while not backup.done:
                        backup.step(PAGES)
                        progress(path.name, 1 - backup.remaining / max(backup.page_count, 1))
                if (fault := copy.pragma("quick_check")) != "ok":
                    raise apsw.CorruptError(f"{path} is damaged ({fault}); see: tocsin check --store")
            finally:
                copy.close()


@contextmanager
def cut(folder: Path, copy_the_rest: Callable[[], None]) -> Iterator[Cut]:
    """Hold a store at one moment, in which `copy_the_rest` is called.

    Raises apsw.Error, NewerStore, and OSError if there is no store.
    """
    schema.refuse_newer(folder)
    with ExitStack() as stack:
        with _locked_newest_day(folder):
            files = {path: _begin_reading(path, stack) for path in (schema.main_path(folder), *schema.day_files(folder))}
            copy_the_rest()
        yield Cut(files)


@contextmanager
def _locked_newest_day(folder: Path) -> Iterator[None]:
    """Keep the recorder from committing. A day that has just begun is another newest one."""
    for _ in range(TRIES):
        days = schema.day_files(folder)
        if not days:
            yield
            return
        lock = apsw.Connection(str(days[-1]), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            lock.set_busy_timeout(schema.BUSY_MS)
            lock.execute("begin immediate")
            if schema.day_files(folder)[-1] == days[-1]:
                yield
                return
        finally:
            lock.close()
    raise OSError(f"{folder} changes faster than it can be copied")


def _begin_reading(path: Path, stack: ExitStack) -> apsw.Connection:
    connection = schema.open_for_reading(path)
    stack.callback(connection.close)
    connection.execute("begin").fetchall()
    connection.execute("select count(*) from sqlite_schema").fetchall()  # the transaction begins with the first reading
    return connection
