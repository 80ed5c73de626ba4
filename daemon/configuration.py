"""The configuration as data: every table with its keys, their defaults, and what types cannot say of them.

`daemon/reading.py` makes it of a file and the environment.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from actors.detectors.registry import DETECTORS
from actors.receivers.tls import CertificateError, CertificateFiles
from actors.syncing import Fsync
from protocol.clock import parse_time

_UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
FOREVER_NS = (1 << 63) - 1
MIN_SPOOL_BYTES = 1 << 20
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


class RuleException(Section, frozen=True, forbid_unknown_fields=True):
    """Where a rule is right in general and wrong here."""

    rule: str = ""
    where: dict[str, str] = {}
    until: str = ""  # a day, or a time; "": for good
    reason: str = ""

    def faults(self) -> Iterator[tuple[str, str]]:
        if not self.rule:
            yield "rule", "is missing: the rule_id of the rule that is not to ring here"
        if not self.where:
            yield "where", "is missing: a rule that is never to ring is switched off in rules.disabled"
        try:
            self.until_ns()
        except ValueError:
            yield "until", f"{self.until!r} is not a day or a time such as 2027-01-31 or 2027-01-31T18:00:00Z"

    def until_ns(self) -> int:
        """Return when it ends. Raises ValueError."""
        return parse_time(self.until) if self.until else FOREVER_NS


class Rules(Section, frozen=True, forbid_unknown_fields=True):
    enabled: bool = True
    own: bool = True  # those that come with Tocsin
    paths: list[str] = []
    disabled: list[str] = []
    exceptions: list[RuleException] = []
    placeholders: dict[str, list[str]] = {}
    pipelines: list[str] = []

    def faults(self) -> Iterator[tuple[str, str]]:
        for key in ("paths", "pipelines"):
            for path in getattr(self, key):
                if not path.startswith("/"):
                    yield key, f"{path!r} is not an absolute path"
        for number, exception in enumerate(self.exceptions, 1):
            for key, reason in exception.faults():
                yield "exceptions", f"{key} of number {number} {reason}"

    def file_faults(self) -> Iterator[tuple[str, str]]:
        for key in ("paths", "pipelines"):
            for path in getattr(self, key):
                if self.enabled and not Path(path).exists():
                    yield key, f"{path} is not there"

    def settings(self) -> dict[str, Any]:
        """Return what the actor is to know."""
        exceptions = [
            {"rule": each.rule, "where": each.where, "until_ns": each.until_ns(), "reason": each.reason}
            for each in self.exceptions
        ]
        sources = {"paths": self.paths, "own": self.own, "placeholders": self.placeholders, "pipelines": self.pipelines}
        return {"sources": sources, "disabled": self.disabled, "exceptions": exceptions}


class Detector(Section, frozen=True, forbid_unknown_fields=True):
    enabled: bool = True


def all_detectors() -> dict[str, Detector]:
    return {name: Detector() for name in DETECTORS}


class Configuration(Section, frozen=True, forbid_unknown_fields=True):
    state_dir: str = ""  # "": $STATE_DIRECTORY, /var/lib/tocsin if that can be written, else below the home directory
    runtime_dir: str = ""  # "": $RUNTIME_DIRECTORY, else a private directory made anew at each start
    http: Http = Http()
    receivers: Receivers = Receivers()
    storage: Storage = Storage()
    alerts: Alerts = Alerts()
    rules: Rules = Rules()
    daemon: Daemon = Daemon()
    detectors: dict[str, Detector] = msgspec.field(default_factory=all_detectors)

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
