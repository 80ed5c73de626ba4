"""The real SDK exporters, a full window, and clients that misbehave."""

from __future__ import annotations

import gzip
import json
import logging
import os
import signal
import socket
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status as RpcStatus
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression as HttpCompression
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from actors.storage.reader import EventQuery, StoreReader
from tests.actors.receivers.test_otlp_forms import BOMBS
from tests.daemon_process import DaemonProcess
from tests.otlp_exporter import make_provider

TRACE, SPAN = 0x5B8EFFF798038103D269B633813FC60C, 0xEEE19B7EC3C1B174
TIME_NS = 1_778_686_199_998_000_000  # 2026-05-13T15:29:59.998Z
BODIES: list[Any] = ["text", True, 7, -1.5, b"\x00\xff", ["a", 1, [2.5]], {"k": {"l": "m"}}]


def port_of(daemon: DaemonProcess, protocol: str) -> int:
    return daemon.grpc if protocol == "grpc" else daemon.otlp_http


@pytest.mark.parametrize(
    ("protocol", "compression"),
    [("grpc", grpc.Compression.NoCompression), ("grpc", grpc.Compression.Gzip), ("http", HttpCompression.NoCompression),
     ("http", HttpCompression.Gzip)],
)  # fmt: skip
def test_the_sdk_loses_nothing_of_a_record(daemon: DaemonProcess, protocol: str, compression: Any) -> None:
    marker = f"{protocol} {compression}"
    provider = make_provider(protocol, port_of(daemon, protocol), compression=compression)
    context = set_span_in_context(NonRecordingSpan(SpanContext(TRACE, SPAN, True, TraceFlags(1))))
    logger = provider.get_logger("my.library", "1.2", attributes={"scope.key": "v"})
    for number, body in enumerate(BODIES):
        logger.emit(
            LogRecord(
                timestamp=TIME_NS + number * 1_000_000,
                observed_timestamp=TIME_NS,
                context=context,
                severity_number=SeverityNumber.ERROR2,
                severity_text="ERROR2",
                body=body,
                attributes={"marker": marker, "n": number, "list": ["x", "y"], "deep": {"a": {"b": 1}}},
                event_name="my.event",
            )
        )
    assert provider.force_flush(20_000)
    provider.shutdown()
    stored, _ = StoreReader(daemon.state_dir / "store").events(EventQuery(source=f"otlp_{protocol}", limit=1_000))
    mine = [one.event for one in stored if one.event.fields["attributes"]["marker"] == marker]
    assert [event.event_ns for event in mine] == [TIME_NS + number * 1_000_000 for number in range(len(BODIES))]
    for number, event in enumerate(mine):
        fields = event.fields
        assert event.severity == 18 and fields["severity_text"] == "ERROR2" and fields["event_name"] == "my.event"
        assert (fields["trace_id"], fields["span_id"]) == (f"{TRACE:032x}", f"{SPAN:016x}")
        assert fields["resource"]["service.name"] == "bastion" and fields["host"] == "labsz" and fields["app"] == "bastion"
        assert fields["scope"] == {"name": "my.library", "version": "1.2", "attributes": {"scope.key": "v"}}
        wanted = {"marker": marker, "n": number, "list": ["x", "y"], "deep": {"a": {"b": 1}}}
        assert fields["attributes"] == wanted
        if not isinstance(BODIES[number], str | bytes):
            assert fields["body"] == BODIES[number] and type(fields["body"]) is type(BODIES[number])
    assert mine[0].message == "text"
    shown = [event for event in daemon.events(source=f"otlp_{protocol}") if event["id"] == mine[0].id]
    assert shown[0]["event_ts"] == "2026-05-13T15:29:59.998Z" and shown[0]["severity"] == 18


def request_of(first: int, count: int) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for number in range(first, first + count):
        scope.log_records.add().body.string_value = f"record {number}"
    return request


def serialized(first: int, count: int) -> bytes:
    raw: bytes = request_of(first, count).SerializeToString()
    return raw


