"""The day files, open for reading, one at a time.

A day that is damaged hides nothing but itself: what can be read before the damage is given, the rest of it is left out, and
the days after it follow.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import msgspec

from actors.storage import schema
from actors.storage.damage import DAMAGE
from actors.storage.migrations import NewerStore
from actors.storage.queries import Order

log = logging.getLogger(__name__)


class DayReader:
    """The days of a store that is being written to; nothing is open between two of them."""

    def __init__(self, folder: Path, *, quiet: bool) -> None:
        """`quiet`: see `reader.StoreReader`."""
        self._folder = folder
        self._quiet = quiet
        self._damaged: dict[Path, str] = {}  # day files that could not be read, and why

    def paths(self, order: Order) -> list[Path]:
        """Return the day files in commit order, or newest first."""
        files = schema.day_files(self._folder)
        return files if order == "asc" else files[::-1]

    @contextmanager
    def open(self, path: Path) -> Iterator[apsw.Connection | None]:
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

    def _is_over(self, path: Path) -> bool:
        """Tell whether nobody writes to a day any more."""
        return path.exists() and path != schema.day_files(self._folder)[-1]

    def _note_damage(self, path: Path, error: Exception) -> None:
        if path.exists() and path not in self._damaged:
            self._damaged[path] = str(error)
            if not self._quiet:
                log.error("%s is damaged and left out: %s", path, error)

    def damaged(self) -> list[str]:
        """Return the days of which something could not be read; those that retention has deleted no more."""
        return [schema.day_of(path) for path in sorted(self._damaged) if path.exists()]
