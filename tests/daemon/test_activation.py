"""Sockets that systemd passes: really passed, to a process of its own."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.activation import InheritedSocket, show_address, take_sockets
from daemon.configuration import Configuration, Http, all_receivers
from daemon.configuration_loader import ConfigurationError
from daemon.listeners import UDP_BUFFER_BYTES, bind_all
from daemon.receivers import OtlpGrpc, OtlpHttp, Syslog
from tests.daemon_process import ROOT, DaemonProcess

SOCKETS_OF_OTHERS_OFF = Configuration(
    http=Http(listen="127.0.0.1:0"),
    receivers=all_receivers()
    | {
        "syslog": Syslog(udp="127.0.0.1:0", tcp="127.0.0.1:0"),
        "otlp_grpc": OtlpGrpc(enabled=False),
        "otlp_http": OtlpHttp(enabled=False),
    },
)


def udp_socket(host: str = "127.0.0.1") -> socket.socket:
    udp = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((host, 0))
    return udp


def tcp_socket(host: str = "127.0.0.1", *, listen: bool = True) -> socket.socket:
    tcp = socket.socket()
    tcp.bind((host, 0))
    if listen:
        tcp.listen()
    return tcp


def environment(count: int, names: str, pid: int | None = None) -> dict[str, str]:
    pid = os.getpid() if pid is None else pid
    return {"LISTEN_PID": str(pid), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": names, "LANG": "C"}


@pytest.fixture
def passed() -> Iterator[list[int]]:
    """Descriptors in a row, behind all that are pytest's: two sockets and what is none."""
    first = 3 + max(map(int, os.listdir("/proc/self/fd"))) + 1
    fds = [first, first + 1, first + 2]
    with udp_socket() as udp, tcp_socket() as tcp, open(os.devnull) as null:
        for fd, own in zip(fds, (udp.fileno(), tcp.fileno(), null.fileno()), strict=True):
            os.dup2(own, fd)
    yield fds
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            continue


def test_what_is_passed_is_taken_by_name_and_hidden_from_children(passed: list[int]) -> None:
    variables = environment(2, "syslog:logs")
    taken = take_sockets(variables, passed[0])
    assert [each.name for each in taken] == ["syslog", "logs"]
    assert [each.socket.type for each in taken] == [socket.SOCK_DGRAM, socket.SOCK_STREAM]
    assert variables == {"LANG": "C"}
    for each in taken:
        assert fcntl.fcntl(each.socket, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        assert not each.socket.getblocking()
        each.socket.detach()


def test_what_is_meant_for_another_process_is_left_alone(passed: list[int]) -> None:
    variables = environment(2, "a:b", pid=1)
    assert take_sockets(variables, passed[0]) == []
    assert variables == {"LANG": "C"}
    for fd in passed:
        os.fstat(fd)  # still open


def test_what_is_no_socket_is_closed_and_said(passed: list[int], caplog: pytest.LogCaptureFixture) -> None:
    taken = take_sockets(environment(3, "a"), passed[0])
    assert [each.name for each in taken] == ["a", "unknown"]
    assert f"descriptor {passed[2]}, 'unknown', was passed and is not used" in caplog.text
    with pytest.raises(OSError):
        os.fstat(passed[2])
    for each in taken:
        each.socket.detach()


def close(bound: dict[str, socket.socket]) -> None:
    for each in bound.values():
        each.close()


def test_sockets_match_by_name_and_kind_and_others_are_closed(caplog: pytest.LogCaptureFixture) -> None:
    udp, tcp, other, idle = udp_socket(), tcp_socket(), tcp_socket(), tcp_socket(listen=False)
    given = [
        InheritedSocket("syslog", idle),  # bound, but nobody can connect
        InheritedSocket("syslog", tcp),
        InheritedSocket("syslog.udp", udp),
        InheritedSocket("otlp_grpc", other),  # that receiver is disabled
    ]
    bound = bind_all(SOCKETS_OF_OTHERS_OFF, given)
    assert bound["syslog.udp"] is udp and bound["syslog.tcp"] is tcp
    assert other.fileno() == idle.fileno() == -1
    assert caplog.text.count("is closed: nothing that is enabled wants it") == 2
    close(bound)


def test_a_large_buffer_stays_and_a_small_one_is_raised() -> None:
    rmem_max = int(Path("/proc/sys/net/core/rmem_max").read_text())
    large, small = udp_socket(), udp_socket()
    try:
        large.setsockopt(socket.SOL_SOCKET, 33, 4 * rmem_max)  # SO_RCVBUFFORCE, as systemd does for ReceiveBuffer=
    except PermissionError:
        pytest.skip("only root may give more than rmem_max")
    had = large.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for udp, expected in ((large, had), (small, 2 * min(rmem_max, UDP_BUFFER_BYTES))):
        bound = bind_all(SOCKETS_OF_OTHERS_OFF, [InheritedSocket("syslog", udp)])
        assert udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == expected
        close(bound)


def test_a_front_end_that_others_can_reach_needs_a_token_on_a_passed_socket_too() -> None:
    with pytest.raises(ConfigurationError, match="reachable from other machines"):
        bind_all(SOCKETS_OF_OTHERS_OFF, [InheritedSocket("http", tcp_socket("0.0.0.0"))])


def test_the_daemon_listens_on_what_it_is_given_and_loses_nothing_over_a_restart(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The sockets are ours, as they would be systemd's: what is sent while no daemon runs waits in them."""
    daemon = DaemonProcess(tmp_path)
    udp, tcp, sender = udp_socket("::"), tcp_socket(), udp_socket()
    port = udp.getsockname()[1]
    for each in (udp, tcp, sender):
        request.addfinalizer(each.close)

    def start() -> subprocess.Popen[bytes]:
        def pass_on() -> None:
            os.dup2(udp.fileno(), 3)
            os.dup2(tcp.fileno(), 4)

        script = 'LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=syslog:syslog exec "$@"'
        with open(daemon.log, "ab") as log:
            started = subprocess.Popen(
                ["sh", "-c", script, "sh", *daemon.command("run")],
                cwd=ROOT,
                stderr=log,
                pass_fds=(3, 4),
                preexec_fn=pass_on,
                start_new_session=True,
            )
        request.addfinalizer(started.kill)
        daemon.wait_until(lambda: daemon.health()["state"] == "ok", 30)
        return started

    sent = 0
    for _ in range(2):
        process = start()
        for _ in range(20):
            sender.sendto(b"<13>Nov 23 10:00:00 web app: number %d" % sent, ("127.0.0.1", port))
            sent += 1
        process.terminate()
        for _ in range(50):
            sender.sendto(b"<13>Nov 23 10:00:00 web app: number %d" % sent, ("127.0.0.1", port))
            sent += 1
            time.sleep(0.01)
        assert process.wait(40) == 0
    process = start()
    with socket.create_connection(tcp.getsockname()) as connection:
        connection.sendall(b"<13>Nov 23 10:00:00 web app: over TCP\n")
    daemon.wait_until(lambda: len(daemon.events()) == sent + 1)
    messages = sorted(event["message"] for event in daemon.events())
    assert messages == sorted([*(f"number {number}" for number in range(sent)), "over TCP"])
    environ = Path(f"/proc/{daemon.actor('syslog')['pid']}/environ").read_bytes()
    assert b"LISTEN_" not in environ
    process.terminate()
    assert process.wait(40) == 0
    assert f"tocsin:   syslog on {show_address(udp)} (UDP) and {show_address(tcp)} (TCP)" in daemon.log.read_text()
