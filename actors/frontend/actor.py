"""The front end: translates what is committed into the documented frames, and answers at the front door."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import trio

from actors.context import Context
from actors.frontend.app import Door, make_app
from actors.frontend.guard import Guard
from actors.http.server import ServerStatistics, make_config, serve
from actors.storage.reader import StoreReader
from protocol.frames import alert_frame, event_frame, status_frame
from protocol.messages import Committed, Frame, Status, decode_judged

MAX_CONNECTIONS = 1_024
GOODBYE_S = 0.5


class Settings(msgspec.Struct, frozen=True):
    listen: str
    token: str
    allowed_origins: list[str]


class FrontEnd:
    def __init__(self, context: Context) -> None:
        self._context = context
        settings = msgspec.convert(context.settings, Settings)
        guard = Guard(settings.listen, settings.token, settings.allowed_origins)
        self._door = Door(guard, StoreReader(context.state_dir / "store"))
        self._statistics = ServerStatistics(MAX_CONNECTIONS)

    def _take_committed(self, message: Committed, frames: Sequence[Frame]) -> None:
        hub = self._door.hub
        self._context.report.counters["framed_events"] += message.count
        if hub.clients:
            hub.publish([event_frame(event) for event in decode_judged(frames[0])])
            hub.publish([alert_frame(alert) for alert in message.alerts])

    def _take_status(self, status: Status) -> None:
        self._door.status = status
        self._door.hub.publish([status_frame(status)])
        gauges, counters = self._context.report.gauges, self._context.report.counters
        gauges["websocket_clients"] = len(self._door.hub.clients)
        gauges["http_connections"] = self._statistics.open
        counters["closed_too_slow"] = self._door.hub.closed_too_slow + self._statistics.too_slow
        counters["refused_connections"] = self._statistics.refused
        counters["failed_connections"] = self._statistics.failed

    async def _receive(self, drained: trio.Event) -> None:
        async for message, frames in self._context.messages():
            if isinstance(message, Committed):
                self._take_committed(message, frames)
            elif isinstance(message, Status):
                self._take_status(message)
        drained.set()

    async def _say_goodbye(self) -> None:
        self._door.hub.close_all()
        with trio.move_on_after(GOODBYE_S):
            while self._door.hub.clients:
                await trio.sleep(0.02)

    async def run(self) -> None:
        drained = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._receive, drained)
            self._context.report.ok()
            await serve(
                make_app(self._door),
                self._context.sockets["http"],
                config=make_config(),
                statistics=self._statistics,
                wait_stop=drained.wait,
                before_close=self._say_goodbye,
            )


async def run(context: Context) -> None:
    await FrontEnd(context).run()
