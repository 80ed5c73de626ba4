"""Syslog over TLS through the real daemon, and connections up to the last slot."""

from __future__ import annotations

import resource
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path

from actors.storage.reader import EventQuery, StoreReader
from tests.certificates import Authority
from tests.daemon_process import ROOT, DaemonProcess, free_ports


def connect(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="127.0.0.1")


def test_lines_over_tls_are_stored_with_the_name_of_their_sender_over_a_renewal_and_a_restart(tmp_path: Path) -> None:
    authority, renewed = Authority(tmp_path / "first"), Authority(tmp_path / "second")
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    for source, target in zip(authority.issue("server"), (certificate, key), strict=True):
        shutil.copyfile(source, target)
    port = free_ports(1)[0]
    daemon = DaemonProcess(
        tmp_path,
        TOCSIN_RECEIVERS__SYSLOG__TLS=f"127.0.0.1:{port}",
        TOCSIN_RECEIVERS__SYSLOG__TLS_CERTIFICATE=str(certificate),
        TOCSIN_RECEIVERS__SYSLOG__TLS_KEY=str(key),
        TOCSIN_RECEIVERS__SYSLOG__TLS_CLIENT_CA=str(authority.certificate),
    )
    with daemon:
        shown = authority.issue("web1")
        with connect(port, authority.client(shown)) as old:
            first = b"<38>1 - web1 app - - - first tls_client=me"
            old.sendall(b"%d %s" % (len(first), first))
            for source, target in zip(renewed.issue("server"), (certificate, key), strict=True):
                shutil.copyfile(source, target)
            with connect(port, renewed.client(shown)) as new:
                new.sendall(b"<38>1 - web1 app - - - second\n")
                old.sendall(b"<38>1 - web1 app - - - third\n")
                daemon.wait_until(lambda: len(daemon.events()) == 3)
        with socket.create_connection(("127.0.0.1", port)) as rude:
            rude.sendall(b"<38>plain\n")
        daemon.send_udp(b"<38>1 - web1 app - - - fourth tls_client=me")
        daemon.wait_until(lambda: len(daemon.events()) == 4)
        daemon.wait_until(lambda: daemon.actor("syslog")["counters"].get("failed_handshakes") == 1)
        stored, _ = StoreReader(daemon.state_dir / "store").events(EventQuery(limit=10))
        assert {one.event.message.split()[0]: one.event.fields.get("tls_client") for one in stored} == {
            "first": "CN=web1",
            "second": "CN=web1",
            "third": "CN=web1",
            "fourth": None,
        }
    assert f"tocsin:   syslog on 127.0.0.1:{port} (TLS)" in daemon.log.read_text()


def test_check_and_run_name_a_broken_certificate_and_status_does_not_care(tmp_path: Path) -> None:
    config = tmp_path / "tocsin.toml"
    config.write_text('[receivers.syslog]\ntls = "127.0.0.1:6514"\ntls_certificate = "/nowhere"\n')
    for command, status in (("check", 78), ("run", 78), ("status", 2)):
        done = subprocess.run(
            [sys.executable, "-m", "daemon.cli", command, "--config", str(config), "--state-dir", str(tmp_path)],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        if status == 78:
            assert done.stderr.splitlines() == [
                f"tocsin: {config}:3: receivers.syslog.tls_certificate: cannot read /nowhere: No such file or directory",
                f"tocsin: {config}: receivers.syslog.tls_key: is not set, and tls needs it",
            ]


def test_as_many_connections_as_there_are_slots_leave_room_for_the_spool(own_daemon: DaemonProcess) -> None:
    """With the usual limit of 1,024 open files at its start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, hard))
    try:
        own_daemon.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4_096, hard), hard))
    connections = []
    try:
        for _ in range(1_030):
            connections.append(socket.create_connection(("127.0.0.1", own_daemon.syslog)))
        for number, tcp in enumerate(connections):
            tcp.sendall(b"<38>1 - web1 app - - - request %d\n" % number)
        own_daemon.wait_until(lambda: own_daemon.actor("syslog")["counters"].get("accepted_records") == 1_024)
        assert own_daemon.actor("syslog")["gauges"]["connections"] == 1_024
        for _ in range(10):
            connections.pop(0).close()
        own_daemon.wait_until(lambda: own_daemon.actor("syslog")["counters"].get("accepted_records") == 1_030)
    finally:
        for tcp in connections:
            tcp.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
