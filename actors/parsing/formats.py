"""Which format a text is in, and its reading: one that is data, JSON, audit, access log, CEF, LEEF, logfmt, a header and a
message, or plain.

Formats that are data (`actors/parsing/defined.py`) come first: who writes one wants it. The others are tried from the surest
sign to the weakest, each only if its sign is there, so that a line of sshd costs few comparisons. What a program wrote after a
syslog header is read the same way.
"""

from __future__ import annotations

import re

from actors.parsing.access import read_access
from actors.parsing.audit import read_audit
from actors.parsing.cef import read_cef
from actors.parsing.defined import Table
from actors.parsing.headers import Peeler
from actors.parsing.loggers import read_esxi
from actors.parsing.pairs import find_pairs, read_json, read_logfmt, read_windows_xml
from actors.parsing.reading import Reading
from actors.parsing.times import Clock

_CONTAINER = re.compile(r"(stdout|stderr) [FP] ")
_SCANNED = 8192  # characters of a message in which pairs are looked for


class Formats:
    """Reads the texts of one source."""

    def __init__(self, clock: Clock, table: Table) -> None:
        self._clock = clock
        self._table = table
        self._peeler = Peeler(clock)

    def read_line(self, text: str, observed_ns: int) -> Reading:
        """Read a line that may begin with any header."""
        reading = self.read_defined(text, None, observed_ns) or self._read_whole(text, observed_ns)
        if reading is None:
            reading = self._peeler.peel(text, observed_ns)
            if reading.message.startswith("std") and (found := _CONTAINER.match(reading.message)):
                reading.fields["stream"] = found[1]
                reading.take_inner(self.read_line(reading.message[found.end() :], observed_ns))
            else:
                self._read_inside(reading, observed_ns)
        return reading

    def read_payload(self, text: str, observed_ns: int, program: str | None = None) -> Reading:
        """Read what follows a syslog header, the text of a journal entry, or the body of an OTLP record; `program` wrote it."""
        first = text[:1]
        if defined := self.read_defined(text, program, observed_ns):
            return defined
        if first in ("{", "<", "@", "t", "a", "n") or '"' in text or "=" in text or "EF:" in text[:128]:
            reading = self._read_whole(text, observed_ns)
            if reading is not None:
                return reading
        if first in ("[", "<", "(") or first.isdigit() or first.isupper():
            reading = self._peeler.peel(text, observed_ns, whole_line=False)
        else:
            reading = Reading(text, {})
            if "[Originator@" in text[:96]:
                read_esxi(reading, text, 0)
                reading.fields.pop("app", None)  # the header says it
        _add_pairs(reading)
        return reading

    def read_defined(self, text: str, program: str | None, observed_ns: int) -> Reading | None:
        """Read a text by a format that is data; what it leaves as message is read as any message is."""
        if not self._table.may_read(text, program):
            return None
        reading = self._table.read(text, program, self._clock, observed_ns)
        if reading is not None and reading.pattern is None and reading.message is not text:
            self._read_message(reading, observed_ns)
        return reading

    def _read_whole(self, text: str, observed_ns: int) -> Reading | None:
        """Read a text that is one record of a structured format, all of it."""
        first = text[:1]
        if first == "{" or text.startswith("@cee:"):
            reading = read_json(text, self._clock, observed_ns)
            if reading is not None:
                return self._read_wrapped(reading, text, observed_ns)
        if first == "<" and (windows := read_windows_xml(text, self._clock, observed_ns)):
            return windows
        if "audit(" in text[:96] and (reading := read_audit(text, self._clock, observed_ns)):
            return reading
        if "EF:" in text[:128] and (reading := read_cef(text, self._clock, observed_ns)):
            return reading
        if '] "' in text or ("] " in text and '" ' in text):
            reading = read_access(text, self._clock, observed_ns)
            if reading is not None:
                return reading
        if "=" in text[:65] and first.isalpha():
            return read_logfmt(text, self._clock, observed_ns)
        return None

    def _read_wrapped(self, reading: Reading, text: str, observed_ns: int) -> Reading:
        """Read the line inside an object in which a container engine has wrapped it, and an object inside an object."""
        message = reading.message
        if message is not text and ("log" in reading.fields or message.startswith("{")):
            reading.take_inner(self.read_line(message, observed_ns))
        return reading

    def _read_inside(self, reading: Reading, observed_ns: int) -> None:
        """Read the message after a header as a format of its own where it is one."""
        defined = self.read_defined(reading.message, reading.fields.get("app"), observed_ns)
        if defined is None:
            self._read_message(reading, observed_ns)
        else:
            reading.take_inner(defined)

    def _read_message(self, reading: Reading, observed_ns: int) -> None:
        inner = self._read_whole(reading.message, observed_ns)
        if inner is None:
            _add_pairs(reading)
            return
        reading.take_inner(inner)


def _add_pairs(reading: Reading) -> None:
    if "=" not in reading.message:
        return
    for key, value in find_pairs(reading.message[:_SCANNED]):
        reading.fields.setdefault(key, value)
