"""Files that are there whole or not at all, and the snapshots that actors keep in them."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import trio

from actors.context import Context
from protocol.metrics import SnapshotMetrics
from protocol.snapshot import SnapshotError, pack_snapshot, unpack_snapshot

SNAPSHOT_EVERY_S = 15.0

log = logging.getLogger(__name__)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that after a crash it is the old one or the new one (write aside, fsync, rename)."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_name(path.name + ".new")
    with open(aside, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def write_at(fd: int, content: bytes, offset: int) -> None:
    """Write at an offset; a disk that refuses leaves the file with what was before it. Raises OSError."""
    try:
        written = os.pwrite(fd, content, offset)
        while written < len(content):
            written += os.pwrite(fd, content[written:], offset + written)
    except OSError:
        os.ftruncate(fd, offset)
        raise


def write_over(path: Path, content: bytes) -> None:
    """Write into the blocks that a file has already. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        write_at(fd, content, 0)
        os.ftruncate(fd, len(content))
        os.fdatasync(fd)
    finally:
        os.close(fd)


@contextmanager
def uncollected() -> Iterator[None]:
    """Make or take up much plain data: the collector would look through all of it again and again, for five times as long."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class SnapshotFile:
    """The snapshot of one actor. An unusable snapshot means a cold start and an error in the log, never a crash."""

    def __init__(self, context: Context, version: int) -> None:
        self._name = context.name
        self._version = version
        self._metrics = context.report.measure(SnapshotMetrics)
        self._path = context.state_dir / "snapshots" / f"{context.name}.msgpack"

    def load(self) -> dict[str, Any] | None:
        """Return the state that was stored, or None."""
        try:
            with uncollected():
                return unpack_snapshot(self._path.read_bytes(), self._name, self._version)
        except FileNotFoundError:
            return None
        except (SnapshotError, OSError) as error:
            self.refuse(error)
            return None

    def take_up(self, restore: Callable[[dict[str, Any]], None]) -> bool:
        """Hand the stored state to `restore`; tell whether it was taken up.

        What `restore` refuses (ValueError, KeyError, TypeError) is set aside, and the caller begins anew: it may have been
        taken up in part.
        """
        if (state := self.load()) is None:
            return False
        try:
            with uncollected():
                restore(state)
        except (ValueError, KeyError, TypeError) as error:
            self.refuse(error)
            return False
        return True

    async def keep(self, state: Callable[[], dict[str, Any]]) -> None:
        """Store what `state` returns, every `SNAPSHOT_EVERY_S`, until cancelled."""
        while True:
            await trio.sleep(SNAPSHOT_EVERY_S)
            await self.store(state())

    def refuse(self, error: Exception) -> None:
        """Refuse the snapshot; it is kept aside for a later look."""
        log.error("the snapshot %s cannot be used (%s): starting cold", self._path, error)
        self._metrics.unusable_snapshots += 1
        with suppress(OSError):
            self._path.replace(self._path.with_suffix(".unusable"))

    async def store(self, state: dict[str, Any]) -> bool:
        """Write the state, in a thread: a slow disk is not an actor that hangs. One that refuses costs the snapshot only.

        Return whether it is on disk. Cancelled, it goes on in its thread: the file is the old one or the new one.
        """
        with uncollected():
            packed = pack_snapshot(self._name, self._version, state)
        try:
            await trio.to_thread.run_sync(write_whole, self._path, packed)
        except OSError as error:
            self._metrics.failed_snapshots += 1
            log.error("cannot write the snapshot %s: %s", self._path, error)
            return False
        return True
