"""Formats that are data, compiled: which of them a text is in, and its reading.

All that may apply to a source are one set of RE2, anchored where the text begins: a line that is in none of them costs one
look, however many there are. Formats of one's own come before those that come with Tocsin, and those that are made for one
source before those that are recognised in all.
"""

from __future__ import annotations

import csv
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import re2

from actors.parsing.definitions import Definition, Fault, FormatFault, line_of, read_definition
from actors.parsing.grok import expand
from actors.parsing.levels import severity_of, severity_of_field, severity_of_status
from actors.parsing.pairs import read_time_value
from actors.parsing.reading import Reading
from actors.parsing.times import Clock

BUILTIN = "builtin"
_MAX_COLUMNS = 256
_MAX_DECLARED = 16  # lists of columns of one source, kept by their number
_TIME_PARTS = ("date", "time", "zone")
_FORMAT_FIELD = "format"


class Format:
    """One format, compiled."""

    def __init__(self, definition: Definition) -> None:
        """Raises ValueError, which says what RE2 does not understand."""
        self.definition = definition
        self._expanded = expand(definition.pattern or definition.begins, definition.patterns)
        self.pattern = self._expanded.pattern
        self._regex = _compile(self.pattern)
        self._integers = self._expanded.numbers | set(definition.integers)
        self._empty = frozenset(definition.empty)
        self._levels = {name.lower(): severity_of(word) for name, word in definition.levels.items()}
        self._severity = severity_of(definition.severity) if definition.severity else None

    def read(self, text: str, columns: list[str] | None, clock: Clock, observed_ns: int) -> Reading | None:
        """Return the reading of a text whose beginning fits; None if the rest does not."""
        definition = self.definition
        values = self._groups(text) if columns is None else _columns(text, columns, definition.separator)
        if values is None:
            return None
        fields = {name: value for name, value in values if name and value is not None and value not in self._empty}
        message = fields.pop("message", None)
        reading = Reading(text if message is None else message, fields)
        self._read_time(reading, clock, observed_ns)
        for name in self._integers & fields.keys():
            fields[name] = _number(fields[name])
        self._read_level(reading)
        if definition.template or (columns is not None and message is None):
            kinds = [str(fields.get(name, "")) for name in definition.template]
            reading.pattern = " ".join(filter(None, [definition.format, *kinds]))
        fields |= definition.fields
        fields[_FORMAT_FIELD] = definition.format
        return reading

    def _groups(self, text: str) -> Iterable[tuple[str, Any]] | None:
        found = self._regex.match(text)
        return None if found is None else zip(self._expanded.fields, found.groups(), strict=True)

    def _read_time(self, reading: Reading, clock: Clock, observed_ns: int) -> None:
        fields = reading.fields
        parts = [str(fields[name]) for name in _TIME_PARTS if name in fields]
        if not parts:
            return
        time = read_time_value(" ".join(parts), clock, observed_ns)
        if time is None:
            fields["time_error"] = f"not a time that is known: {' '.join(parts)[:64]}"
            return
        reading.time_ns, reading.zoneless = time.ns, time.zoneless
        for name in _TIME_PARTS:
            fields.pop(name, None)

    def _read_level(self, reading: Reading) -> None:
        level = reading.fields.get("level")
        known = None if level is None else self._levels.get(str(level).lower())
        reading.severity = known or severity_of_field("level", level) or self._severity
        reading.states_level = level is not None
        status = reading.fields.get(self.definition.status)
        if reading.severity is None and isinstance(status, int):
            reading.severity = severity_of_status(status)


class _Group:
    """Formats that are looked for together."""

    def __init__(self, formats: Sequence[Format]) -> None:
        self._formats = formats
        self._set = _set_of(tuple(each.pattern for each in formats))

    def matches(self, text: str) -> list[Format]:
        """Return the formats that match where a text begins."""
        return [self._formats[index] for index in sorted(self._set.Match(text) or ())]


class _AnyLetter:
    """Holds every letter."""

    def __contains__(self, letter: object) -> bool:
        return True


