"""The front door against hostile and clumsy clients, over real sockets."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.daemon_process import DaemonProcess, free_ports
from tests.stream_client import StreamClient


def ask(daemon: DaemonProcess, path: str, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    request = urllib.request.Request(f"http://127.0.0.1:{daemon.http}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            raw, status, got = answer.read(), answer.status, dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            raw, status, got = error.read(), error.code, dict(error.headers)
    return status, json.loads(raw) if "json" in got["content-type"] else {"text": raw.decode()}, got


def test_a_stray_host_is_refused(daemon: DaemonProcess) -> None:
    status, problem, headers = ask(daemon, "/api/v1/events", Host="evil.example")
    assert status == 421 and headers["content-type"] == "application/problem+json"
    assert "http.allowed_origins" in problem["detail"]
    assert ask(daemon, "/", Host=f"localhost:{daemon.http}")[0] == 200


def test_a_stray_origin_is_refused_even_if_it_equals_the_host(daemon: DaemonProcess) -> None:
    assert ask(daemon, "/api/v1/events", Origin="http://evil.example")[0] == 403
    with StreamClient(daemon.http, Origin="http://evil.example") as client:
        assert client.status == 403
    with StreamClient(daemon.http, Origin=f"http://127.0.0.1:{daemon.http}") as client:
        assert client.status == 101


def test_everything_carries_a_strict_content_security_policy(daemon: DaemonProcess) -> None:
    for path in ("/", "/tocsin.js", "/api/v1/health", "/nothing-here"):
        headers = ask(daemon, path)[2]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/api/v1/events?limit=100000", 400, "from 1 to 1000"),
        ("/api/v1/events?since=yesterday", 400, "RFC 3339"),
        ("/api/v1/events?since=01ARZ3NDEKTSV4RRFFQ69G5FAV", 404, "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("/api/v1/events?colour=red", 400, "colour"),
        ("/api/v1/events?severity=99", 400, "1 to 24"),
        ("/api/v1/events?entity=x%00", 400, "UUID"),
        ("/api/v1/alerts/alr_01ARZ3NDEKTSV4RRFFQ69G5FAV", 404, "alr_"),
        ("/api/v1/entities/6ba7b810-9dad-11d1-80b4-00c04fd430c8", 404, "6ba7b810"),
        ("/api/v1/entities/not-a-uuid", 400, "UUID"),
        ("/api/v1/no-such-thing", 404, "openapi.json"),
    ],
)
def test_errors_are_problems_with_a_reason(daemon: DaemonProcess, path: str, status: int, says: str) -> None:
    got, problem, headers = ask(daemon, path)
    assert (got, problem["status"]) == (status, status)
    assert says in problem["detail"]
    assert headers["content-type"] == "application/problem+json"


def test_every_described_route_answers(daemon: DaemonProcess) -> None:
    description = ask(daemon, "/api/v1/openapi.json")[1]
    for path in description["paths"]:
        if "{" not in path and "get" in description["paths"][path]:
            assert ask(daemon, path)[0] == 200, path


def test_filters_and_cursors(daemon: DaemonProcess) -> None:
    lines = [
        b"<35>1 2026-05-13T15:%02d:00Z bastion sshd - - - Failed password for user%d from 192.0.2.%d port 22" % (i, i % 3, i)
        for i in range(30)
    ]
    daemon.send_udp(*lines, b"<38>1 2026-05-14T00:00:00Z bastion cron - - - job \"quoted\" finished; drop table events")
    daemon.wait_until(lambda: len(daemon.events(source="syslog")) >= 31)
    everything = daemon.events(since="2026-05-13T00:00:00Z")
    assert [event["id"] for event in daemon.events(limit=7)] == [event["id"] for event in daemon.events()]
    assert len(daemon.events(since="2026-05-13T15:10:00Z", until="2026-05-13T15:20:00Z")) == 10
    assert len(daemon.events(severity=17)) == 30
    assert len(daemon.events(text='"quoted" finished')) == 1
    assert daemon.events(text="drop OR password") == []
    middle = everything[15]
    assert [event["id"] for event in daemon.events(since=middle["id"])] == [event["id"] for event in everything[16:]]
    assert len(daemon.events(template=everything[-1]["template_id"])) == 1
    user = next(entity for entity in middle["entities"] if entity["type"] == "user")
    assert len(daemon.events(entity=user["uuid"])) == 10
    known = daemon.get(f"/api/v1/entities/{user['uuid']}")
    assert (known["type"], known["value"], known["event_count"]) == ("user", user["value"], 10)
    newest = daemon.get("/api/v1/events?order=desc&limit=1")["events"]
    assert newest == everything[-1:]
    templates = daemon.get("/api/v1/templates")["templates"]
    assert {"id", "template", "event_count", "first_seen", "last_seen"} == set(templates[0])


def test_an_upgrade_with_bytes_behind_it_harms_nobody_else(daemon: DaemonProcess) -> None:
    with StreamClient(daemon.http) as bystander:
        for tail in (b"\x81\x85abcdhello", b"\0" * 100, b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 70_000):
            with socket.create_connection(("127.0.0.1", daemon.http)) as rude:
                rude.sendall(
                    f"GET /api/v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{daemon.http}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
                    + tail
                )
                rude.settimeout(1)
                with suppress(OSError):
                    rude.recv(1024)
        assert any(b'"status"' in payload for payload in bystander.read(2.5))
    assert ask(daemon, "/api/v1/health")[1]["actors"]["frontend"]["restarts"] == 0


def test_garbage_does_not_stop_the_server(daemon: DaemonProcess) -> None:
    http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense"
    garbage = (b"\0" * 1000, b"GET\r\n\r\n", http2, b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n")
    for rude_bytes in garbage:
        for port in (daemon.http, daemon.otlp_http, daemon.grpc):
            with socket.create_connection(("127.0.0.1", port)) as rude:
                rude.sendall(rude_bytes)
    actors = ask(daemon, "/api/v1/health")[1]["actors"]
    assert {name: account["restarts"] for name, account in actors.items()} == dict.fromkeys(actors, 0)


def test_a_client_that_never_reads_neither_slows_the_others_nor_the_stop(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    deaf = socket.create_connection(("127.0.0.1", own_daemon.http))
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.sendall(
        f"GET /api/v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{own_daemon.http}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    count = 20_000
    with deaf, StreamClient(own_daemon.http) as client:
        own_daemon.send_tcp(b"".join(b"<38>Nov 23 10:00:00 web app: request %d %s\n" % (i, b"x" * 200) for i in range(count)))
        frames = 0
        for payload in client.read(40):
            frames += payload.startswith(b'{"type":"event"')
            if frames == count:
                break
        assert frames == count
        own_daemon.wait_until(lambda: own_daemon.actor("frontend")["counters"].get("closed_too_slow", 0) >= 1, 20)
        assert own_daemon.stop(15) == 0


def test_a_token_opens_the_door_that_is_not_loopback(tmp_path: Path) -> None:
    token = "a-secret-of-some-length"
    with_token = DaemonProcess(tmp_path)
    with_token.config.write_text(with_token.config.read_text().replace("[http]\n", f'[http]\ntoken = "{token}"\n'))
    try:
        with pytest.raises(AssertionError):
            with_token.start_patiently(6)
        assert ask(with_token, "/api/v1/events")[0] == 401
        assert ask(with_token, "/api/v1/events", Authorization=f"Bearer {token}")[0] == 200
        assert ask(with_token, f"/api/v1/events?token={token}")[0] == 200
        with StreamClient(with_token.http) as client:
            assert client.status == 401
        with StreamClient(with_token.http, Authorization=f"Bearer {token}") as client:
            assert client.status == 101
    finally:
        with_token.end()


def test_tokens_are_demanded_before_anything_listens_on_the_network(tmp_path: Path) -> None:
    import subprocess

    open_to_all = DaemonProcess(tmp_path)
    text = open_to_all.config.read_text()
    open_to_all.config.write_text(text.replace(f'"127.0.0.1:{open_to_all.http}"', f'"0.0.0.0:{free_ports(1)[0]}"'))
    refused = subprocess.run(open_to_all.command("run"), capture_output=True, text=True, timeout=20, check=False)
    assert refused.returncode == 78
    assert "http.token" in refused.stderr


def test_only_an_allowed_origin_may_read_the_answers(daemon: DaemonProcess) -> None:
    own = f"http://127.0.0.1:{daemon.http}"
    assert ask(daemon, "/api/v1/events", Origin=own)[2]["access-control-allow-origin"] == own
    assert "access-control-allow-origin" not in ask(daemon, "/api/v1/events")[2]
    assert "access-control-allow-origin" not in ask(daemon, "/api/v1/events", Origin="http://evil.example")[2]
