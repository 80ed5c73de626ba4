"""What the parser is told, and leaves in the state directory for whoever tries a line: zones of sources, formats of one's own."""

from __future__ import annotations

from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from actors.files import write_whole
from actors.parsing.defined import Library, read_formats
from actors.parsing.definitions import Fault
from actors.parsing.parse import Parser

FILE = "parsing.json"


class ParserSettings(msgspec.Struct, frozen=True):
    """`zones`: {source: IANA name}; `formats`: the files of formats of one's own, {path: text}."""

    zones: dict[str, str] = {}
    formats: dict[str, str] = {}

    def parser(self, default: tzinfo = UTC) -> Parser:
        """Return a parser that has learned nothing yet; files that are no formats are left out."""
        zones = {source: ZoneInfo(name) for source, name in self.zones.items()}
        return Parser(zones, default, library=Library(read_formats(self.formats)[0]))

    def faults(self) -> list[Fault]:
        """Return what is wrong with the files of formats."""
        return read_formats(self.formats)[1]

    def leave(self, state_dir: Path) -> None:
        """Write them where others find them. Raises OSError."""
        write_whole(state_dir / FILE, msgspec.json.encode(self))

    @classmethod
    def of_daemon(cls, state_dir: Path) -> ParserSettings:
        """Return what the parser left; the defaults if it left nothing."""
        try:
            return msgspec.json.decode((state_dir / FILE).read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError):
            return cls()
