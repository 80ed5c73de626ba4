"""The main file, open for writing: alerts and counts of templates, each taken once however often a batch comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw

from actors.storage import actions, schema
from actors.storage.damage import DAMAGE, LEAP_TAG, damaged_files, is_emptied, leap
from protocol.findings import Alert, Folded
from protocol.messages import Action, ActionDone, BatchKey, JudgedEvent, encode

MAX_FOLDED = 100_000  # ids of folded drafts; the alerts actor knows 10,000, and no more than that can be on their way

SetAsideFile = Callable[[Path, Exception], None]


class MainWriter:
    """`last_alert` is the commit sequence of the newest alert. A file that is damaged is set aside, and another begun."""

    def __init__(self, folder: Path, set_aside: SetAsideFile, *, full: bool) -> None:
        self.last_alert = 0
        self.untold: list[Alert] = []  # stored, but the day's transaction has not gone through yet
        self._folder = folder
        self._full = full
        self._set_aside = set_aside
        self._counted: dict[int, int] = {}  # {spool tag: last sequence that is counted in the templates}
        self.connection = self._open()

    # -- opening

    def _open(self) -> apsw.Connection:
        path = schema.main_path(self._folder)
        try:
            if is_emptied(path) and schema.day_files(self._folder):
                raise apsw.CorruptError("it is empty")
            return self._read(schema.open_for_writing(path, schema.MAIN, full=self._full))
        except DAMAGE as error:
            self._set_aside(path, error)
        return self._read(schema.open_for_writing(path, schema.MAIN, full=self._full))

    def _read(self, main: apsw.Connection) -> apsw.Connection:
        try:
            self._counted = dict(main.execute("select tag, sequence from counted"))
            if LEAP_TAG not in self._counted and damaged_files(self._folder, "main"):
                self._counted[LEAP_TAG] = leap(self.last_alert, time.time_ns())
                main.execute("insert into counted values(?, ?)", (LEAP_TAG, self._counted[LEAP_TAG]))
            last = main.execute("select coalesce(max(seq), 0) from alerts").get
        except BaseException:
            main.close()
            raise
        self.last_alert = max(last, self._counted.get(LEAP_TAG, 0))
        return main

    def _replace(self, error: Exception) -> None:
        """Set the file aside, which has turned out to be damaged, and begin another."""
        self.connection.close()
        self._set_aside(schema.main_path(self._folder), error)
        self.connection = self._open()

    def close(self) -> None:
        self.connection.close()

    # -- committing

    def commit(
        self, key: BatchKey | None, fresh: Sequence[JudgedEvent], alerts: Sequence[Alert], folded: Sequence[Folded]
    ) -> None:
        """Store alerts and folded drafts that are new, and count the templates of events that are not counted yet.

        Raises apsw.Error.
        """
        try:
            self._commit(key, self._uncounted(key, fresh), alerts, folded)
        except DAMAGE as error:
            self._replace(error)
            raise

    def _uncounted(self, key: BatchKey | None, fresh: Sequence[JudgedEvent]) -> Sequence[JudgedEvent]:
        """Return the events that are not counted: the day's transaction may fail after this one, and the batch come again."""
        if key is None:
            return fresh
        first = key.last + 1 - len(fresh)
        return fresh[max(0, self._counted.get(key.tag, 0) + 1 - first) :]

    def _commit(
        self, key: BatchKey | None, uncounted: Sequence[JudgedEvent], alerts: Sequence[Alert], folded: Sequence[Folded]
    ) -> None:
        new_alerts, last = [], self.last_alert
        with self.connection:
            for alert in alerts:
                if self._insert_alert(last + 1, alert):
                    new_alerts.append(alert)
                    last += 1
            for draft in folded:
                self._fold(draft)
            self.connection.executemany(
                """insert into templates(id, template, events, first_ns, last_ns) values(?, ?, ?, ?, ?)
                on conflict(id) do update set template = excluded.template, events = events + excluded.events,
                    first_ns = min(first_ns, excluded.first_ns), last_ns = max(last_ns, excluded.last_ns)""",
                _template_rows(uncounted),
            )
            if key is not None and uncounted:
                self.connection.execute("insert or replace into counted values(?, ?)", (key.tag, key.last))
        if key is not None and uncounted:
            self._counted[key.tag] = key.last
        self.last_alert = last
        self.untold += new_alerts

    def _insert_alert(self, sequence: int, alert: Alert) -> bool:
        """Store an alert; tell whether it is new."""
        self.connection.execute(
            "insert or ignore into alerts(seq, id, ts_ns, source, body) values(?, ?, ?, ?, ?)",
            (sequence, alert.id, alert.ts_ns, alert.source, encode(alert)),
        )
        if not self.connection.changes():
            return False
        self.connection.executemany(
            "insert or ignore into alert_entities values(?, ?)", [(entity.uuid, sequence) for entity in alert.entities]
        )
        return True

    def _fold(self, draft: Folded) -> None:
        """Count a draft for the alert that it was folded into, once."""
        self.connection.execute(
            "insert or ignore into folded(draft) select ?1 where not exists (select 1 from alerts where id = ?1)", (draft.id,)
        )
        if not self.connection.changes():
            return
        self.connection.execute("delete from folded where number <= ?", (self.connection.last_insert_rowid() - MAX_FOLDED,))
        self.connection.execute(
            """insert into alert_states values(?1, 1, ?2, ?2, ?3)
            on conflict(alert) do update set count = count + 1, first_ns = min(first_ns, ?2), last_ns = max(last_ns, ?2),
                explanation = iif(?2 >= last_ns, ?3, explanation)""",
            (draft.into, draft.ts_ns, encode(draft.explanation)),
        )

    def act(self, action: Action, now_ns: int) -> ActionDone:
        """Commit an action once; return its place in the log, or the reason of a refusal. Raises apsw.Error."""
        try:
            return actions.append(self.connection, action, now_ns, after=self._counted.get(LEAP_TAG, 0))
        except DAMAGE as error:
            self._replace(error)
            raise

    def take_untold(self) -> list[Alert]:
        """Return the alerts that are new since the last call."""
        untold, self.untold = self.untold, []
        return untold


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
