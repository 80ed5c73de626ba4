"""The parser: records in; events and their columns out, to every detector and to the scorer.

Templates are written to a journal before any event names them, so that a template's id means the same for life,
whatever is killed when.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from zoneinfo import ZoneInfo

import msgpack
import msgspec
import trio

from actors.context import Context
from actors.parsing.parse import Parser
from protocol.messages import Events, Frame, Records, decode_records, encode

JOURNAL_VERSION = 1


class Settings(msgspec.Struct, frozen=True):
    detectors: list[str]
    zones: dict[str, str]


class TemplateJournal:
    """Append-only file of template births and changes, read back at the start and then written anew."""

    def __init__(self, context: Context) -> None:
        self._path = context.state_dir / "templates.journal"
        self._file = None


class ParserActor:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._settings = msgspec.convert(context.settings, Settings)
        zones = {source: ZoneInfo(name) for source, name in self._settings.zones.items()}
        self._parser = Parser(zones)


async def run(context: Context) -> None:
    await ParserActor(context).run()
