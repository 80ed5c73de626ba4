"""TLS under syslog (RFC 5425): the handshake, renewed certificates, and the name of the client.

RFC 5425 is TLS 1.2 or newer, then the octet counting of `framing`. A certificate is renewed by writing its files: they are
looked at whenever a connection arrives, and what has changed is used from that connection on; those that are open keep
theirs. A renewal that cannot be used leaves the old certificate in use, and is said and counted once. With no
certificate at all (the receiver was restarted while its files were broken) every handshake fails, and nothing else does.

No session tickets: syslog goes one way, and TLS 1.3 has them sent after the handshake. A client that writes, closes and
never reads leaves them unread, its kernel then resets the connection, and ours throws away the lines that we had not
read yet. Senders stay connected for days; resumption would save nothing.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec
import trio

from actors.context import Report
from protocol.metrics import CertificateMetrics, HandshakeMetrics

HANDSHAKE_S = 10.0
CLOSE_S = 1.0  # for the last word, if the client does not read
SAY_EVERY_S = 60.0  # a failed handshake is said in the log; further ones are counted until then
_MAX_NAME = 256

TlsStream: TypeAlias = "trio.SSLStream[trio.SocketStream]"
Fault = tuple[str, str]  # key of the configuration, reason

log = logging.getLogger(__name__)


class HandshakeError(Exception):
    """The client did not come through the handshake; the message says why."""


class CertificateError(Exception):
    """The files cannot be used; `faults` says which and why."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{key} {reason}" for key, reason in faults))
        self.faults = faults


class CertificateFiles(msgspec.Struct, frozen=True):
    """PEM files, as the configuration names them."""

    tls_certificate: str  # the server's, then those between it and its authority
    tls_key: str
    tls_client_ca: str = ""  # set: clients show a certificate that one of these has signed

    def stamp(self) -> tuple[tuple[int, ...], ...]:
        """Return a stamp that changes whenever one of the files is written or replaced."""
        return tuple(_stamp(path) for path in (self.tls_certificate, self.tls_key, self.tls_client_ca) if path)

    def load(self) -> ssl.SSLContext:
        """Return the TLS context for new connections. Raises CertificateError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
        context.num_tickets = 0  # see the module
        faults = [*self._unreadable()] or [*self._take_certificate(context), *self._take_client_ca(context)]
        if faults:
            raise CertificateError(faults)
        return context

    def _unreadable(self) -> Iterator[Fault]:
        for key in self.__struct_fields__:
            path = getattr(self, key)
            if not path and key != "tls_client_ca":
                yield key, "is not set, and tls needs it"
            elif path:
                try:
                    with open(path, "rb"):
                        pass
                except OSError as error:
                    yield key, f"cannot read {path}: {error.strerror}"

    def _take_certificate(self, context: ssl.SSLContext) -> Iterator[Fault]:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(self.tls_certificate)
        except ssl.SSLError:
            yield "tls_certificate", f"{self.tls_certificate} holds no certificate (PEM)"
            return
        try:
            context.load_cert_chain(self.tls_certificate, self.tls_key, _refuse_to_ask)
        except CertificateError as error:
            yield from error.faults
        except (ssl.SSLError, OSError, ValueError) as error:
            if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
                yield "tls_key", f"{self.tls_key} does not belong to the certificate {self.tls_certificate}"
            else:
                yield "tls_key", f"{self.tls_key} cannot be used as the key of {self.tls_certificate}: {_why(error)}"

    def _take_client_ca(self, context: ssl.SSLContext) -> Iterator[Fault]:
        if not self.tls_client_ca:
            return
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(self.tls_client_ca)
        except ssl.SSLError:
            yield "tls_client_ca", f"{self.tls_client_ca} holds no certificate (PEM)"


def _refuse_to_ask() -> str:
    raise CertificateError([("tls_key", "is encrypted: a daemon has nobody to ask for the password")])


def _stamp(path: str) -> tuple[int, ...]:
    try:
        status = os.stat(path)
    except OSError as error:
        return (error.errno or 0,)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _why(error: BaseException) -> str:
    """Return the reason that OpenSSL gives, without the place in its source."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (getattr(error, "reason", None) or str(error) or type(error).__name__).replace("_", " ").lower()


class Certificates:
    """The certificates for new connections; see the module."""

    def __init__(self, files: CertificateFiles, report: Report) -> None:
        self._files = files
        self._report = report
        self._metrics = report.measure(CertificateMetrics)
        self._stamp: object = None
        self._context: ssl.SSLContext | None = None

    def current(self) -> ssl.SSLContext | None:
        """Return the newest that could be loaded; None if none ever could."""
        stamp = self._files.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            self._renew()
        return self._context

    def _renew(self) -> None:
        try:
            self._context = self._files.load()
        except CertificateError as error:
            self._report.set("certificate", f"cannot use the certificate: {error}")
            self._metrics.failed_certificate_renewals += 1
            old = "the one before stays in use" if self._context else "there is none yet: TLS clients are refused"
            log.error("cannot use the certificate: %s; %s", error, old)
        else:
            self._report.clear("certificate")


async def shake_hands(stream: trio.SocketStream, certificates: Certificates) -> TlsStream:
    """Return the stream inside the TLS connection. Raises HandshakeError; then the connection is closed."""
    context = certificates.current()
    inside: TlsStream | None = None
    reason = "there is no certificate"
    if context is not None:
        # Compatible: a sender that closes without a close_notify, as many do, has ended its stream all the same.
        inside = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        try:
            with trio.fail_after(HANDSHAKE_S):
                await inside.do_handshake()
            return inside
        except trio.TooSlowError:
            reason = f"not finished within {HANDSHAKE_S:g} s"
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            reason = _why(error.__cause__ or error)
        except BaseException:  # cancelled
            await trio.aclose_forcefully(stream)
            raise
    await trio.aclose_forcefully(stream)
    raise HandshakeError(reason)


def name_of(stream: TlsStream) -> str:
    """Return the name in the client's certificate, as `CN=web1`; "" without one. Call after the handshake."""
    certificate: dict[str, Any] = stream.getpeercert() or {}
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    names = [f"CN={value}" for kind, value in subject if kind == "commonName"]
    names += [f"{kind}={value}" for kind, value in certificate.get("subjectAltName", ())]
    names += [f"{kind}={value}" for kind, value in subject]
    return names[0][:_MAX_NAME] if names else ""


async def close(stream: trio.abc.Stream) -> None:
    """Close a connection, politely if the client lets us."""
    with trio.move_on_after(CLOSE_S):
        await stream.aclose()


class Refusals:
    """Counts the handshakes that failed, and says why now and then."""

    def __init__(self, report: Report) -> None:
        self._metrics = report.measure(HandshakeMetrics)
        self._since = 0
        self._say_at_s = 0.0

    def add(self, peer: str, error: HandshakeError) -> None:
        self._metrics.failed_handshakes += 1
        self._since += 1
        if (now_s := trio.current_time()) >= self._say_at_s:
            more = f" ({self._since - 1} more since the last such line)" if self._since > 1 else ""
            log.warning("the TLS handshake with %s failed: %s%s", peer, error, more)
            self._since, self._say_at_s = 0, now_s + SAY_EVERY_S