def post(daemon: DaemonProcess, body: bytes, kind: str = "application/x-protobuf", **headers: str) -> tuple[int, Any, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{daemon.otlp_http}/v1/logs", body, {"Content-Type": kind, **headers})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_a_full_window_defers_and_nothing_is_doubled_or_lost(tmp_path: Path) -> None:
    """100 records fit each receiver's window: of two requests of 60 the first is taken, the second deferred."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    own = DaemonProcess(tmp_path, more="[daemon]\nqueue_max = 400\n")
    try:
        own.start()
        recorder = own.pid_of("recorder")
        with grpc.insecure_channel(f"127.0.0.1:{own.grpc}") as channel, ThreadPoolExecutor() as pool:
            stub = LogsServiceStub(channel)
            stub.Export(request_of(0, 0), timeout=10)  # the connection stands
            os.kill(recorder, signal.SIGSTOP)  # for less time than the supervisor takes for hung
            taken = [pool.submit(stub.Export, request_of(0, 60), 10), pool.submit(post, own, serialized(0, 60))]
            for name in ("otlp_grpc", "otlp_http"):
                own.wait_until(lambda name=name: own.actor(name)["gauges"]["queue_depth"] == 60, 5)
            deferred = [pool.submit(stub.Export, request_of(60, 60), 10), pool.submit(post, own, serialized(60, 60))]
            refused = deferred[0].exception(10)
            status, headers, _ = deferred[1].result(10)
            os.kill(recorder, signal.SIGCONT)
            assert taken[1].result()[0] == 200 and taken[0].exception() is None
        assert isinstance(refused, grpc.RpcError) and refused.code() is grpc.StatusCode.UNAVAILABLE
        details = dict(refused.trailing_metadata())["grpc-status-details-bin"]
        retry = RetryInfo()
        assert RpcStatus.FromString(details).details[0].Unpack(retry) and retry.retry_delay.seconds == 1
        assert (status, headers["Retry-After"]) == (503, "1")
        own.wait_until(lambda: len(own.events()) >= 120, 30)
        providers = [make_provider(protocol, port_of(own, protocol)) for protocol in ("grpc", "http")]
        os.kill(recorder, signal.SIGSTOP)
        resume = threading.Timer(2.0, os.kill, (recorder, signal.SIGCONT))
        resume.start()
        for provider in providers:
            for number in range(60, 360):
                provider.get_logger("tests").emit(LogRecord(body=f"record {number}"))
        for provider in providers:
            provider.force_flush(60_000)
            provider.shutdown()
        resume.join()
        own.wait_until(lambda: len(own.events()) >= 720, 30)
        for name in ("otlp_grpc", "otlp_http"):
            messages = [event["message"] for event in own.events(source=name)]
            assert sorted(messages) == sorted(f"record {number}" for number in range(360)), name
    finally:
        own.end()


def test_garbage_large_and_early_bodies_hurt_nobody_else(daemon: DaemonProcess) -> None:
    path = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
    before = {name: daemon.actor(name)["pid"] for name in ("otlp_grpc", "otlp_http", "parser", "recorder")}
    with grpc.insecure_channel(f"127.0.0.1:{daemon.grpc}") as channel:
        stub = LogsServiceStub(channel)
        stub.Export(request_of(0, 1), timeout=10)
        for method, body, code in (
            (path, b"\xff" * 100, grpc.StatusCode.INVALID_ARGUMENT),
            (path, bytes(17 << 20), grpc.StatusCode.INVALID_ARGUMENT),
            ("/other.Service/Call", bytes(4 << 20), grpc.StatusCode.UNIMPLEMENTED),
        ):
            with grpc.insecure_channel(f"127.0.0.1:{daemon.grpc}") as other, pytest.raises(grpc.RpcError) as refused:
                other.unary_unary(method)(body, timeout=20)
            assert refused.value.code() is code
        for raw in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(500), os.urandom(500), b"\x16\x03\x01" + bytes(50)):
            with socket.create_connection(("127.0.0.1", daemon.grpc)) as rude:
                rude.sendall(raw)
        stub.Export(request_of(1, 1), timeout=10)
    whole = request_of(2, 1).SerializeToString() * 2  # repeated fields: half of it reads as a whole request
    with socket.create_connection(("127.0.0.1", daemon.otlp_http)) as gone:
        kind = "Content-Type: application/x-protobuf"
        head = f"POST /v1/logs HTTP/1.1\r\nHost: x\r\n{kind}\r\nContent-Length: {len(whole)}\r\n\r\n"
        gone.sendall(head.encode() + whole[: len(whole) // 2])
    huge, far = (
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
        for record in (
            {"body": {"intValue": "9" * 40}},
            {"body": {"stringValue": "far"}, "timeUnixNano": str((1 << 64) - 1)},
        )
    )
    for body, kind, status in (
        (b"\xff" * 100, "application/x-protobuf", 400),
        (b"{", "application/json", 400),
        (json.dumps(huge).encode(), "application/json", 400),
        (json.dumps(far).encode(), "application/json", 200),
        (b"x", "text/plain", 415),
        (b"", "application/x-protobuf", 200),
    ):
        assert post(daemon, body, kind)[0] == status, body[:60]
    bomb = gzip.compress(bytes(64 << 20))
    assert post(daemon, bomb, **{"Content-Encoding": "gzip"})[0] == 400
    daemon.wait_until(lambda: any(event["message"] == "far" for event in daemon.events()))
    messages = [event["message"] for event in daemon.events()]
    assert messages.count("record 0") == messages.count("record 1") == 1 and "record 2" not in messages
    assert {name: daemon.actor(name)["pid"] for name in before} == before


def test_requests_that_ask_for_much_more_than_they_are_hurt_nobody(daemon: DaemonProcess) -> None:
    """Each is some 16 KiB of gzip that inflates to 16 MiB; sixteen of them arrive at once."""
    before = {name: account["restarts"] for name, account in daemon.health()["actors"].items()}
    bombs = [gzip.compress(make(), 6) for name, make in BOMBS.items() if "JSON" not in name]
    jsons = [gzip.compress(make(), 6) for name, make in BOMBS.items() if "JSON" in name and "values" not in name]
    encoded = {"Content-Encoding": "gzip"}
    with ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(post, daemon, bomb, **encoded) for bomb in bombs * 2]
        answers += [pool.submit(post, daemon, bomb, "application/json", **encoded) for bomb in jsons * 2]
        assert {answer.result()[0] for answer in answers} == {400}
    assert post(daemon, serialized(0, 1))[0] == 200
    assert {name: account["restarts"] for name, account in daemon.health()["actors"].items()} == before


def memory_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def test_bodies_held_open_cost_what_is_bounded_and_no_other_client(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    pid = own_daemon.pid_of("otlp_http")
    before = memory_kib(pid)
    length, sent = 15 << 20, 14 << 20
    head = f"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: {length}\r\n\r\n"
    clients = [socket.create_connection(("127.0.0.1", own_daemon.otlp_http)) for _ in range(40)]
    for client in clients:
        client.sendall(head.encode() + bytes(sent))
    own_daemon.wait_until(lambda: own_daemon.actor("otlp_http")["gauges"]["held_bytes"] >= 4 * sent)
    assert memory_kib(pid) - before < 160 << 10
    for client in clients[8:]:
        client.sendall(bytes(length - sent))
        answer = client.recv(1_000)
        assert b" 503 " in answer and b"retry-after: 1" in answer.lower()
        client.close()
    assert post(own_daemon, serialized(0, 3))[0] == 200
    for client in clients[:8]:
        client.close()
    own_daemon.wait_until(lambda: own_daemon.actor("otlp_http")["gauges"]["held_bytes"] == 0)
    assert memory_kib(pid) - before < 64 << 10, "it is given back"
