"""The configuration as data: every table with its keys, their defaults, and the checks that types cannot express.

`daemon/configuration_loader.py` makes it of a file and the environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from actors.detectors.registry import DETECTORS
from actors.following.registry import FOLLOWERS
from actors.syncing import Fsync
from daemon.format_files import format_faults, format_texts
from daemon.receivers import RECEIVERS, ReceiverSection
from daemon.sections import Section, address_faults, is_loopback, parse_size, size_faults
from protocol.clock import parse_time

R = TypeVar("R", bound=ReceiverSection)

FOREVER_NS = (1 << 63) - 1
MIN_SPOOL_BYTES = 1 << 20
_ORIGIN = re.compile(r"https?://[^/\s:@]{1,253}(:\d{1,5})?/?", re.IGNORECASE)


class Http(Section, frozen=True, forbid_unknown_fields=True):
    listen: str = "127.0.0.1:8080"
    token: str = ""
    allowed_origins: list[str] = []

    def faults(self) -> Iterator[tuple[str, str]]:
        faults = list(address_faults("listen", self.listen))
        yield from faults
        if not faults and not is_loopback(self.listen) and not self.token:
            yield "token", f"{self.listen} is reachable from other machines: set a token of at least 16 characters"
        for origin in self.allowed_origins:
            if not _ORIGIN.fullmatch(origin):
                yield "allowed_origins", f"{origin!r} is not an origin such as https://wall.example:3000"
        if self.token and len(self.token) < 16:
            yield "token", "is shorter than 16 characters"


class Storage(Section, frozen=True, forbid_unknown_fields=True):
    retention_days: int = 30
    max_bytes: str = "10GiB"

    def faults(self) -> Iterator[tuple[str, str]]:
        yield from size_faults("max_bytes", self.max_bytes)
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
        faults = list(size_faults("spool_max_bytes", self.spool_max_bytes))
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
        """Return the settings of the actor."""
        exceptions = [
            {"rule": each.rule, "where": each.where, "until_ns": each.until_ns(), "reason": each.reason}
            for each in self.exceptions
        ]
        sources = {"paths": self.paths, "own": self.own, "placeholders": self.placeholders, "pipelines": self.pipelines}
        return {"sources": sources, "disabled": self.disabled, "exceptions": exceptions}


class Parsing(Section, frozen=True, forbid_unknown_fields=True):
    formats: list[str] = []  # files and folders of formats of one's own

    def faults(self) -> Iterator[tuple[str, str]]:
        for path in self.formats:
            if not path.startswith("/"):
                yield "formats", f"{path!r} is not an absolute path"

    def file_faults(self) -> Iterator[tuple[str, str]]:
        for fault in format_faults(self.formats):
            yield "formats", fault

    def texts(self) -> dict[str, str]:
        """Return the files of formats, {path: text}."""
        return format_texts(self.formats)


class Detector(Section, frozen=True, forbid_unknown_fields=True):
    enabled: bool = True


def all_detectors() -> dict[str, Detector]:
    return {name: Detector() for name in (*DETECTORS, *FOLLOWERS)}


def all_receivers() -> dict[str, ReceiverSection]:
    return {name: spec.section() for name, spec in RECEIVERS.items()}


def registries() -> dict[str, dict[str, type[Section]]]:
    """Return the tables whose keys are names of actors: {table: {name: kind of its settings}}."""
    return {
        "detectors": dict.fromkeys((*DETECTORS, *FOLLOWERS), Detector),
        "receivers": {name: spec.section for name, spec in RECEIVERS.items()},
    }


class Configuration(Section, frozen=True, forbid_unknown_fields=True):
    state_dir: str = ""  # "": $STATE_DIRECTORY, /var/lib/tocsin if that can be written, else below the home directory
    runtime_dir: str = ""  # "": $RUNTIME_DIRECTORY, else a private directory made anew at each start
    http: Http = Http()
    receivers: dict[str, ReceiverSection] = msgspec.field(default_factory=all_receivers)
    parsing: Parsing = Parsing()
    storage: Storage = Storage()
    alerts: Alerts = Alerts()
    rules: Rules = Rules()
    daemon: Daemon = Daemon()
    detectors: dict[str, Detector] = msgspec.field(default_factory=all_detectors)

    def receiver(self, name: str, kind: type[R]) -> R:
        """Return the settings of one receiver. Raises TypeError if they are of another kind."""
        section = self.receivers[name]
        if not isinstance(section, kind):
            raise TypeError(f"receiver {name} has settings of {type(section).__name__}, not of {kind.__name__}")
        return section

    def enabled_receivers(self) -> dict[str, ReceiverSection]:
        return {name: section for name, section in self.receivers.items() if section.enabled}

    def zones(self) -> dict[str, str]:
        """Return the zone of zone-less times, by source."""
        return {section.source: zone for section in self.receivers.values() if (zone := getattr(section, "zone", ""))}
