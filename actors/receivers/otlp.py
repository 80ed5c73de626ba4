"""The OTLP logs receiver: gRPC or HTTP, one plain ASGI application, served by the hardened hypercorn.

gRPC is spoken by hand over HTTP/2: a 5-byte prefix (compressed flag, length) before the message, the status in trailers
(gRPC over HTTP2, PROTOCOL-HTTP2.md). A request is answered when its records are committed. A full window or spool is
answered as the specification says for retry: UNAVAILABLE with RetryInfo, HTTP 503 with Retry-After; then none of the
request's records was accepted: credit is asked for before they are spooled, and they are spooled together or not at
all. A commit that does not come in time is answered as if it had come, because the records stand in the spool. A
request that can never be accepted is answered INVALID_ARGUMENT, HTTP 400.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import trio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status as RpcStatus

from actors.context import Context
from actors.http.server import ServerStatistics, make_config, serve
from actors.receivers.intake import Intake, IntakeSettings
from actors.receivers.otlp_body import MAX_BODY_BYTES, Body, ClientGone, Held, Receive
from actors.receivers.otlp_bounds import OtlpError, inflate, pack_records
from actors.receivers.otlp_json import decode_json
from actors.receivers.otlp_protobuf import decode_protobuf
from actors.receivers.requests import OpenRequests, digest_of
from actors.record_log import LogFull
from protocol.metrics import OtlpMetrics
from protocol.records import Record

GRPC_PATH = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
HTTP_PATH = "/v1/logs"
SMALL_BYTES = 1 << 16
MAX_CONNECTIONS = 1_024
REQUESTS = "requests"  # among the cursors: the requests that are spooled and not answered
RETRY_S = 1
CREDIT_S = 1.0  # how long a request may wait for the window
COMMIT_S = 3.0  # and then for its commit: the SDKs give up after 10 s, the Collector after 5, and then send again

# gRPC status codes (google.rpc.Code)
OK, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED, UNAVAILABLE = 0, 3, 8, 12, 14

Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = dict[bytes, bytes]

Decoded = tuple[list[bytes], str]  # packed records, digest of the request


class Unavailable(Exception):
    """The request may be tried again later."""


class Settings(IntakeSettings, frozen=True):
    source: str = "otlp"


class OtlpReceiver:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._settings = msgspec.convert(context.settings, Settings)
        self._intake = Intake(context, self._settings)
        self._requests = OpenRequests(self._intake.cursors.get(REQUESTS, {}), trio.current_time())
        self._report = context.report
        self._metrics = self._report.measure(OtlpMetrics)
        self._statistics = ServerStatistics(MAX_CONNECTIONS)
        self._decoding = trio.CapacityLimiter(1)
        self._held = Held()

    # -- the ASGI application

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            headers: Headers = dict(scope["headers"])
            peer = (scope.get("client") or ("",))[0]
            is_grpc = headers.get(b"content-type", b"").startswith(b"application/grpc")
            answer = self._answer_grpc if is_grpc else self._answer_http
            with Body(self._held) as body:
                try:
                    await body.read(receive)
                except ClientGone:
                    return
                self._metrics.slow_requests += body.fault == "too slow"
                await answer(scope, headers, body, peer, send)

    async def _answer_grpc(self, scope: dict[str, Any], headers: Headers, body: Body, peer: str, send: Send) -> None:
        if scope["path"] != GRPC_PATH:
            self._metrics.rejected_requests += 1
            await _send_grpc(send, UNIMPLEMENTED, f"only {GRPC_PATH} is served")
            return
        try:
            encoding = headers.get(b"grpc-encoding", b"").decode("latin-1") or ("gzip" if body.begins_compressed else "")
            await self._accept(*await self._decode(_decode_grpc, body, encoding), peer)
        except OtlpError as error:
            self._metrics.rejected_requests += 1
            await _send_grpc(send, INVALID_ARGUMENT, str(error))
        except Unavailable as error:
            self._metrics.deferred_requests += 1
            await _send_grpc(send, UNAVAILABLE, str(error), retry=True)
        else:
            await _send_grpc(send, OK, "")

    async def _answer_http(self, scope: dict[str, Any], headers: Headers, body: Body, peer: str, send: Send) -> None:
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().decode("latin-1").lower()
        if scope["path"] != HTTP_PATH or scope["method"] != "POST":
            status = 404 if scope["path"] != HTTP_PATH else 405
            self._metrics.rejected_requests += 1
            await _send_http(send, status, kind, f"POST {HTTP_PATH} is what is served here")
            return
        try:
            if kind not in ("application/x-protobuf", "application/json"):
                self._metrics.rejected_requests += 1
                await _send_http(send, 415, kind, "use application/x-protobuf or application/json")
                return
            encoding = headers.get(b"content-encoding", b"").decode("latin-1").lower()
            await self._accept(*await self._decode(_decode_http, body, encoding, kind), peer)
        except OtlpError as error:
            self._metrics.rejected_requests += 1
            await _send_http(send, 400, kind, str(error))
        except Unavailable as error:
            self._metrics.deferred_requests += 1
            await _send_http(send, 503, kind, str(error))
        else:
            await _send_http(send, 200, kind, "")

    async def _decode(self, decode: Callable[..., Decoded], body: Body, encoding: str, *more: str) -> Decoded:
        """Decode what is small at once, and all else one after the other in a thread: our own loop has to turn meanwhile.

        Raises OtlpError, and Unavailable for a body that there was no room or time for.
        """
        if body.fault == "too large":
            raise OtlpError(f"the body has more than {MAX_BODY_BYTES} bytes")
        if body.fault:
            why = "came too slowly" if body.fault == "too slow" else "came while too much was on its way"
            raise Unavailable(f"the body {why}; try again")
        if body.size < SMALL_BYTES and encoding in ("", "identity"):
            return decode(body.take(), encoding, *more)
        async with self._decoding:
            return await trio.to_thread.run_sync(decode, body.take(), encoding, *more)

    async def _accept(self, decoded: list[bytes], digest: str, peer: str) -> None:
        """Return when the records are committed. Raises Unavailable; then it is for the client to send them again."""
        if not decoded:
            return
        last = self._requests.claim(digest, trio.current_time())
        if last is None:
            last = await self._spool(decoded, digest, peer)
        else:
            self._metrics.repeated_requests += 1
        with trio.move_on_after(COMMIT_S) as patience:
            await self._intake.wait_acknowledged(last)
        # If it is not committed yet, it stands in the spool and will be: to have it sent again would double it.
        self._metrics.late_commits += patience.cancelled_caught
        self._requests.forget(digest)

    async def _spool(self, decoded: list[bytes], digest: str, peer: str) -> int:
        """Spool a request's records when there is credit for them; return the last sequence. Raises Unavailable."""
        with trio.move_on_after(CREDIT_S):
            await self._intake.wait_room(len(decoded))
        if not self._intake.has_credit(len(decoded)):
            raise Unavailable("the window is full; try again")
        now_ns, source = time.time_ns(), self._settings.source
        records = [Record(now_ns, source, "otlp", peer, one) for one in decoded]
        self._requests.add(digest, self._intake.next_sequence - 1 + len(records))
        try:
            return self._intake.put_batch(records, {REQUESTS: self._requests.cursor()})
        except (LogFull, OSError) as error:
            self._requests.forget(digest)
            raise Unavailable(f"the spool cannot take it: {error}") from error

    # -- life

    async def run(self) -> None:
        drained = trio.Event()
        config = make_config(alpn_protocols=["h2", "http/1.1"], h2_max_concurrent_streams=256)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._intake.run)
            nursery.start_soon(self._count)
            self._report.ready()
            await serve(
                self,
                self._context.sockets["otlp"],
                config=config,
                statistics=self._statistics,
                wait_stop=self._context.wait_drain,
                before_close=self._intake.drain,
            )
            drained.set()
            nursery.cancel_scope.cancel()

    async def _count(self) -> None:
        while True:
            await trio.sleep(1.0)
            self._metrics.held_bytes = self._held.bytes
            self._metrics.connections = self._statistics.open
            self._metrics.refused_connections = self._statistics.refused
            self._metrics.failed_connections = self._statistics.failed


