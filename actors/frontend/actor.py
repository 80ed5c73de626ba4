"""The front end: translates commits into the documented frames, and serves REST and the page."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec
import trio

from actors.context import Context
from actors.following.cursor import ALERTS, EVENTS, Cursor, Stretch
from actors.following.replay import PAGE_FRAMES, Replay
from actors.frontend.actions import ActionDesk
from actors.frontend.app import Door, make_app
from actors.frontend.guard import Guard
from actors.frontend.hub import CLOSE_GOING_AWAY, CLOSE_TRY_AGAIN
from actors.http.server import ServerStatistics, make_config, serve
from actors.storage.errors import STORE_ERRORS
from actors.storage.store import open_store_reader
from protocol.frames import alert_frame, event_frame, status_frame
from protocol.messages import ActionDone, Committed, Frame, Status, decode_judged
from protocol.metrics import FrontEndMetrics

MAX_CONNECTIONS = 1_024
CLOSE_S = 0.5
MAX_MISSING = 20_000
PATIENCE_S = 1.0
FRAMES_LOST = "frames were lost: reconnect and read the history"

log = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True):
    listen: str
    token: str
    allowed_origins: list[str]


class FrontEnd:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._metrics = context.report.measure(FrontEndMetrics)
        settings = msgspec.convert(context.settings, Settings)
        guard = Guard(settings.listen, settings.token, settings.allowed_origins)
        reader = open_store_reader(context.state_dir)
        self._door = Door(guard, reader, context.state_dir)
        self._actions = ActionDesk(context)
        self._replay = Replay(reader)
        self._statistics = ServerStatistics(MAX_CONNECTIONS)
        self._framed = Cursor()

    async def _take_committed(self, message: Committed, frames: Sequence[Frame]) -> None:
        """Frame a commit, and before it the commits that did not come this way."""
        first_alert = message.last_alert - len(message.alerts) + 1
        try:
            await self._frame_missing_events(self._missing_before(EVENTS, message.first))
            await self._frame_missing_alerts(self._missing_before(ALERTS, first_alert))
        except STORE_ERRORS as error:
            log.error("cannot frame what was missed: %s", error)
            self._door.hub.close_all(CLOSE_TRY_AGAIN, FRAMES_LOST)
        events = self._take(EVENTS, message.first, message.count)
        alerts = self._take(ALERTS, first_alert, len(message.alerts))
        self._metrics.framed_events += events
        if self._door.hub.clients and events:
            self._door.hub.publish([event_frame(event) for event in decode_judged(frames[0])[-events:]])
        if self._door.hub.clients and alerts:
            self._door.hub.publish([alert_frame(alert) for alert in message.alerts[-alerts:]])

    def _missing_before(self, line: int, first: int) -> Stretch:
        return self._framed.missing_before(line, first, begin=first - 1)

    def _take(self, line: int, first: int, count: int) -> int:
        """Note that a stretch is framed; return how many of it, at its end, were not framed before."""
        return len(self._framed.take(line, first, count, begin=first - 1))

    async def _frame_missing_events(self, missing: Stretch) -> None:
        """Frame events out of the store; tell clients to backfill where that is too much."""
        if len(missing) > MAX_MISSING and self._door.hub.clients:
            self._door.hub.close_all(CLOSE_TRY_AGAIN, FRAMES_LOST)
        while missing and self._door.hub.clients and len(missing) <= MAX_MISSING:
            self._metrics.recovered_events += min(len(missing), PAGE_FRAMES)
            events, missing = await self._replay.events(missing)
            self._door.hub.publish([event_frame(event) for event in events])
            await self._wait_for_clients()

    async def _frame_missing_alerts(self, missing: Stretch) -> None:
        """Frame alerts out of the store."""
        while missing and self._door.hub.clients:
            self._metrics.recovered_alerts += min(len(missing), PAGE_FRAMES)
            alerts, missing = await self._replay.alerts(missing)
            self._door.hub.publish([alert_frame(alert) for alert in alerts])
            await self._wait_for_clients()

    async def _wait_for_clients(self) -> None:
        """Wait until clients that keep up have taken their queues; a slow one is closed in the ordinary way."""
        with trio.move_on_after(PATIENCE_S):
            while self._door.hub.is_busy():  # noqa: ASYNC110 - one look for all clients
                await trio.sleep(0.01)

    async def _take_status(self, status: Status) -> None:
        self._door.status = status
        self._door.hub.publish([status_frame(status)])
        self._metrics.websocket_clients = len(self._door.hub.clients)
        self._metrics.damaged_days = len(self._door.reader.damaged_days())
        self._metrics.http_connections = self._statistics.open
        self._metrics.closed_too_slow = self._door.hub.closed_too_slow + self._statistics.too_slow
        self._metrics.refused_connections = self._statistics.refused
        self._metrics.failed_connections = self._statistics.failed

    async def _receive(self, drained: trio.Event) -> None:
        async for message, frames in self._context.messages():
            if isinstance(message, Committed):
                await self._take_committed(message, frames)
            elif isinstance(message, ActionDone):
                self._actions.take(message)
            elif isinstance(message, Status):
                await self._take_status(message)
        drained.set()

    async def _close_clients(self) -> None:
        self._door.hub.close_all(CLOSE_GOING_AWAY, "the daemon stops")
        with trio.move_on_after(CLOSE_S):
            while self._door.hub.clients:  # noqa: ASYNC110 - once in a life
                await trio.sleep(0.02)

    async def _begin(self) -> None:
        """Begin with what is committed now: a client that comes from here on reads what was before, and is framed the rest."""
        try:
            self._framed = Cursor(await self._replay.committed())
        except STORE_ERRORS as error:
            log.error("begins with the first commit that it hears of: %s", error)

    async def run(self) -> None:
        drained = trio.Event()
        await self._begin()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._receive, drained)
            self._context.report.ready()
            await serve(
                make_app(self._door),
                self._context.sockets["http"],
                config=make_config(),
                statistics=self._statistics,
                wait_stop=drained.wait,
                before_close=self._close_clients,
            )


async def run(context: Context) -> None:
    await FrontEnd(context).run()
