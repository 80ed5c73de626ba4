"""An actor that does what its settings say: to try spawner, keeper and runner on real processes."""

from __future__ import annotations

import os
import time

import trio

from actors.context import Context
from protocol.messages import BatchKey

KEY = BatchKey("syslog", 7, 0, 5, 3)


async def run(context: Context) -> None:
    does = context.settings["does"]
    if does == "exits":
        os._exit(3)
    if does == "raises":
        raise RuntimeError("a toy fault")
    context.report.ready()
    if does == "hangs":
        await trio.sleep(0.3)  # a heartbeat goes out
        time.sleep(1_000)
    if does == "is poisoned":
        context.begin(KEY)
        raise ValueError("a poisoned batch")
    async for _ in context.messages():
        pass
