from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
import trio
import trio.testing

from actors.context import Report
from actors.spool.spool import Spool
from actors.spool.syncing import keep_synced
from actors.syncing import SYNC_S


def test_a_disk_that_refused_is_said_until_all_that_is_in_doubt_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refusing = True

    def force(descriptor: int) -> None:
        if refusing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def test() -> None:
        nonlocal refusing
        spool, report = Spool(tmp_path, max_bytes=1 << 20), Report()
        report.ready()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_synced, spool, report)
            spool.append([(b"in doubt", 5)])
            await trio.sleep(1.5 * SYNC_S)
            refusing = False
            spool.append([(b"to another segment", 1)])
            await trio.sleep(3 * SYNC_S)
            assert report.state == "degraded" and report.has("sync"), "a second try proves nothing"
            assert report.counters["failed_syncs"] == 1 and "Input/output error" in caplog.text
            assert [slot.segment for slot in spool.slots] == [1, 6]
            spool.acknowledge(5)
            await trio.sleep(2 * SYNC_S)
            assert report.state == "ok"
            nursery.cancel_scope.cancel()
        spool.close()

    monkeypatch.setattr(os, "fdatasync", force)
    trio.run(test, clock=trio.testing.MockClock(rate=50))


def test_a_slow_disk_does_not_stop_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    going_on = threading.Event()

    async def test() -> None:
        spool = Spool(tmp_path, max_bytes=1 << 20)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_synced, spool, Report())
            spool.append([(b"record", 1)])
            await trio.sleep(1.2 * SYNC_S)
            spool.append([(b"while the disk works", 1)])
            going_on.set()
            nursery.cancel_scope.cancel()
        spool.close()

    monkeypatch.setattr(os, "fdatasync", lambda descriptor: going_on.wait(10) or pytest.fail("the loop waits for the disk"))
    trio.run(test)
