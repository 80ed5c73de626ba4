"""The configuration: one TOML file, all of it optional, overridden by TOCSIN_SECTION__KEY in the environment.

Reading collects every fault with its place before it gives up, so that `tocsin check` can show them all at once.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from actors.detectors.registry import DETECTORS
from actors.receivers.tls import CertificateError, CertificateFiles
from actors.syncing import Fsync

_UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
MIN_SPOOL_BYTES = 1 << 20
DEFAULT_PATH = Path("/etc/tocsin/tocsin.toml")
_ORIGIN = re.compile(r"https?://[^/\s:@]{1,253}(:\d{1,5})?/?", re.IGNORECASE)
_SIZE = re.compile(r"(\d{1,12})\s?(B|KiB|MiB|GiB|TiB)?")

def parse_size(text: str) -> int:
    """Return bytes for `10GiB`, `512MiB`, `4096`. Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size such as 256MiB or 10GiB")
    return int(match[1]) * _UNITS[match[2] or ""]


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of `127.0.0.1:8080` or `[::1]:8080`. Raises ValueError."""
    host, separator, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"{text!r} is not an address such as 127.0.0.1:8080")
    return host, int(port)


def is_loopback(address: str) -> bool:
    """Tell whether only this machine can reach an address. A name other than localhost may lead anywhere."""
    host, _ = parse_address(address)
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file. Every key has a default; `faults` checks what types cannot."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield key and reason of what is wrong."""
        yield from ()

    def file_faults(self) -> Iterator[tuple[str, str]]:
        """Yield the same of the files that it names; only who runs the daemon may be able to read them."""
        yield from ()


class Http(Section, frozen=True, forbid_unknown_fields=True):
    listen: str = "127.0.0.1:8080"
    token: str = ""
    allowed_origins: list[str] = []

    def faults(self) -> Iterator[tuple[str, str]]:
        faults = list(_address_faults("listen", self.listen))
        yield from faults
        if not faults and not is_loopback(self.listen) and not self.token:
            yield "token", f"{self.listen} is reachable from other machines: set a token of at least 16 characters"
        for origin in self.allowed_origins:
            if not _ORIGIN.fullmatch(origin):
                yield "allowed_origins", f"{origin!r} is not an origin such as https://wall.example:3000"
        if self.token and len(self.token) < 16:
            yield "token", "is shorter than 16 characters"


class Syslog(Section, frozen=True, forbid_unknown_fields=True):
    enabled: bool = True
    udp: str = "127.0.0.1:5514"
    tcp: str = "127.0.0.1:5514"
    tls: str = ""  # "": off
    tls_certificate: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""  # "": clients need no certificate
    source: str = "syslog"
    zone: str = "UTC"

    def faults(self) -> Iterator[tuple[str, str]]:
        yield from _address_faults("udp", self.udp)
        yield from _address_faults("tcp", self.tcp)
        if self.tls:
            yield from _address_faults("tls", self.tls)
        yield from _zone_faults(self.zone)

    def file_faults(self) -> Iterator[tuple[str, str]]:
        if self.enabled and self.tls:
            try:
                CertificateFiles(self.tls_certificate, self.tls_key, self.tls_client_ca).load()
            except CertificateError as error:
                yield from error.faults


class OtlpGrpc(Section, frozen=True, forbid_unknown_fields=True):
    enabled: bool = True
    listen: str = "127.0.0.1:4317"
    source: str = "otlp_grpc"

    def faults(self) -> Iterator[tuple[str, str]]:
        yield from _address_faults("listen", self.listen)


class OtlpHttp(Section, frozen=True, forbid_unknown_fields=True):
    enabled: bool = True
    listen: str = "127.0.0.1:4318"
    source: str = "otlp_http"

    def faults(self) -> Iterator[tuple[str, str]]:
        yield from _address_faults("listen", self.listen)


class File(Section, frozen=True, forbid_unknown_fields=True):
    enabled: bool = True
    paths: list[str] = []
    from_start: bool = False
    source: str = "file"
    zone: str = "UTC"

    def faults(self) -> Iterator[tuple[str, str]]:
        for path in self.paths:
            if not path.startswith("/"):
                yield "paths", f"{path!r} is not an absolute path or pattern"
        yield from _zone_faults(self.zone)


class Internal(Section, frozen=True, forbid_unknown_fields=True):
    enabled: bool = True
    source: str = "tocsin"


class Journald(Section, frozen=True, forbid_unknown_fields=True):
    enabled: bool = False
    directory: str = ""  # "": the journal of this machine
    from_start: bool = False
    source: str = "journald"

    def faults(self) -> Iterator[tuple[str, str]]:
        if self.directory and not self.directory.startswith("/"):
            yield "directory", f"{self.directory!r} is not an absolute path"


