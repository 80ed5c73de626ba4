"""The recorder: commits batches from the alerts actor, acknowledges them to their receivers, passes them to the broadcaster.

Only what is committed goes on. A store that is full, locked or read-only holds the stream back: the batch is tried again
until it goes through, meanwhile nothing is acknowledged, and the receivers run out of credit. SQLite runs in one thread
beside the actor's loop, so that a slow disk is not taken for an actor that hangs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
import numpy as np
import trio

from actors.clock import SteadyClock, elapsed_ns, wall_ns
from actors.context import Context
from actors.storage.errors import STORE_ERRORS
from actors.storage.queries import OutOfOrder
from actors.storage.store import open_store_writer
from actors.storage.writer import Stored, StoreWriter
from actors.syncing import SYNC_S, Fsync
from protocol.clock import NS_PER_S, format_day, format_time
from protocol.messages import (
    Acknowledged,
    Action,
    BatchKey,
    Committed,
    Frame,
    Judged,
    JudgedEvent,
    account_name,
    decode_events,
    join_array,
)
from protocol.metrics import RecorderMetrics, SyncMetrics

T = TypeVar("T")

RETRY_S = 0.5
EXPIRE_EVERY_S = 60.0
CLOCK_EVERY_S = 1.0
ANNOUNCE_EVERY_S = 1.0
DAY_NS = 86_400 * NS_PER_S

log = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True):
    retention_days: int
    max_bytes: int
    fsync: Fsync = "interval"


class Recorder:
    def __init__(
        self, context: Context, *, wall: Callable[[], int] = wall_ns, elapsed: Callable[[], int] = elapsed_ns
    ) -> None:
        self._context = context
        self._wall, self._elapsed = wall, elapsed
        self._clock = SteadyClock(wall(), elapsed())
        self._settings = msgspec.convert(context.settings, Settings)
        self._report = context.report
        self._metrics = self._report.measure(RecorderMetrics)
        self._sync_metrics = self._report.measure(SyncMetrics)
        self._one_at_a_time = trio.CapacityLimiter(1)
        self._handed_on = 0  # commits that the broadcaster was given
        self._store: StoreWriter

    async def run(self) -> None:
        await self._open()
        self._report.ready()
        self._tell_of_damage()
        self._show_sequences()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._expire)
            nursery.start_soon(self._watch_clock)
            nursery.start_soon(self._announce_position)
            if self._settings.fsync == "interval":
                nursery.start_soon(self._force)
            async for message, frames in self._context.messages():
                if isinstance(message, Judged):
                    await self._take(message, frames)
                elif isinstance(message, Action):
                    await self._act(message)
            nursery.cancel_scope.cancel()
        await self._in_thread(self._store.close)

    async def _in_thread(self, call: Callable[..., T], *arguments: Any) -> T:
        return await trio.to_thread.run_sync(call, *arguments, limiter=self._one_at_a_time)

    async def _open(self) -> None:
        """Open the store, for as long as it takes: a disk that is full at the start may have room again later.

        One that a newer program wrote is left alone, and the stream held back, until someone does what the note says.
        """
        while True:
            try:
                full = self._settings.fsync == "always"
                self._store = await self._in_thread(partial(open_store_writer, self._context.state_dir, full=full))
                self._report.clear("store")
                return
            except (*STORE_ERRORS, OSError) as error:
                if self._report.set("store", f"cannot open the store: {error}"):
                    log.error("cannot open the store and holds the stream back: %s", error)
                await trio.sleep(RETRY_S)

    async def _take(self, message: Judged, frames: Sequence[Frame]) -> None:
        judged = _judged_events(message, frames) if message.key else []
        stored = await self._commit(message, judged)
        if message.key:
            await self._acknowledge(message.key)
        if stored:
            self._metrics.ignored_events += len(judged) - len(stored.packed)
        if stored and (stored.packed or stored.alerts):
            self._show_sequences()
            self._metrics.committed_events += len(stored.packed)
            self._metrics.committed_alerts += len(stored.alerts)
            self._handed_on += 1
            header = Committed(stored.first, len(stored.packed), tuple(stored.alerts), stored.last_alert)
            await self._context.emit(header, [join_array(stored.packed)])

    async def _announce_position(self) -> None:
        """Announce the commit sequences while nothing is committed, so that a follower sees that it lost the last commit."""
        announced = self._handed_on
        while True:
            await trio.sleep(ANNOUNCE_EVERY_S)
            if announced == self._handed_on:
                events, alerts = self._store.sequences()
                self._context.emit_nowait(Committed(events + 1, 0, (), alerts), [join_array(())])
            announced = self._handed_on

    def _show_sequences(self) -> None:
        """Show the commit sequences in the metrics, and the accounts to the ledger."""
        self._metrics.event_sequence, self._metrics.alert_sequence = self._store.sequences()
        self._metrics.ledger_breaks = self._store.breaks
        for tag, (receiver, records) in self._store.accounts.items():
            self._report.committed[account_name(receiver, tag)] = records

    async def _commit(self, message: Judged, judged: list[JudgedEvent]) -> Stored | None:
        """Commit a batch. Return None for one that lies ahead of what is committed."""
        try:
            return await self._insist(
                lambda now_ns: self._store.commit(message.key, judged, message.alerts, now_ns, message.folded)
            )
        except OutOfOrder:
            self._metrics.out_of_order_batches += 1
            return None

    async def _act(self, action: Action) -> None:
        """Commit an action, and answer; a full edge drops the answer, and the person asks again."""
        done = await self._insist(lambda now_ns: self._store.act(action, now_ns))
        self._metrics.committed_actions += not done.refusal
        self._metrics.refused_actions += bool(done.refusal)
        self._context.emit_nowait(done)

    async def _insist(self, write: Callable[[int], T]) -> T:
        """Write to the store, for as long as it takes; `write` is told the time."""
        while True:
            try:
                written = await self._in_thread(write, self._now_ns())
            except (*STORE_ERRORS, OSError) as error:
                self._tell_of_damage()
                self._metrics.failed_commits += 1
                if self._report.set("store", f"cannot commit: {error}"):
                    log.error("cannot commit and holds the stream back: %s", error)
                await trio.sleep(RETRY_S)
            else:
                if self._report.clear("store"):
                    log.info("commits again")
                return written

    def _tell_of_damage(self) -> None:
        """Say loudly which files were damaged and set aside."""
        told, self._store.set_aside = self._store.set_aside, []
        for each in told:
            self._metrics.damaged_files += 1
            log.error("%s is damaged (%s): it is set aside as %s, and another is begun", each.path, each.reason, each.aside)
            text = f"tocsin: {each.path.name} is damaged ({each.reason}) and set aside as {each.aside.name}; another is begun"
            self._context.tell("store_damaged", text, severity=17, file=each.path.name, aside=each.aside.name)

    async def _acknowledge(self, key: BatchKey) -> None:
        self._context.emit_nowait(Acknowledged(key.tag, self._store.position(key)), to=key.receiver)
        await trio.lowlevel.checkpoint()

    async def _force(self) -> None:
        """Force commits to disk once a second, for the receivers forget them. A thread of its own: commits go on."""
        forced = self._store.sequences()
        while True:
            await trio.sleep(SYNC_S)
            newest = self._store.sequences()
            if newest != forced and (error := await trio.to_thread.run_sync(self._store.force)):
                self._sync_metrics.failed_syncs += 1
                log.error("cannot force the store to disk (%s): a power loss may take what was committed", error.strerror)
            forced = newest

    # -- time

    def _now_ns(self) -> int:
        """Return the time by which days are named: a clock that has just jumped makes no new ones."""
        wall, elapsed = self._wall(), self._elapsed()
        if jumped := self._clock.look(wall, elapsed):
            self._tell_of_jump(jumped, wall)
        return self._clock.believed(elapsed)

    def _tell_of_jump(self, jumped_ns: int, wall: int) -> None:
        self._metrics.clock_jumps += 1
        way, seconds = ("forwards" if jumped_ns > 0 else "back"), abs(jumped_ns) / NS_PER_S
        text = f"tocsin: the clock jumped {way} by {seconds:.0f} s and shows {format_time(wall)}"
        what = text.removeprefix("tocsin: ")
        log.warning("%s; until it is steady no day is begun by it, and none is deleted for its age", what)
        self._context.tell("clock_jumped", text, seconds=round(jumped_ns / NS_PER_S))

    async def _watch_clock(self) -> None:
        while True:
            self._now_ns()
            await trio.sleep(CLOCK_EVERY_S)

    async def _put_names_right(self) -> None:
        """Days that a wrong clock has named for the future would be the newest for good, and never be deleted."""
        renamed = await self._in_thread(self._store.put_names_right, format_day(self._now_ns()))
        for wrong, right in renamed:
            log.warning("the events of %s are filed under %s: the clock had been wrong", wrong, right)

    # -- retention

    async def _expire(self) -> None:
        """Delete days that are too old, as soon as the clock can be trusted, and days beyond the size."""
        while True:
            await trio.sleep(EXPIRE_EVERY_S)
            now_ns = self._now_ns()
            steady = self._clock.is_steady(self._elapsed())
            before_day = format_day(now_ns - self._settings.retention_days * DAY_NS) if steady else ""
            expire = partial(self._store.expire, before_day=before_day, max_bytes=self._settings.max_bytes)
            try:
                if steady:
                    await self._put_names_right()
                gone = await self._in_thread(expire)
            except (*STORE_ERRORS, OSError) as error:
                log.error("retention: cannot delete old events: %s", error)
                continue
            for day in gone:
                self._metrics.expired_days += 1
                log.info("retention: the events of %s are deleted", day)
                text = f"retention: the events of {day} are deleted, for age or size"
                self._context.tell("retention", text, severity=9, day=day)


def _judged_events(message: Judged, frames: Sequence[Frame]) -> list[JudgedEvent]:
    events = decode_events(frames[0])
    scores = np.frombuffer(frames[1], np.float32).tolist()
    thresholds = np.frombuffer(frames[2], np.float32).tolist()
    attacks = message.attacks
    return [
        JudgedEvent(event, score, threshold, attacks.get(index))
        for index, (event, score, threshold) in enumerate(zip(events, scores, thresholds, strict=True))
    ]


async def run(context: Context) -> None:
    await Recorder(context).run()
