"""Syslog over TLS with real sockets and certificates, through the receiver's own code."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from actors.receivers import syslog, tls
from actors.receivers.tls import CertificateError, CertificateFiles, Certificates, HandshakeError, shake_hands
from tests.certificates import Authority, openssl
from tests.fake_context import FakeContext, FakeRecorder

Connect = Callable[..., Awaitable[trio.SSLStream]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


class Receiver:
    """A syslog receiver with TLS and nothing else, and what it has taken."""

    def __init__(self, folder: Path, server: tuple[Path, Path], client_ca: Path | None = None) -> None:
        self.certificate, self.key = folder / "server.pem", folder / "server.key"
        self.install(*server)
        self.context = FakeContext(
            folder,
            tls_certificate=str(self.certificate),
            tls_key=str(self.key),
            tls_client_ca=str(client_ca or ""),
        )
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setblocking(False)
        self.context.sockets = {"tls": self._listening}
        self.port = self._listening.getsockname()[1]
        self.recorder = FakeRecorder(self.context)

    def install(self, certificate: Path, key: Path) -> None:
        shutil.copyfile(certificate, self.certificate)
        shutil.copyfile(key, self.key)

    @property
    def counters(self) -> dict[str, int]:
        return self.context.report.counters

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.recorder.run)
            with trio.fail_after(20):
                async with trio.open_nursery() as receiving:
                    receiving.start_soon(syslog.run, self.context)
                    yield
                    self.context.drain()
            nursery.cancel_scope.cancel()
        self._listening.close()

    async def connect(self, context: ssl.SSLContext) -> trio.SSLStream:
        stream = trio.SSLStream(await trio.open_tcp_stream("127.0.0.1", self.port), context, server_hostname="127.0.0.1")
        try:
            await stream.do_handshake()
        except trio.BrokenResourceError:
            await trio.aclose_forcefully(stream)
            raise
        return stream

    async def wait_bodies(self, *bodies: bytes) -> None:
        with trio.fail_after(5):
            while sorted(self.recorder.bodies) != sorted(bodies):
                await trio.sleep(0.01)

    async def wait_count(self, counter: str, count: int) -> None:
        with trio.fail_after(5):
            while self.counters[counter] < count:
                await trio.sleep(0.01)
        assert self.counters[counter] == count


def test_messages_are_taken_counted_or_in_lines(tmp_path: Path, authority: Authority) -> None:
    async def test() -> None:
        receiver = Receiver(tmp_path, authority.issue("server"))
        async with receiver.running():
            stream = await receiver.connect(authority.client())
            await stream.send_all(b"7 <13>one9 <13>two\nx<13>three\n<13>fo")
            await receiver.wait_bodies(b"<13>one", b"<13>two\nx", b"<13>three")
            await stream.send_all(b"ur\n")
            await stream.aclose()
            await receiver.wait_bodies(b"<13>one", b"<13>two\nx", b"<13>three", b"<13>four")
            assert {record.origin for record in receiver.recorder.committed} == {"127.0.0.1"}
            assert receiver.counters["failed_handshakes"] == receiver.counters["connections_broken"] == 0

    trio.run(test)


def test_who_writes_closes_and_never_reads_loses_nothing(tmp_path: Path, authority: Authority) -> None:
    """Session tickets that the client has not read would make its kernel reset the connection."""

    async def test() -> None:
        receiver = Receiver(tmp_path, authority.issue("server"))
        async with receiver.running():
            for number in range(20):
                stream = await receiver.connect(authority.client())
                await stream.send_all(b"".join(b"<13>%d-%d\n" % (number, line) for line in range(20)))
                await trio.aclose_forcefully(stream)
            await receiver.wait_bodies(*(b"<13>%d-%d" % (number, line) for number in range(20) for line in range(20)))

    trio.run(test)


def test_only_certificates_of_the_client_ca_come_in_and_their_name_is_kept(tmp_path: Path, authority: Authority) -> None:
    async def test() -> None:
        stranger = Authority(tmp_path / "stranger")
        receiver = Receiver(tmp_path, authority.issue("server"), authority.certificate)
        async with receiver.running():
            for number, shown in enumerate((None, stranger.issue("web1")), 1):
                stream = await receiver.connect(authority.client(shown))
                with pytest.raises(trio.BrokenResourceError):  # with TLS 1.3 the client is told only now
                    await stream.send_all(b"<13>stranger\n")
                    await stream.receive_some(1)
                await trio.aclose_forcefully(stream)
                await receiver.wait_count("failed_handshakes", number)
            stream = await receiver.connect(authority.client(authority.issue("web1")))
            await stream.send_all(b"<13>friend\n")
            await receiver.wait_bodies(b"<13>friend")
            assert receiver.recorder.committed[0].origin == "127.0.0.1 CN=web1"
            await stream.aclose()

    trio.run(test)


@pytest.mark.parametrize("garbage", [b"<13>plain syslog\n", b"\x16\x03\x01\xff\xff" + bytes(600), b"GET / HTTP/1.1\r\n\r\n", b""])
def test_garbage_instead_of_a_handshake_is_counted(tmp_path: Path, authority: Authority, garbage: bytes) -> None:
    async def test() -> None:
        receiver = Receiver(tmp_path, authority.issue("server"))
        async with receiver.running():
            async with await trio.open_tcp_stream("127.0.0.1", receiver.port) as rude:
                await rude.send_all(garbage)
                await rude.send_eof()
                await receiver.wait_count("failed_handshakes", 1)
            stream = await receiver.connect(authority.client())
            await stream.send_all(b"<13>good\n")
            await receiver.wait_bodies(b"<13>good")
            await stream.aclose()

    trio.run(test)


def test_a_handshake_that_does_not_end_costs_its_slot_for_a_while_only(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_S", 0.3)
    monkeypatch.setattr(syslog, "MAX_HANDSHAKES", 2)

    async def test() -> None:
        receiver = Receiver(tmp_path, authority.issue("server"))
        async with receiver.running():
            slow = [await trio.open_tcp_stream("127.0.0.1", receiver.port) for _ in range(5)]
            await slow[0].send_all(b"\x16\x03\x01\x02\x00")
            stream = await receiver.connect(authority.client())
            await stream.send_all(b"<13>good\n")
            await receiver.wait_bodies(b"<13>good")
            await receiver.wait_count("failed_handshakes", 5)
            await trio.sleep(0.5)  # longer than the deadline: a connection that stands has none
            await stream.send_all(b"<13>still there\n")
            await receiver.wait_bodies(b"<13>good", b"<13>still there")
            for each in (*slow, stream):
                await trio.aclose_forcefully(each)

    trio.run(test)


def test_a_renewal_leaves_open_connections_and_serves_new_ones(tmp_path: Path, authority: Authority) -> None:
    async def test() -> None:
        renewed = Authority(tmp_path / "renewed")
        receiver = Receiver(tmp_path, authority.issue("server"))
        async with receiver.running():
            old = await receiver.connect(authority.client())
            await old.send_all(b"<13>before\n")
            receiver.install(*renewed.issue("server"))
            new = await receiver.connect(renewed.client())
            await new.send_all(b"<13>new\n")
            await old.send_all(b"<13>after\n")
            await receiver.wait_bodies(b"<13>before", b"<13>new", b"<13>after")
            with pytest.raises(trio.BrokenResourceError):
                await receiver.connect(authority.client())
            assert receiver.counters["failed_certificate_renewals"] == 0
            for each in (old, new):
                await each.aclose()

    trio.run(test)


def test_a_broken_renewal_leaves_the_old_certificate_in_use_and_is_said(tmp_path: Path, authority: Authority) -> None:
    async def test() -> None:
        receiver = Receiver(tmp_path, authority.issue("server"))
        report = receiver.context.report
        async with receiver.running():
            await (await receiver.connect(authority.client())).aclose()
            receiver.certificate.write_text("no certificate")
            for _ in range(3):
                stream = await receiver.connect(authority.client())
                await stream.send_all(b"<13>line\n")
                await stream.aclose()
            await receiver.wait_bodies(*[b"<13>line"] * 3)
            assert receiver.counters["failed_certificate_renewals"] == 1
            assert report.state == "degraded" and "holds no certificate" in report.note
            receiver.install(*authority.issue("server2"))
            await (await receiver.connect(authority.client())).aclose()
            assert (report.state, receiver.counters["failed_certificate_renewals"]) == ("ok", 1)

    trio.run(test)


def test_with_no_certificate_at_all_only_handshakes_fail(tmp_path: Path, authority: Authority) -> None:
    async def test() -> None:
        receiver = Receiver(tmp_path, authority.issue("server"))
        receiver.key.unlink()
        async with receiver.running():
            with pytest.raises(trio.BrokenResourceError):
                await receiver.connect(authority.client())
            await receiver.wait_count("failed_handshakes", 1)
            assert receiver.context.report.state == "degraded"
            receiver.install(*authority.issue("server"))
            await (await receiver.connect(authority.client())).aclose()
            assert receiver.context.report.state == "ok"

    trio.run(test)


def test_a_client_beyond_the_slots_is_refused(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syslog, "MAX_CONNECTIONS", 2)

    async def test() -> None:
        receiver = Receiver(tmp_path, authority.issue("server"))
        async with receiver.running():
            streams = [await receiver.connect(authority.client()) for _ in range(3)]
            await receiver.wait_count("refused_connections", 1)
            assert receiver.context.report.gauges["connections"] == 2
            for each in streams:
                await trio.aclose_forcefully(each)

    trio.run(test)


def test_versions_before_1_2_are_refused(tmp_path: Path, authority: Authority) -> None:
    files = CertificateFiles(*map(str, authority.issue("server")))
    assert files.load().minimum_version is ssl.TLSVersion.TLSv1_2


def test_every_fault_of_the_files_is_named(tmp_path: Path, authority: Authority) -> None:
    certificate, key = map(str, authority.issue("server"))
    other = str(authority.issue("other")[1])
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("garbage")
    secret = tmp_path / "secret.key"
    openssl("ec", "-in", key, "-aes256", "-passout", "pass:secret", "-out", secret)
    missing = str(tmp_path / "missing")
    for files, faults in (
        ((certificate, missing, missing), [("tls_key", "cannot read"), ("tls_client_ca", "cannot read")]),
        (("", "", ""), [("tls_certificate", "is not set"), ("tls_key", "is not set")]),
        ((str(garbage), key, ""), [("tls_certificate", f"{garbage} holds no certificate")]),
        ((certificate, str(garbage), ""), [("tls_key", f"{garbage} cannot be used")]),
        ((certificate, key, str(garbage)), [("tls_client_ca", f"{garbage} holds no certificate")]),
        ((certificate, other, ""), [("tls_key", f"{other} does not belong to")]),
        ((certificate, str(secret), ""), [("tls_key", "is encrypted")]),
    ):
        with pytest.raises(CertificateError) as caught:
            CertificateFiles(*files).load()
        found = caught.value.faults
        assert [key for key, _ in found] == [key for key, _ in faults], found
        assert all(reason.startswith(start) for (_, reason), (_, start) in zip(found, faults, strict=True)), found


def test_a_client_that_is_gone_before_its_handshake_is_an_error_of_its_own(tmp_path: Path, authority: Authority) -> None:
    async def test() -> None:
        context = FakeContext(tmp_path)
        certificates = Certificates(CertificateFiles(*map(str, authority.issue("server"))), context.report)
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        client = await trio.open_tcp_stream(*listener.socket.getsockname())
        server = await listener.accept()
        await client.aclose()
        with pytest.raises(HandshakeError):
            await shake_hands(server, certificates)
        await listener.aclose()

    trio.run(test)
