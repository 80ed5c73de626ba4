"""The main file, open for reading: alerts and templates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec

from actors.storage import actions, schema
from actors.storage.damage import DAMAGE, LEAP_TAG, DamagedStore
from actors.storage.migrations import NewerStore, layout_of
from actors.storage.queries import AlertQuery, StoredAction, Template, UnknownId
from protocol.findings import Alert, AlertState, Part

STATES_SINCE = 2  # layout

_decode_alert = msgspec.msgpack.Decoder(Alert).decode
_decode_explanation = msgspec.msgpack.Decoder(list[Part]).decode


class MainReader:
    """The main file of a store that is being written to; it is not open between two calls."""

    def __init__(self, folder: Path, *, quiet: bool) -> None:
        """`quiet`: see `reader.StoreReader`."""
        self._folder = folder
        self._quiet = quiet

    @contextmanager
    def _open(self) -> Iterator[apsw.Connection | None]:
        """Open the main file. Raises DamagedStore, and NewerStore unless quiet."""
        path = schema.main_path(self._folder)
        try:
            connection = schema.open_for_reading(path)
        except apsw.CantOpenError:  # not made yet
            yield None
            return
        except NewerStore:
            if not self._quiet:
                raise
            yield None
            return
        except (*DAMAGE, apsw.IOError) as error:
            raise DamagedStore(f"{path}: {error}") from error
        try:
            yield connection
        except (*DAMAGE, apsw.IOError, msgspec.MsgspecError) as error:
            raise DamagedStore(f"{path}: {error}") from error
        finally:
            connection.close()

    def last_alert(self) -> int:
        """Return the commit sequence of the newest alert, or of a leap behind it."""
        with self._open() as main:
            if main is None:
                return 0
            leap = "select coalesce(max(sequence), 0) from counted where tag = ?"
            newest = f"select max(coalesce(max(seq), 0), ({leap})) from alerts"  # noqa: S608
            return int(_rows(main, newest, (LEAP_TAG,))[0][0])

    def alerts(self, query: AlertQuery) -> tuple[list[Alert], int | None]:
        """Return a page in commit order and the cursor of the next. Raises UnknownId."""
        conditions, values = ["true"], list[Any]()
        for sql, value in (
            ("ts_ns >= ?", query.since_ns),
            ("ts_ns < ?", query.until_ns),
            ("source = ?", query.source),
            ("seq in (select seq from alert_entities where entity = ?)", query.entity),
            ("seq > ?" if query.order == "asc" else "seq < ?", query.cursor),
        ):
            if value is not None:
                conditions.append(sql)
                values.append(value)
        with self._open() as main:
            if main is None:
                return [], None
            if query.after_id is not None:
                after = _rows(main, "select seq from alerts where id = ?", (query.after_id,))
                if not after:
                    raise UnknownId(query.after_id)
                conditions.append("seq > ?")
                values.append(after[0][0])
            where = " and ".join(conditions)
            sql = f"select seq, body from alerts where {where} order by seq {query.order} limit ?"  # noqa: S608
            rows = _rows(main, sql, [*values, query.limit + 1])
        page = rows[: query.limit]
        return [_decode_alert(body) for _, body in page], page[-1][0] if len(rows) > query.limit else None

    def alert(self, alert_id: str) -> Alert:
        """Return one alert. Raises UnknownId."""
        with self._open() as main:
            row = _rows(main, "select body from alerts where id = ?", (alert_id,)) if main is not None else []
        if not row:
            raise UnknownId(alert_id)
        return _decode_alert(row[0][0])

    def alert_states(self, alerts: Sequence[Alert]) -> dict[str, AlertState]:
        """Return the states of these alerts, by id."""
        states = {alert.id: AlertState.of(alert) for alert in alerts}
        with self._open() as main:
            if main is None or layout_of(main) < STATES_SINCE:
                return states
            for alert in alerts:
                row = _rows(main, "select count, first_ns, last_ns, explanation from alert_states where alert = ?", (alert.id,))
                for count, first_ns, last_ns, explanation in row:
                    newest = _decode_explanation(explanation) if last_ns >= alert.ts_ns else alert.explanation
                    first_ns, last_ns = min(first_ns, alert.ts_ns), max(last_ns, alert.ts_ns)
                    states[alert.id] = AlertState(1 + count, first_ns, last_ns, newest)
        return states

    def actions(self, after: int, limit: int) -> list[StoredAction]:
        """Return the actions after a sequence, oldest first."""
        with self._open() as main:
            if main is not None and layout_of(main) >= actions.ACTIONS_SINCE:
                return actions.read(main, after, limit)
        return []

    def templates(self, *, cursor: int | None, limit: int) -> tuple[list[Template], int | None]:
        """Return rows of id, template, events, first and last event time, by id; and the cursor of the next page."""
        with self._open() as main:
            if main is None:
                return [], None
            rows = _rows(
                main,
                "select id, template, events, first_ns, last_ns from templates where id > ? order by id limit ?",
                (cursor or 0, limit + 1),
            )
        return rows[:limit], rows[limit - 1][0] if len(rows) > limit else None


def _rows(main: apsw.Connection, sql: str, values: Sequence[Any]) -> list[Any]:
    return main.execute(sql, values).fetchall()
