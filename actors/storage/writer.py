"""The one writer of the store: events and alerts in, committed exactly once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from actors.storage import retention, schema
from actors.storage.damage import SetAside, set_aside
from actors.storage.day_writer import DayWriter
from actors.storage.main_writer import MainWriter
from actors.storage.queries import OutOfOrder
from actors.syncing import sync_all
from protocol.findings import Alert, Folded
from protocol.messages import Action, ActionDone, BatchKey, JudgedEvent


class Stored(msgspec.Struct, frozen=True):
    """The additions of a commit."""

    first: int  # commit sequence of the first event
    packed: list[bytes]  # each a packed `JudgedEvent`
    alerts: list[Alert]  # those that were not there before
    last_alert: int  # commit sequence of the newest alert


class StoreWriter:
    """Main file and the newest day file, open for writing."""

    def __init__(self, folder: Path, *, full: bool = False) -> None:
        """`full`: a commit survives a loss of power. Raises StoreError, and apsw.Error as SQLite does."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        schema.refuse_newer(folder)
        self.folder = folder
        self.set_aside: list[SetAside] = []  # files that were damaged; for whoever tells of it to take
        self._main = MainWriter(folder, self._set_aside, full=full)
        try:
            self._days = DayWriter(folder, self._set_aside, full=full)
        except BaseException:
            self._main.close()
            raise

    def _set_aside(self, path: Path, error: Exception) -> None:
        self.set_aside.append(set_aside(path, str(error)))

    # -- what is committed

    @property
    def accounts(self) -> dict[int, tuple[str, int]]:
        """Return {spool tag: (receiver, number of its stored records)}."""
        return self._days.accounts

    @property
    def breaks(self) -> int:
        """Return the batches before which the store did not hold as many records as their receiver had accepted."""
        return self._days.breaks

    def position(self, key: BatchKey) -> int:
        """Return the last committed sequence of the batch's spool; a spool seen for the first time begins at its base."""
        return self._days.position(key)

    def sequences(self) -> tuple[int, int]:
        """Return the commit sequences of the newest event and the newest alert."""
        return self._days.next - 1, self._main.last_alert

    # -- committing

    def commit(
        self,
        key: BatchKey | None,
        judged: Sequence[JudgedEvent],
        alerts: Sequence[Alert],
        now_ns: int,
        folded: Sequence[Folded] = (),
    ) -> Stored:
        """Store the new part. Raises OutOfOrder, and apsw.Error as SQLite does; then nothing changed.

        A file that turns out to be damaged is set aside; then too the batch has to come again.

        Alerts and templates go to the main file first: should the day's transaction then fail, the batch comes again,
        and they are found to be there. The other order could lose them.
        """
        fresh = judged[self._committed(key) if key is not None else 0 :]
        if fresh or alerts or folded:
            self._main.commit(key, fresh, alerts, folded)
        packed = self._days.commit(key, fresh, now_ns) if key is not None and fresh else []
        return Stored(self._days.next - len(packed), packed, self._main.take_untold(), self._main.last_alert)

    def act(self, action: Action, now_ns: int) -> ActionDone:
        """Commit an action once; return its place in the log, or the reason of a refusal. Raises apsw.Error."""
        return self._main.act(action, now_ns)

    def _committed(self, key: BatchKey) -> int:
        """Return how many events of a batch are committed already. Raises OutOfOrder."""
        position = self.position(key)
        if key.first > position + 1:
            raise OutOfOrder(f"{key.receiver} sent {key.first}, {position} is committed")
        return position + 1 - key.first

    def force(self) -> OSError | None:
        """Force the write-ahead logs to disk; return the first error.

        SQLite has no lock on a log itself, so a second descriptor of it may be closed without letting one go.
        """
        descriptors = []
        for path in (schema.main_path(self.folder), schema.day_path(self.folder, self._days.name)):
            with suppress(FileNotFoundError):
                descriptors.append(os.open(f"{path}-wal", os.O_RDONLY | os.O_CLOEXEC))
        return sync_all(descriptors)

    # -- retention

    def put_names_right(self, today: str) -> list[tuple[str, str]]:
        """Rename days of a future that never came; return wrong and right names."""
        return retention.rename_future_days(self.folder, self._days, today)

    def expire(self, *, before_day: str, max_bytes: int) -> list[str]:
        """Delete days that are too old, then the oldest of those that are too much; return them."""
        last = self._days.last_with_events
        return retention.expire(self.folder, before_day=before_day, max_bytes=max_bytes, last_with_events=last)

    def close(self) -> None:
        self._days.close()
        self._main.close()