def _decode_grpc(body: bytearray, encoding: str) -> Decoded:
    message = _grpc_message(bytes(body), encoding)
    return pack_records(decode_protobuf(message)), digest_of(message)


def _decode_http(body: bytearray, encoding: str, kind: str) -> Decoded:
    plain = inflate(bytes(body), encoding)
    decoded = decode_json(plain) if kind == "application/json" else decode_protobuf(plain)
    return pack_records(decoded), digest_of(plain)


async def _live(receive: Receive, send: Send) -> None:
    while True:
        event = (await receive())["type"]
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return


def _grpc_message(body: bytes, encoding: str) -> bytes:
    """Return the one message of a unary call. Raises OtlpError."""
    if len(body) < 5 or int.from_bytes(body[1:5]) != len(body) - 5:
        raise OtlpError("not one length-prefixed gRPC message")
    return inflate(body[5:], encoding) if body[0] & 1 else body[5:]


async def _send_grpc(send: Send, code: int, text: str, *, retry: bool = False) -> None:
    trailers = [(b"grpc-status", str(code).encode()), (b"grpc-message", _percent(text))]
    if retry:
        trailers.append((b"grpc-status-details-bin", _base64(_retry_status(code, text))))
    headers = [(b"content-type", b"application/grpc")]
    # Errors go in trailers too: "Trailers-Only" wants END_STREAM on the headers themselves, which ASGI cannot say, and
    # grpcio takes an empty DATA frame that ends the stream for a broken answer (UNKNOWN, which nobody tries again).
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
    await send({"type": "http.response.body", "body": b"\0\0\0\0\0" if code == OK else b"", "more_body": False})
    await send({"type": "http.response.trailers", "headers": trailers, "more_trailers": False})


def _retry_status(code: int, text: str) -> bytes:
    detail = AnyMessage()
    detail.Pack(RetryInfo(retry_delay=Duration(seconds=RETRY_S)))
    status: bytes = RpcStatus(code=code, message=text, details=[detail]).SerializeToString()
    return status


def _percent(text: str) -> bytes:
    """Return a grpc-message: printable ASCII but %, the rest percent-encoded."""
    return b"".join(
        bytes([byte]) if 32 <= byte <= 126 and byte != 37 else b"%%%02X" % byte for byte in text.encode()[:512]
    )


def _base64(raw: bytes) -> bytes:
    return base64.b64encode(raw).rstrip(b"=")


async def _send_http(send: Send, status: int, kind: str, text: str) -> None:
    as_json = kind != "application/x-protobuf"
    headers = [(b"content-type", b"application/json" if as_json else b"application/x-protobuf")]
    if status == 503:
        headers.append((b"retry-after", str(RETRY_S).encode()))
    if status == 200:
        body = b"{}" if as_json else b""
    elif as_json:
        body = msgspec.json.encode({"code": UNAVAILABLE if status == 503 else INVALID_ARGUMENT, "message": text})
    else:
        body = RpcStatus(code=UNAVAILABLE if status == 503 else INVALID_ARGUMENT, message=text).SerializeToString()
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def run(context: Context) -> None:
    await OtlpReceiver(context).run()
