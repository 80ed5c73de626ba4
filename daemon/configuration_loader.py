"""Reading the configuration: one TOML file, all of it optional, overridden by TOCSIN_SECTION__KEY in the environment.

Every fault is collected with its place before reading gives up, so that `tocsin check` can show them all at once.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from daemon.configuration import Configuration, registries
from daemon.sections import Section

DEFAULT_PATH = Path("/etc/tocsin/tocsin.toml")


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with the configuration, and where."""

    place: str  # `tocsin.toml:12: receivers.syslog.udp` or `TOCSIN_HTTP__LISTEN`
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class ConfigurationError(Exception):
    """The configuration has faults; `faults` lists them all."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


class Override(msgspec.Struct, frozen=True):
    """A value from the environment."""

    variable: str
    text: str

    def value(self, wanted: Any) -> Any:
        """Return the text where text is wanted, else what it says as TOML, if it says anything."""
        if wanted is str:
            return self.text
        try:
            return tomllib.loads(f"value = {self.text}")["value"]
        except tomllib.TOMLDecodeError:
            return self.text


class _Reader:
    """Builds sections from plain tables and collects faults on the way."""

    def __init__(self, name: str, text: str, look_at_files: bool) -> None:
        self._name = name
        self._look_at_files = look_at_files
        self._overrides: dict[str, str] = {}  # {key path: variable}
        self._lines = _key_lines(text)
        self.faults: list[Fault] = []

    def note_overrides(self, table: Mapping[str, Any], path: str = "") -> None:
        """Note which keys are from the environment, so that a fault names the variable, of unknown keys and tables too."""
        for key, value in table.items():
            here = f"{path}.{key}" if path else key
            if isinstance(value, Override):
                self._overrides[here] = value.variable
            elif isinstance(value, dict):
                self.note_overrides(value, here)
                variables = {self._overrides.get(f"{here}.{inner}") for inner in value}
                if value and None not in variables:  # nothing of it stands in the file
                    self._overrides[here] = sorted(filter(None, variables))[0]

    def fault(self, path: str, reason: str) -> None:
        if path in self._overrides:
            self.faults.append(Fault(self._overrides[path], reason))
            return
        line = self._lines.get(path)
        place = f"{self._name}:{line}: {path}" if line else f"{self._name}: {path}"
        self.faults.append(Fault(place, reason))

    def section(self, kind: type[Section], table: Any, path: str) -> Any:
        table = self._given(table, dict, path)
        if not isinstance(table, dict):
            self.fault(path, f"is not a table: write [{path}]")
            return kind()
        values = {}
        known = {field.name: field.type for field in msgspec.structs.fields(kind)}
        for key, value in table.items():
            here = f"{path}.{key}" if path else key
            if key not in known:
                self.fault(here, f"is not known; known here: {', '.join(sorted(known))}")
            elif (converted := self._value(known[key], value, here)) is not None:
                values[key] = converted
        section = kind(**values)
        for key, reason in (*section.faults(), *(section.file_faults() if self._look_at_files else ())):
            self.fault(f"{path}.{key}" if path else key, reason)
        return section

    def _value(self, wanted: Any, value: Any, path: str) -> Any:
        if isinstance(wanted, type) and issubclass(wanted, Section):
            return self.section(wanted, value, path)
        if path in registries():
            return self._named(value, path, registries()[path])
        try:
            return msgspec.convert(self._given(value, wanted, path), wanted)
        except msgspec.ValidationError as error:
            self.fault(path, str(error).replace("`", ""))
            return None

    def _given(self, value: Any, wanted: Any, path: str) -> Any:
        return value.value(wanted) if isinstance(value, Override) else value

    def _named(self, given: Any, path: str, kinds: Mapping[str, type[Section]]) -> dict[str, Section]:
        """Return a section for each name that there is, those in `given` read, the others as they are by default."""
        sections = {name: kind() for name, kind in kinds.items()}
        table = self._given(given, dict, path)
        if not isinstance(table, dict):
            self.fault(path, f"is not a table: write [{path}.NAME]")
            return sections
        for name, value in table.items():
            if name in kinds:
                sections[name] = self.section(kinds[name], value, f"{path}.{name}")
            else:
                self.fault(f"{path}.{name}", f"is not a {path.removesuffix('s')}; there are {', '.join(kinds)}")
        return sections


def _key_lines(text: str) -> dict[str, int]:
    """Return {key path: line number} for the tables and keys of a TOML text; good enough to point a person there."""
    lines: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            table = stripped.strip("[]# ").partition("]")[0].strip()
            lines.setdefault(table, number)
        elif "=" in stripped and not stripped.startswith("#"):
            key = stripped.partition("=")[0].strip().strip('"')
            lines.setdefault(f"{table}.{key}" if table else key, number)
    return lines


def _override(tables: dict[str, Any], environment: Mapping[str, str]) -> Iterator[Fault]:
    """Lay TOCSIN_SECTION__KEY=value over the tables; what the value means depends on the key."""
    for name, text in sorted(environment.items()):
        if not name.startswith("TOCSIN_"):
            continue
        *path, key = name.removeprefix("TOCSIN_").lower().split("__")
        table = tables
        for part in path:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                yield Fault(name, f"{part} is not a table in the file")
                break
        else:
            table[key] = Override(name, text)


def config_path(given: Path | None) -> Path | None:
    """Return the file to read: the given one, else the default if it is there."""
    return given or (DEFAULT_PATH if DEFAULT_PATH.exists() else None)


def read_configuration(
    path: Path | None, environment: Mapping[str, str] = os.environ, *, look_at_files: bool = True
) -> Configuration:
    """Return the configuration of a file (None: none) under the environment. Raises ConfigurationError.

    `look_at_files`: certificates and keys too; who only asks the daemon something need not be able to read them.
    """
    text, name, tables = "", "configuration", dict[str, Any]()
    if path is not None:
        name = str(path)
        try:
            text = path.read_text(encoding="utf-8")
            tables = tomllib.loads(text)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigurationError([Fault(name, str(error))]) from error
    reader = _Reader(name, text, look_at_files)
    reader.faults += _override(tables, environment)
    reader.note_overrides(tables)
    configuration: Configuration = reader.section(Configuration, tables, "")
    if reader.faults:
        raise ConfigurationError(reader.faults)
    return configuration
