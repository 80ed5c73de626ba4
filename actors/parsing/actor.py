"""The parser: records in; events and their columns out, to every detector and to the scorer."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec
import trio

from actors.context import Context
from actors.parsing.journal import TemplateJournal, births
from actors.parsing.settings import ParserSettings
from actors.syncing import SYNC_S, Fsync, sync_all
from protocol.messages import Events, Frame, Parsed, Records, decode_records, encode
from protocol.metrics import ParserMetrics, SyncMetrics

RETRY_S = 0.5

log = logging.getLogger(__name__)


class Settings(ParserSettings, frozen=True):
    fsync: Fsync = "interval"


class ParserActor:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._report = context.report
        self._metrics = self._report.measure(ParserMetrics)
        self._sync_metrics = self._report.measure(SyncMetrics)
        settings = msgspec.convert(context.settings, Settings)
        self._parser = settings.parser()
        self._leave(settings)
        self._journal = TemplateJournal(context.state_dir / "templates.journal", settings.fsync)
        self._parser.drain.restore_changes(self._journal.read())
        self._parser.drain.leap_ids(self._journal.lost_bytes)

    def _leave(self, settings: ParserSettings) -> None:
        """Leave the settings for whoever tries a line, and say which formats are not used."""
        for fault in settings.faults():
            log.error("a format is not used: %s", fault)
        try:
            ParserSettings(settings.zones, settings.formats).leave(self._context.state_dir)
        except OSError as error:
            log.warning("lines that are tried are read by the formats of the last start: %s", error.strerror)

    async def _begin_journal(self) -> None:
        """Write the journal anew; hold the stream back for as long as the disk refuses."""
        while True:
            try:
                self._journal.begin(births(self._parser.drain.snapshot()))
                self._report.clear("templates")
                return
            except OSError as error:
                await self._wait_for_disk(error)

    async def _wait_for_disk(self, error: OSError) -> None:
        self._report.set("templates", f"cannot write the journal of templates: {error.strerror}")
        await trio.sleep(RETRY_S)

    async def _take(self, message: Records, frames: Sequence[Frame]) -> None:
        key = message.key
        events, columns = self._parser.parse(decode_records(frames[0]), key.tag, key.first)
        await self._write_journal()
        self._metrics.parsed_events += len(events)
        self._metrics.parse_errors = self._parser.errors_total
        self._metrics.templates = len(self._parser.drain)
        whole: list[Frame] = [*columns.pack(), encode(events)]
        given = await self._context.emit(Events(key, columns.sources), whole)
        await self._context.emit(Parsed(key, columns.sources, given), whole)

    async def _write_journal(self) -> None:
        """Write the changes of templates; hold the stream back for as long as the disk refuses."""
        changes = self._parser.drain.take_changes()
        while changes:
            try:
                self._journal.append(changes)
                if self._journal.is_long:
                    await self._begin_journal()
                self._report.clear("templates")
                return
            except OSError as error:
                await self._wait_for_disk(error)

    async def run(self) -> None:
        await self._begin_journal()
        self._report.ready()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_synced)
            async for message, frames in self._context.messages():
                if isinstance(message, Records):
                    await self._take(message, frames)
            nursery.cancel_scope.cancel()
        self._journal.close()

    async def _keep_synced(self) -> None:
        """Force the journal to disk once a second; one that the disk refused is written anew, from memory."""
        while True:
            await trio.sleep(SYNC_S)
            descriptors = self._journal.unsynced.take()
            if descriptors and (error := await trio.to_thread.run_sync(sync_all, descriptors)):
                self._sync_metrics.failed_syncs += 1
                log.error("cannot force the journal of templates to disk (%s): it is written anew", error.strerror)
                await self._begin_journal()


async def run(context: Context) -> None:
    await ParserActor(context).run()
