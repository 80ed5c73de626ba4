"""A trial receiver: takes each datagram of a socket in the state directory for a line."""

from __future__ import annotations

import time

import msgspec
import trio

from actors.context import Context
from actors.receivers.intake import Intake, IntakeSettings
from protocol.records import Record


class Settings(IntakeSettings, frozen=True):
    source: str = "trial_receiver"


async def run(context: Context) -> None:
    settings = msgspec.convert(context.settings, Settings)
    intake = Intake(context, settings)
    path = context.state_dir / "trial.socket"
    path.unlink(missing_ok=True)
    socket = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM)
    await socket.bind(str(path))

    async def read() -> None:
        while True:
            line = await socket.recv(65_536)
            await intake.put([Record(time.time_ns(), settings.source or context.name, "line", str(path), line)])

    with socket:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(intake.run)
            nursery.start_soon(read)
            context.report.ready()
            await context.wait_drain()
            await intake.drain()
            nursery.cancel_scope.cancel()
