"""The receivers that exist: for each its settings, its module and its listeners. A new one is a file and a line here.

The modules are named, not imported: whoever only needs to know which receivers there are is spared what they read with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from socket import SOCK_DGRAM, SOCK_STREAM, SocketKind

import msgspec

from actors.receivers.tls import CertificateError, CertificateFiles
from daemon.sections import Section, address_faults, pattern_faults, zone_faults

INTERNAL = "internal"  # the receiver that makes events of notices
INTERNAL_WINDOW = 100  # records; it has little to say, and takes nothing of what the others share


class Listener(msgspec.Struct, frozen=True):
    """One address that a receiver listens on."""

    socket: str  # name that the supervisor, and a socket unit of systemd, know it by
    handle: str  # name that the receiver knows it by
    key: str  # of the receiver's settings that holds the address
    address: str
    kind: SocketKind = SOCK_STREAM


class ReceiverSection(Section, frozen=True, forbid_unknown_fields=True):
    """The settings that every receiver has."""

    enabled: bool = True
    source: str = ""  # name that its events carry

    def listeners(self) -> Iterator[Listener]:
        """Yield its listeners."""
        yield from ()

    def announce(self, bound: Mapping[str, str]) -> Iterator[str]:
        """Yield in words what is read, for a person at a terminal. `bound`: address by the supervisor's name of a socket."""
        yield from ()


class Syslog(ReceiverSection, frozen=True, forbid_unknown_fields=True):
    udp: str = "127.0.0.1:5514"
    tcp: str = "127.0.0.1:5514"
    tls: str = ""  # "": off
    tls_certificate: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""  # "": clients need no certificate
    source: str = "syslog"
    zone: str = "UTC"

    def listeners(self) -> Iterator[Listener]:
        yield Listener("syslog.udp", "udp", "udp", self.udp, SOCK_DGRAM)
        yield Listener("syslog.tcp", "tcp", "tcp", self.tcp)
        if self.tls:
            yield Listener("syslog.tls", "tls", "tls", self.tls)

    def announce(self, bound: Mapping[str, str]) -> Iterator[str]:
        if "syslog.udp" in bound:
            yield f"syslog on {bound['syslog.udp']} (UDP) and {bound['syslog.tcp']} (TCP)"
        if "syslog.tls" in bound:
            yield f"syslog on {bound['syslog.tls']} (TLS)"

    def faults(self) -> Iterator[tuple[str, str]]:
        yield from address_faults("udp", self.udp)
        yield from address_faults("tcp", self.tcp)
        if self.tls:
            yield from address_faults("tls", self.tls)
        yield from zone_faults(self.zone)

    def file_faults(self) -> Iterator[tuple[str, str]]:
        if self.enabled and self.tls:
            try:
                CertificateFiles(self.tls_certificate, self.tls_key, self.tls_client_ca).load()
            except CertificateError as error:
                yield from error.faults


class OtlpGrpc(ReceiverSection, frozen=True, forbid_unknown_fields=True):
    listen: str = "127.0.0.1:4317"
    source: str = "otlp_grpc"

    def listeners(self) -> Iterator[Listener]:
        yield Listener("otlp_grpc", "otlp", "listen", self.listen)

    def announce(self, bound: Mapping[str, str]) -> Iterator[str]:
        if "otlp_grpc" in bound:
            yield f"OTLP on {bound['otlp_grpc']} (gRPC)"

    def faults(self) -> Iterator[tuple[str, str]]:
        yield from address_faults("listen", self.listen)


class OtlpHttp(ReceiverSection, frozen=True, forbid_unknown_fields=True):
    listen: str = "127.0.0.1:4318"
    source: str = "otlp_http"

    def listeners(self) -> Iterator[Listener]:
        yield Listener("otlp_http", "otlp", "listen", self.listen)

    def announce(self, bound: Mapping[str, str]) -> Iterator[str]:
        if "otlp_http" in bound:
            yield f"OTLP on {bound['otlp_http']} (HTTP)"

    def faults(self) -> Iterator[tuple[str, str]]:
        yield from address_faults("listen", self.listen)


class File(ReceiverSection, frozen=True, forbid_unknown_fields=True):
    paths: list[str] = []
    from_start: bool = False
    join: bool = True
    first_line: str = ""  # RE2; "": as the lines themselves tell
    source: str = "file"
    zone: str = "UTC"

    def announce(self, bound: Mapping[str, str]) -> Iterator[str]:
        if self.paths:
            yield f"files {', '.join(self.paths)}"

    def faults(self) -> Iterator[tuple[str, str]]:
        for path in self.paths:
            if not path.startswith("/"):
                yield "paths", f"{path!r} is not an absolute path or pattern"
        yield from pattern_faults("first_line", self.first_line)
        yield from zone_faults(self.zone)


class Internal(ReceiverSection, frozen=True, forbid_unknown_fields=True):
    source: str = "tocsin"


class Journald(ReceiverSection, frozen=True, forbid_unknown_fields=True):
    enabled: bool = False
    directory: str = ""  # "": the journal of this machine
    from_start: bool = False
    source: str = "journald"

    def announce(self, bound: Mapping[str, str]) -> Iterator[str]:
        yield f"the journal{f' in {self.directory}' if self.directory else ''}"

    def faults(self) -> Iterator[tuple[str, str]]:
        if self.directory and not self.directory.startswith("/"):
            yield "directory", f"{self.directory!r} is not an absolute path"


class ReceiverSpec(msgspec.Struct, frozen=True):
    """The entry of a receiver in the registry."""

    target: str  # module with `async def run(context)`
    section: type[ReceiverSection]
    window: int = 0  # records accepted and not yet committed, at most; 0: its share of `daemon.queue_max`


RECEIVERS = {
    "syslog": ReceiverSpec("actors.receivers.syslog", Syslog),
    "otlp_grpc": ReceiverSpec("actors.receivers.otlp", OtlpGrpc),
    "otlp_http": ReceiverSpec("actors.receivers.otlp", OtlpHttp),
    "file": ReceiverSpec("actors.receivers.file", File),
    "journald": ReceiverSpec("actors.receivers.journald", Journald),
    INTERNAL: ReceiverSpec("actors.receivers.internal", Internal, INTERNAL_WINDOW),
}