class Table:
    """The formats that may apply to one source. State: the columns that its files have declared."""

    def __init__(self, formats: Iterable[Format]) -> None:
        formats = list(formats)
        self._of_all = _Group([each for each in formats if not each.definition.programs])
        programs = {program for each in formats for program in each.definition.programs}
        self._of_program = {
            program: _Group([each for each in formats if program in each.definition.programs]) for program in programs
        }
        beginnings = [each.definition.beginnings() for each in formats if not each.definition.programs]
        known = {"#", *(start for each in beginnings for start in each)}
        self._starts = tuple(sorted(known)) if all(beginnings) else ("",)
        self._letters: Container[str] = frozenset(start[0] for start in known) if all(beginnings) else _AnyLetter()
        self._declaring = [each for each in formats if each.definition.declared_by]
        self._declared: dict[tuple[str, int], list[str]] = {}

    def may_read(self, text: str, program: str | None) -> bool:
        """Tell whether it is worth while to look: it mostly is not."""
        return (text[:1] in self._letters and text.startswith(self._starts)) or program in self._of_program

    def read(self, text: str, program: str | None, clock: Clock, observed_ns: int) -> Reading | None:
        """Return the reading of a text by the first format that fits; None if none does."""
        matches = self._of_all.matches(text)
        if program in self._of_program:
            matches = self._of_program[program].matches(text) + matches
        if self._declaring and text.startswith("#"):
            self._declare(text)
        for each in matches:
            definition = each.definition
            columns = self._columns(definition, text) if definition.columns else None
            reading = each.read(text, columns, clock, observed_ns)
            if reading is not None:
                return reading
        return None

    def _declare(self, text: str) -> None:
        """Note the columns that a line of comment declares for the lines that follow it."""
        for each in self._declaring:
            definition = each.definition
            if text.startswith(definition.declared_by):
                names = text[len(definition.declared_by) :].strip(definition.separator + "\r\n").split(definition.separator)
                names = [definition.rename.get(name, name) for name in names]
                if len(names) <= _MAX_COLUMNS:
                    key = definition.format, len(names)
                    self._declared.pop(key, None)
                    self._declared[key] = names
                    while len(self._declared) > _MAX_DECLARED:
                        del self._declared[next(iter(self._declared))]

    def _columns(self, definition: Definition, text: str) -> list[str]:
        """Return the names of the columns: those that were declared for as many, or those of the definition."""
        if not self._declared:
            return definition.columns
        number = text.rstrip("\r\n").count(definition.separator) + 1
        return self._declared.get((definition.format, number), definition.columns)


class Library:
    """All formats: those of one's own, and those that come with Tocsin."""

    def __init__(self, own: Iterable[Format] = ()) -> None:
        self._formats = sorted([*own, *builtin()], key=lambda each: not each.definition.sources)

    def table(self, source: str) -> Table:
        """Return what may apply to a source."""
        return Table(each for each in self._formats if source in each.definition.sources or not each.definition.sources)


def read_formats(texts: Mapping[str, str]) -> tuple[list[Format], list[Fault]]:
    """Return the formats of files, {path: text}, and what is wrong with the others."""
    formats, faults = [], []
    for path, text in sorted(texts.items()):
        try:
            formats.append(_read_format(path, text))
        except FormatFault as error:
            faults.append(error.fault)
    return formats, faults


@cache
def builtin() -> tuple[Format, ...]:
    """Return the formats that come with Tocsin."""
    formats, faults = read_formats(builtin_texts())
    if faults:
        raise FormatFault(faults[0])
    return tuple(formats)


def builtin_texts() -> dict[str, str]:
    """Return the files of the formats that come with Tocsin, {path: text}."""
    folder = resources.files("actors.parsing") / BUILTIN
    return {str(path): path.read_text("utf-8") for path in folder.iterdir() if path.name.endswith(".toml")}


def _read_format(path: str, text: str) -> Format:
    definition = read_definition(path, text)
    try:
        return Format(definition)
    except ValueError as error:
        key = "pattern" if definition.pattern else "begins"
        raise FormatFault(Fault(path, line_of(text, key), f"{key}: {error}")) from error


def _compile(pattern: str) -> Any:
    try:
        return re2.compile(pattern, _options())
    except re2.error as error:
        reason = error.args[0]
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"is no regular expression of RE2: {text.removesuffix(pattern).rstrip(': ')}") from error


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    return options


@cache
def _set_of(patterns: tuple[str, ...]) -> Any:
    """Return the set that says which patterns match where a text begins."""
    found = re2.Set.MatchSet(_options())
    for pattern in patterns:
        found.Add(pattern)
    found.Compile()
    return found


def _columns(text: str, names: list[str], separator: str) -> Iterable[tuple[str, Any]] | None:
    try:
        values = next(csv.reader([text], delimiter=separator), None)
    except csv.Error:
        return None
    return None if values is None else zip(names, values[:_MAX_COLUMNS], strict=False)


def _number(value: Any) -> Any:
    try:
        return int(value)
    except ValueError:
        try:
            return float(value)
        except ValueError:
            return value
