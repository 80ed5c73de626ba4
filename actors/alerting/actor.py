"""The alerts actor: one alert for one trouble. Drafts in; new alerts out, and for each other draft the alert that takes it in.

What it let pass after its last snapshot, before it died, it takes from the store: people have seen that.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec
import trio

from actors.alerting.deduplicator import Deduplicator
from actors.context import Context
from actors.files import SNAPSHOT_EVERY_S, SnapshotFile
from actors.storage.errors import STORE_ERRORS
from actors.storage.queries import AlertQuery
from actors.storage.store import open_store_reader
from protocol.findings import Alert, AlertState, Folded
from protocol.messages import Drafted, Frame, Judged
from protocol.metrics import AlertsMetrics

VERSION = 1
MAX_SHOWN = 1_000  # of the newest alerts in the store

log = logging.getLogger(__name__)


class AlertsActor:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._metrics = context.report.measure(AlertsMetrics)
        self._deduplicator = Deduplicator()
        self._snapshots = SnapshotFile(context, VERSION)
        if (state := self._snapshots.load()) is not None:
            try:
                self._deduplicator.restore(state)
            except (ValueError, KeyError, TypeError) as error:
                self._snapshots.refuse(error)
                self._deduplicator = Deduplicator()

    async def _look_at_shown(self) -> None:
        """Note the stored alerts. They are read in a thread: a busy store is not an actor that hangs."""
        try:
            shown, states = await trio.to_thread.run_sync(self._read_shown, abandon_on_cancel=True)
        except STORE_ERRORS as error:
            log.error("what was shown before is not known, and may be shown once more: %s", error)
            return
        for alert in reversed(shown):
            self._deduplicator.note_shown(alert, states[alert.id])

    def _read_shown(self) -> tuple[list[Alert], dict[str, AlertState]]:
        """Return the newest alerts of the store, the newest first, and their states."""
        reader = open_store_reader(self._context.state_dir, quiet=True)
        shown, _ = reader.alerts(AlertQuery(order="desc", limit=MAX_SHOWN))
        return shown, reader.alert_states(shown)

    async def _take(self, message: Judged, frames: Sequence[Frame]) -> None:
        placed = [(draft, self._deduplicator.shown_as(draft)) for draft in message.alerts]
        fired = tuple(draft for draft, alert in placed if alert == draft.id)
        folded = tuple(
            Folded(draft.id, alert, draft.ts_ns, draft.explanation) for draft, alert in placed if alert != draft.id
        )
        self._metrics.fired_alerts += len(fired)
        self._metrics.folded_alerts += len(folded)
        if message.key is not None or fired or folded:
            await self._context.emit(msgspec.structs.replace(message, alerts=fired, folded=folded), frames)

    async def _keep_snapshots(self) -> None:
        while True:
            await trio.sleep(SNAPSHOT_EVERY_S)
            await self._snapshots.store(self._deduplicator.snapshot())

    async def run(self) -> None:
        await self._look_at_shown()
        self._context.report.ready()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_snapshots)
            async for message, frames in self._context.messages():
                if isinstance(message, Judged):
                    await self._take(message, frames)
                elif isinstance(message, Drafted):
                    await self._take(Judged(None, message.alerts), ())
            nursery.cancel_scope.cancel()
        await self._snapshots.store(self._deduplicator.snapshot())


async def run(context: Context) -> None:
    await AlertsActor(context).run()