class Receivers(Section, frozen=True, forbid_unknown_fields=True):
    syslog: Syslog = Syslog()
    otlp_grpc: OtlpGrpc = OtlpGrpc()
    otlp_http: OtlpHttp = OtlpHttp()
    file: File = File()
    journald: Journald = Journald()
    internal: Internal = Internal()

    def enabled(self) -> list[str]:
        return [name for name in self.__struct_fields__ if getattr(self, name).enabled]

    def settings(self, name: str) -> dict[str, Any]:
        settings: dict[str, Any] = msgspec.to_builtins(getattr(self, name))
        return settings


class Storage(Section, frozen=True, forbid_unknown_fields=True):
    retention_days: int = 30
    max_bytes: str = "10GiB"

    def faults(self) -> Iterator[tuple[str, str]]:
        yield from _size_faults("max_bytes", self.max_bytes)
        if self.retention_days < 1:
            yield "retention_days", "is less than 1"


class Daemon(Section, frozen=True, forbid_unknown_fields=True):
    queue_max: int = 10_000
    spool_max_bytes: str = "256MiB"
    drain_s: float = 20.0
    fsync: Fsync = "interval"

    def spool_bytes(self) -> int:
        return parse_size(self.spool_max_bytes)

    def faults(self) -> Iterator[tuple[str, str]]:
        faults = list(_size_faults("spool_max_bytes", self.spool_max_bytes))
        yield from faults
        if not faults and self.spool_bytes() < MIN_SPOOL_BYTES:
            yield "spool_max_bytes", "is less than 1MiB"
        if not 100 <= self.queue_max <= 1_000_000:
            yield "queue_max", "is not between 100 and 1000000"
        if not 0 < self.drain_s <= 600:
            yield "drain_s", "is not between 0 and 600 seconds"


class Alerts(Section, frozen=True, forbid_unknown_fields=True):
    per_day: float = 2.0  # how many false alarms of one source its user is ready to look at

    def faults(self) -> Iterator[tuple[str, str]]:
        if not 0.001 <= self.per_day <= 1_000:
            yield "per_day", "is not between 0.001 and 1000"


class Detector(Section, frozen=True, forbid_unknown_fields=True):
    enabled: bool = True


def _all_detectors() -> dict[str, Detector]:
    return {name: Detector() for name in DETECTORS}


class Configuration(Section, frozen=True, forbid_unknown_fields=True):
    state_dir: str = ""  # "": $STATE_DIRECTORY, /var/lib/tocsin if that can be written, else below the home directory
    runtime_dir: str = ""  # "": $RUNTIME_DIRECTORY, else a private directory made anew at each start
    http: Http = Http()
    receivers: Receivers = Receivers()
    storage: Storage = Storage()
    alerts: Alerts = Alerts()
    daemon: Daemon = Daemon()
    detectors: dict[str, Detector] = msgspec.field(default_factory=_all_detectors)

    def zones(self) -> dict[str, str]:
        """Return the zone of zone-less times, by source."""
        receivers = self.receivers
        return {receivers.syslog.source: receivers.syslog.zone, receivers.file.source: receivers.file.zone}


def _address_faults(key: str, text: str) -> Iterator[tuple[str, str]]:
    try:
        parse_address(text)
    except ValueError as error:
        yield key, str(error)


def _size_faults(key: str, text: str) -> Iterator[tuple[str, str]]:
    try:
        parse_size(text)
    except ValueError as error:
        yield key, str(error)


def _zone_faults(name: str) -> Iterator[tuple[str, str]]:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield "zone", f"{name!r} is not a time zone such as Europe/Berlin"


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
        if path == "detectors":
            return self._detectors(value)
        try:
            return msgspec.convert(self._given(value, wanted, path), wanted)
        except msgspec.ValidationError as error:
            self.fault(path, str(error).replace("`", ""))
            return None

    def _given(self, value: Any, wanted: Any, path: str) -> Any:
        if not isinstance(value, Override):
            return value
        self._overrides[path] = value.variable
        return value.value(wanted)

    def _detectors(self, given: Any) -> dict[str, Detector]:
        detectors, table = _all_detectors(), self._given(given, dict, "detectors")
        if not isinstance(table, dict):
            self.fault("detectors", "is not a table: write [detectors.NAME]")
            return detectors
        for name, value in table.items():
            if name in detectors:
                detectors[name] = self.section(Detector, value, f"detectors.{name}")
            else:
                self.fault(f"detectors.{name}", f"is not a detector; there are {', '.join(detectors)}")
        return detectors


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
    configuration: Configuration = reader.section(Configuration, tables, "")
    if reader.faults:
        raise ConfigurationError(reader.faults)
    return configuration
