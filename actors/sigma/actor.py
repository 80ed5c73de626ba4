"""The sigma actor: batches of events in; matches and alerts of rules and correlations out, to the scorer.

No alert is lost when it dies or is too slow: what it was not given it reads from the store once it is committed
(`actors/following/cursor.py`), and when it or another actor has died it sends its last alerts again, with the same ids
as before.

Rules are read by a process of their own (`rules/loading.py`), at the start if they have changed, and whenever they change.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Container, Mapping, Sequence
from typing import Any

import msgspec
import trio

from actors.context import Context
from actors.files import SNAPSHOT_EVERY_S, SnapshotFile, uncollected
from actors.following.cursor import MAX_GAPS, Cursor, Stretch
from actors.following.replay import Replay
from actors.process import ProcessFailed, run_module
from actors.sigma.engine import Engine
from actors.sigma.rules.collection import collect
from actors.sigma.rules.library import Library, LibraryState, state_of
from actors.sigma.settings import CACHE, VERSION, Settings
from actors.storage.queries import StoredBatch
from actors.storage.store import open_store_reader
from protocol.columns import COLUMN_FRAMES
from protocol.findings import Alert
from protocol.messages import BatchKey, Drafted, Events, Frame, Matched, decode_events
from protocol.metrics import SigmaMetrics
from protocol.records import Attack, Event

FILL_EVERY_S = 1.0
LOOK_EVERY_S = 2.0  # for rules that have changed, or
LOOK_SHARE = 20  # times as long as looking takes, if that is longer
MAX_SENT_AGAIN = 1_000  # alerts

log = logging.getLogger(__name__)


class LoadingFailed(Exception):
    """The rules could not be read at all; the message says why."""


class SigmaActor:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._report = context.report
        self._metrics = self._report.measure(SigmaMetrics)
        self._settings = msgspec.convert(dict(context.settings), Settings)
        self._snapshots = SnapshotFile(context, VERSION)
        self._cache = context.state_dir / CACHE
        self._replay = Replay(open_store_reader(context.state_dir, quiet=True))
        self._engine = Engine(collect(()))
        self._in_force: LibraryState = ("", {})
        self._look_s = 0.0  # that it took to look whether rules have changed
        self._taken = Cursor(max_gaps=MAX_GAPS)
        self._one_at_a_time = trio.Lock()

    # -- rules

    async def _refresh(self) -> bool:
        """Bring the rules into line with their files; tell whether anything has changed. Raises LoadingFailed."""
        sources = self._settings.sources
        began_s = trio.current_time()
        try:
            there = await trio.to_thread.run_sync(state_of, sources)
        except OSError as error:
            raise LoadingFailed(f"{error.filename}: {error.strerror}") from error
        self._look_s = trio.current_time() - began_s
        if there == self._in_force:
            return False
        library = await trio.to_thread.run_sync(Library.open, self._cache)
        if library.state() != there:
            library = await _run_loader(msgspec.json.encode({"cache": str(self._cache), "sources": sources}))
        self._use(library)
        return True

    def _use(self, library: Library) -> None:
        """Go on with the rules of a library."""
        exceptions = self._settings.exceptions
        documents = [*library.documents(), *library.refusals()]
        collection = collect(documents, self._settings.disabled, [each.rule for each in exceptions])
        engine = Engine(collection, exceptions)
        engine.adopt(self._engine)
        self._engine, self._in_force = engine, library.state()
        gc.freeze()  # rules live long: the collector need not look through them again and again
        for refusal in collection.refusals:
            log.warning("a rule is not used: %s", refusal)
        self._metrics.rules, self._metrics.correlations = len(collection.rules), len(collection.correlations)
        self._metrics.refused_rules = len(collection.refusals)

    async def _load_first(self) -> None:
        """Load the rules, and be ready then; go on with those that were read last if they cannot be read now."""
        self._report.progress = "reads its rules"
        try:
            await self._refresh()
        except LoadingFailed as error:
            self._use(Library.open(self._cache))
            self._say_failed(error)
        self._report.ready()

    def _say_failed(self, error: LoadingFailed) -> None:
        note = f"the rules stay as they were: {error}"
        if self._report.set("rules", note):
            log.error("%s", note)

    async def _keep_rules(self) -> None:
        """Look for changed rules, and use them; what cannot be read changes nothing."""
        while True:
            await trio.sleep(max(LOOK_EVERY_S, LOOK_SHARE * self._look_s))
            try:
                if await self._refresh():
                    self._tell_of_change()
                self._report.clear("rules")
            except LoadingFailed as error:
                self._say_failed(error)

    def _tell_of_change(self) -> None:
        collection = self._engine.collection
        text = f"tocsin: rules were read anew: {len(collection.rules)} rules and {len(collection.correlations)} correlations"
        refused = len(collection.refusals)
        if refused:
            text += f" are in force, {refused} are refused; see: tocsin rules check"
        self._context.tell("rules_read", text, severity=13 if refused else 9)

    # -- events

    def _judge(self, events: Sequence[Event], first: int, new: Container[int]) -> tuple[list[Alert], dict[int, Attack]]:
        alerts: list[Alert] = []
        attacks: dict[int, Attack] = {}
        for place, event in enumerate(events):
            outcome = self._engine.take(event, learn=first + place in new)
            alerts += outcome.alerts
            if outcome.attack is not None:
                attacks[place] = outcome.attack
        self._metrics.judged_by_rules += len(events)
        self._metrics.placed_events += len(attacks)
        self._metrics.drafted_alerts += len(alerts)
        return alerts, attacks

    async def _take(self, key: BatchKey, frames: Sequence[Frame]) -> None:
        new = self._taken.take(key.tag, key.first, key.count, begin=key.base)
        if self._context.is_poison(key):
            return
        alerts, attacks = self._judge(decode_events(frames[COLUMN_FRAMES]), key.first, new)
        await self._context.emit(Matched(key, tuple(alerts), attacks))

    async def _keep_filling(self) -> None:
        while True:
            found = [await self._fill(gap) for gap in self._taken.gaps()]
            self._count()
            await trio.sleep(0 if any(found) else FILL_EVERY_S)

    def _count(self) -> None:
        known = self._engine.statistics()
        self._metrics.gaps = len(self._taken.gaps())
        self._metrics.correlation_groups, self._metrics.correlation_entries = known["groups"], known["entries"]
        self._metrics.evicted_groups, self._metrics.dropped_entries = known["evicted_groups"], known["dropped_entries"]
        self._metrics.excepted_matches = known["excepted"]
        self._metrics.gaps_given_up = self._taken.given_up

    async def _fill(self, gap: Stretch) -> bool:
        """Judge a page of what of a gap is committed by now; tell whether there was any."""
        batches = await self._replay.batches_of(gap)
        if not batches and (await self._replay.positions()).get(gap.line, 0) >= gap.last:
            self._taken.miss(gap)
        for batch in batches:
            async with self._one_at_a_time:  # what comes live waits for one batch at most
                await self._judge_stored(batch)
                self._context.begin(None)
        return bool(batches)

    async def _judge_stored(self, batch: StoredBatch) -> None:
        key = BatchKey("", batch.tag, batch.first - 1, batch.first, len(batch.events))
        self._context.begin(key)
        new = self._taken.take(key.tag, key.first, key.count)
        if self._context.is_poison(key):
            return
        alerts, _ = self._judge([each.event for each in batch.events], batch.first, new)
        self._metrics.caught_up_events += len(batch.events)
        if alerts:
            await self._context.emit(Drafted(tuple(alerts)))
        await trio.lowlevel.checkpoint()

    async def _send_again(self) -> None:
        """Send the last alerts again after a death of its own or downstream: they may have been on their way."""
        while True:
            if alerts := self._engine.remembered():
                await self._context.emit(Drafted(tuple(alerts[-MAX_SENT_AGAIN:])))
            await self._context.wait_resend()

    # -- life

    async def _restore(self, committed: Mapping[int, int]) -> None:
        """Take up what was known; who knows nothing begins with what was not `committed` when it started."""
        if not self._snapshots.take_up(self._take_up):
            self._taken = Cursor(committed, max_gaps=MAX_GAPS)
        self._taken.expect(await self._replay.positions())

    def _take_up(self, state: dict[str, Any]) -> None:
        self._engine.restore(state["engine"])
        self._taken = Cursor(state["last"], (Stretch(*gap) for gap in state["gaps"]), max_gaps=MAX_GAPS)

    async def _store(self) -> None:
        with uncollected():
            state = self._state()
        await self._snapshots.store(state)

    def _state(self) -> dict[str, Any]:
        return {
            "engine": self._engine.snapshot(),
            "last": self._taken.last,
            "gaps": [[gap.line, gap.first, gap.last] for gap in self._taken.gaps()],
            "settings": msgspec.to_builtins(self._settings),
        }

    async def _keep_snapshots(self) -> None:
        while True:
            await self._store()
            await trio.sleep(SNAPSHOT_EVERY_S)

    async def run(self) -> None:
        committed = await self._replay.positions()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_on_drain, loading := trio.CancelScope())
            with loading:
                await self._load_first()
            nursery.cancel_scope.cancel()
        await self._restore(committed)
        async with trio.open_nursery() as nursery:
            for task in (self._keep_rules, self._keep_filling, self._keep_snapshots, self._send_again):
                nursery.start_soon(task)
            async for message, frames in self._context.messages():
                if isinstance(message, Events):
                    async with self._one_at_a_time:
                        await self._take(message.key, frames)
            nursery.cancel_scope.cancel()
        await self._store()

    async def _cancel_on_drain(self, scope: trio.CancelScope) -> None:
        await self._context.wait_drain()
        scope.cancel()


async def _run_loader(order: bytes) -> Library:
    """Have the rules read by a process of its own: what pySigma needs of memory goes with it. Raises LoadingFailed."""
    try:
        return await trio.to_thread.run_sync(Library.unpack, await run_module("actors.sigma.rules.loading", order))
    except (ProcessFailed, msgspec.DecodeError) as error:
        raise LoadingFailed(str(error)) from error


async def run(context: Context) -> None:
    await SigmaActor(context).run()
