"""A format as data: a TOML file with its name, how it is recognised, what stands in it where, and samples. Pure.

What each key means stands in docs/formats.md. Nothing is compiled here: `actors/parsing/defined.py` does that.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

import msgspec

from actors.parsing.levels import severity_of

_PLACE = re.compile(r" \(at (?:line (\d{1,7}), column \d{1,7}|end of document)\)$")


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with a format, and where."""

    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


class FormatFault(Exception):
    """A file is no format; `fault` says where and why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line, and what must come out of it. What is left out is not looked at."""

    line: str
    receiver: str = "file"
    event_ts: str = ""
    severity: int | str = ""  # 1 to 24, or a word
    message: str | None = None
    entities: list[str] | None = None
    fields: dict[str, str | int | float] = {}


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one file says."""

    format: str
    pattern: str = ""
    columns: list[str] = []
    begins: str = ""
    separator: str = ","
    declared_by: str = ""
    rename: dict[str, str] = {}  # {name of a column as it is declared: ours}
    starts: list[str] = []  # what such a text can begin with; `0-9` stands for any digit; none: anything
    sources: list[str] = []
    programs: list[str] = []
    integers: list[str] = []
    empty: tuple[str, ...] = ("", "-")
    template: list[str] = []
    severity: str = ""
    status: str = ""  # the field whose HTTP status says how severe it is
    levels: dict[str, str] = {}
    fields: dict[str, str | int | float] = {}
    patterns: dict[str, str] = {}
    sample: list[Sample] = []

    def faults(self) -> list[tuple[str, str]]:
        """Return key and reason of what types cannot check."""
        faults = []
        if not self.format.strip():
            faults.append(("format", "is empty: it is the name of the format"))
        if bool(self.pattern) == bool(self.columns):
            faults.append(("pattern", "or columns: one of the two is needed, and only one"))
        if self.columns and not self.begins:
            faults.append(("begins", "is missing: the pattern by whose match at its beginning a line of columns is known"))
        if "" in self.starts:
            faults.append(("starts", "has an empty text: leave the key out if such a line can begin with anything"))
        if len(self.separator) != 1:
            faults.append(("separator", f"{self.separator!r} is not one character"))
        if self.declared_by and not self.columns:
            faults.append(("declared_by", "is of use with columns only"))
        if self.severity and severity_of(self.severity) is None:
            faults.append(("severity", f"{self.severity!r} is no level such as info, warning or error"))
        faults += [
            ("levels", f"{name} = {word!r}: this is no level such as info, warning or error")
            for name, word in self.levels.items()
            if severity_of(word) is None
        ]
        return faults

    def beginnings(self) -> tuple[str, ...]:
        """Return what such a text can begin with; none if with anything."""
        return tuple(each for start in self.starts for each in ("0123456789" if start == "0-9" else [start]))


def read_definition(path: str, text: str) -> Definition:
    """Return what a file says. Raises FormatFault."""
    try:
        table: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        line = int(place[1]) if place and place[1] else text.count("\n") + 1
        raise FormatFault(Fault(path, line, _PLACE.sub("", str(error)))) from error
    try:
        definition = msgspec.convert(table, Definition)
    except msgspec.ValidationError as error:
        reason = str(error).replace("`", "")
        names = re.findall(r"\w+", reason)
        key = next((name for name in reversed(names) if line_of(text, name) > 1), names[-1])
        raise FormatFault(Fault(path, line_of(text, key), reason)) from error
    for key, reason in definition.faults():
        raise FormatFault(Fault(path, line_of(text, key), f"{key} {reason}"))
    return definition


def line_of(text: str, key: str) -> int:
    """Return the line of a key or table, counted from 1; 1 if it is not there."""
    found = re.search(rf"^\s*\[{{0,2}}\s*{re.escape(key)}\s*(?:=|\]{{1,2}})", text, re.MULTILINE)
    return 1 if found is None else text.count("\n", 0, found.end()) + 1


def line_of_sample(text: str, number: int) -> int:
    """Return the line of the sample of this number, counted from 0."""
    places = [found.end() for found in re.finditer(r"^\s*\[\[\s*sample\s*\]\]", text, re.MULTILINE)]
    return text.count("\n", 0, places[number]) + 1 if number < len(places) else 1
