"""The internal receiver: notices of the daemon itself, as events of the stream.

Actors and the supervisor send it notices: an actor that died, records that were dropped, a source that fell silent, a
stretch of time in which nothing was read, days that retention took, a break of the ledger. So a gap in the log is in
the log, attacks on the watcher are watched, and rules can speak of both. A notice is a record like those of the other
receivers: spooled, then stored exactly once. One that finds the edge or the spool full is dropped and counted.

What a person takes back out of the quarantine comes this way too, as the record that it was.
"""

from __future__ import annotations

import logging

import msgspec
import trio

from actors.context import Context
from actors.receivers.intake import Intake, IntakeSettings
from actors.receivers.quarantine import QuarantineFolder
from actors.record_log import LogFull
from protocol.messages import Header, Notice, Request, encode
from protocol.records import OtlpRecord, Record

ORIGIN = "tocsin"

log = logging.getLogger(__name__)


class Settings(IntakeSettings, frozen=True):
    source: str = "tocsin"


def record_of(notice: Notice, source: str) -> Record:
    """Return a notice as a record: its text is the message, its fields are attributes, its kind is the event's name."""
    told = OtlpRecord(
        body=notice.text,
        time_ns=notice.time_ns,
        observed_ns=notice.time_ns,
        severity=notice.severity,
        severity_text="",
        attributes=notice.fields,
        resource={"service.name": "tocsin"},
        scope={},
        trace_id="",
        span_id="",
        event_name=notice.kind,
    )
    return Record(notice.time_ns, source, "otlp", ORIGIN, encode(told))


async def run(context: Context) -> None:
    settings = msgspec.convert(context.settings, Settings)

    quarantined = QuarantineFolder(context.state_dir)

    def take(message: Header) -> None:
        if isinstance(message, Notice):
            intake.put_nowait([record_of(message, settings.source)])
        elif isinstance(message, Request) and message.verb == "retry":
            take_back(message.name)

    def take_back(name: str) -> None:
        try:
            intake.put_batch([quarantined.get(name).record])
            quarantined.delete(name)
        except (LookupError, LogFull, OSError) as error:
            log.error("cannot send %s again: %s", name, error)

    intake = Intake(context, settings, take=take)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(intake.run)
        context.report.ready()
        await context.wait_drain()
        await intake.drain()
        nursery.cancel_scope.cancel()
