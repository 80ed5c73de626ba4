"""OTLP logs requests, protobuf and JSON, to records. Pure.

A request is small and what it asks for need not be: eight million empty values, or a large resource that each of its
records carries along. So what is made of a request is bounded (`Budget`), and of protobuf nothing is made before that is
known (`wire`).

Source: opentelemetry-proto 1.x, collector/logs/v1 and logs/v1; for JSON the proto3 mapping with the OTLP deviations:
trace and span ids are hexadecimal, enumerations are numbers, keys are lowerCamelCase, unknown keys are ignored.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sized
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from actors.receivers.wire import Span, WireError, submessages
from protocol.records import OtlpRecord

MAX_INFLATED_BYTES = 16 << 20
MAX_RECORDS = 100_000  # of one request; two bytes are enough for an empty one
MAX_PARTS = 2 * MAX_RECORDS  # records, resources and scopes
MAX_VALUES = 1_000_000  # attributes and elements of a request; a real one of 16 MiB has half as many
MAX_MESSAGE_BYTES = 4 << 20  # of one record, resource or scope
MAX_PACKED_BYTES = 64 << 20  # of a request's records, each with its resource and scope
MAX_AT_ONCE_BYTES = 1 << 18  # that a parser may make objects of before anything is counted
MAX_DEPTH = 32
MAX_TIME_NS = (1 << 63) - 1  # the year 2262; all later stages count in signed 64 bits
_GZIP = 16 + zlib.MAX_WBITS

_pack = msgspec.msgpack.Encoder().encode


class OtlpError(ValueError):
    """A request that can never be accepted; the message says why."""


def inflate(body: bytes, encoding: str) -> bytes:
    """Return the body without its content coding. Raises OtlpError if it is damaged, too large or in an unknown one."""
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise OtlpError(f"content encoding {encoding[:20]!r} is not known; use gzip or none")
    inflater = zlib.decompressobj(_GZIP if "gzip" in encoding else zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(body, MAX_INFLATED_BYTES)
    except zlib.error as error:
        raise OtlpError(f"damaged {encoding}: {error}") from error
    if inflater.unconsumed_tail or inflater.unused_data or not inflater.eof:
        raise OtlpError(f"damaged {encoding}, or more than {MAX_INFLATED_BYTES} bytes inflated")
    return inflated


class Budget:
    """How much may still be made of a request. Raises OtlpError when it is used up."""

    def __init__(self) -> None:
        self._records = MAX_RECORDS
        self._parts = MAX_PARTS
        self._values = MAX_VALUES

    def spend_record(self) -> None:
        self._records -= 1
        if self._records < 0:
            raise OtlpError(f"a request has at most {MAX_RECORDS} records, this one more")

    def spend_part(self) -> None:
        self._parts -= 1
        if self._parts < 0:
            raise OtlpError(f"a request has at most {MAX_PARTS} records, resources and scopes, this one more")

    def spend_values(self, values: Sized) -> None:
        self._values -= len(values)
        if self._values < 0:
            raise OtlpError(f"a request has at most {MAX_VALUES} values, this one more")


def pack_records(records: list[OtlpRecord]) -> list[bytes]:
    """Return each record as it goes into the spool. Raises OtlpError if together they are too large."""
    packed, size = [], 0
    for record in records:
        packed.append(_pack(record))
        size += len(packed[-1])
        if size > MAX_PACKED_BYTES:
            raise OtlpError(f"the records of a request, each with its resource, have at most {MAX_PACKED_BYTES} bytes")
    return packed


def decode_protobuf(body: bytes) -> list[OtlpRecord]:
    """Return the records of a protobuf request. Raises OtlpError."""
    try:
        return list(_Protobuf(body).records())
    except (DecodeError, WireError) as error:
        raise OtlpError(f"not an ExportLogsServiceRequest: {error}") from error


def _known_time(time_ns: int) -> int:
    """Return the time, or 0 for one that is beyond what can be counted: no clock says that."""
    return time_ns if time_ns <= MAX_TIME_NS else 0


class _Protobuf:
    """Reads the protobuf form: a small request at once, for that is fast.

    A large one record by record: ExportLogsServiceRequest, ResourceLogs and ScopeLogs are then only walked.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._budget = Budget()

    def records(self) -> Iterator[OtlpRecord]:
        return self._at_once() if len(self._body) <= MAX_AT_ONCE_BYTES else self._one_by_one()

    def _at_once(self) -> Iterator[OtlpRecord]:
        request = ExportLogsServiceRequest()
        request.ParseFromString(self._body)
        for resource_logs in request.resource_logs:
            resource = self._pairs(resource_logs.resource.attributes)
            for scope_logs in resource_logs.scope_logs:
                scope = self._scope(scope_logs.scope)
                for record in scope_logs.log_records:
                    self._budget.spend_record()
                    yield self._record(record, resource, scope)

    def _one_by_one(self) -> Iterator[OtlpRecord]:
        request: Span = (0, len(self._body))
        for resource_logs in self._split(request)[0]:
            resources, scope_logs = self._split(resource_logs)
            resource = self._pairs(self._merged(Resource(), resources).attributes)
            for each in scope_logs:
                scopes, log_records = self._split(each)
                scope = self._scope(self._merged(InstrumentationScope(), scopes))
                for span in log_records:
                    self._budget.spend_record()
                    yield self._record(self._merged(LogRecord(), [span]), resource, scope)

    def _split(self, span: Span) -> tuple[list[Span], list[Span]]:
        """Return where the fields 1 and 2 of a message are; all three that are walked have nothing else of interest."""
        found: tuple[list[Span], list[Span]] = ([], [])
        for number, inner in submessages(self._body, span):
            self._budget.spend_part()
            if number in (1, 2):
                found[number - 1].append(inner)
        return found

    def _merged(self, message: Any, spans: list[Span]) -> Any:
        """Return a message of its parts; one that is given twice is merged, as protobuf has it."""
        if sum(end - start for start, end in spans) > MAX_MESSAGE_BYTES:
            raise OtlpError(f"a record has at most {MAX_MESSAGE_BYTES} bytes")
        for start, end in spans:
            message.MergeFromString(self._body[start:end])
        return message

    def _record(self, record: LogRecord, resource: dict[str, Any], scope: dict[str, Any]) -> OtlpRecord:
        return OtlpRecord(
            self._plain(record.body),
            _known_time(record.time_unix_nano),
            _known_time(record.observed_time_unix_nano),
            min(max(record.severity_number, 0), 24),
            record.severity_text,
            self._pairs(record.attributes),
            resource,
            scope,
            record.trace_id.hex(),
            record.span_id.hex(),
            record.event_name,
        )

    def _scope(self, scope: InstrumentationScope) -> dict[str, Any]:
        return _scope(scope.name, scope.version, self._pairs(scope.attributes))

    def _pairs(self, pairs: Any, depth: int = 0) -> dict[str, Any]:
        self._budget.spend_values(pairs)
        return {pair.key: self._plain(pair.value, depth) for pair in pairs}

    def _plain(self, value: AnyValue, depth: int = 0) -> Any:
        kind = value.WhichOneof("value")
        if kind is None or depth > MAX_DEPTH:
            return None
        if kind == "array_value":
            values = value.array_value.values
            self._budget.spend_values(values)
            return [self._plain(each, depth + 1) for each in values]
        if kind == "kvlist_value":
            return self._pairs(value.kvlist_value.values, depth + 1)
        return getattr(value, kind)


def _scope(name: str, version: str, attributes: dict[str, Any]) -> dict[str, Any]:
    scope: dict[str, Any] = {"name": name, "version": version} if name or version else {}
    return scope | ({"attributes": attributes} if attributes else {})


# -- JSON


class _Json:
    """Reads the JSON form; every complaint says where in the document it stands."""

    def __init__(self, document: Any) -> None:
        self._document = document
        self._budget = Budget()

    def records(self) -> Iterator[OtlpRecord]:
        for resource_logs in self._list(self._table(self._document, "request"), "resourceLogs"):
            resource = self._pairs(self._table(resource_logs.get("resource"), "resource"), "attributes")
            for scope_logs in self._list(resource_logs, "scopeLogs"):
                given = self._table(scope_logs.get("scope"), "scope")
                name, version = self._text(given, "name"), self._text(given, "version")
                scope = _scope(name, version, self._pairs(given, "attributes"))
                for record in self._list(scope_logs, "logRecords"):
                    self._budget.spend_record()
                    yield self._record(record, resource, scope)

    def _record(self, record: dict[str, Any], resource: dict[str, Any], scope: dict[str, Any]) -> OtlpRecord:
        return OtlpRecord(
            self._value(record.get("body")),
            _known_time(self._integer(record, "timeUnixNano")),
            _known_time(self._integer(record, "observedTimeUnixNano")),
            min(max(self._integer(record, "severityNumber"), 0), 24),
            self._text(record, "severityText"),
            self._pairs(record, "attributes"),
            resource,
            scope,
            self._hexadecimal(record, "traceId"),
            self._hexadecimal(record, "spanId"),
            self._text(record, "eventName"),
        )

    def _table(self, value: Any, name: str) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise OtlpError(f"{name} is not an object")
        return value

    def _list(self, table: dict[str, Any], key: str) -> list[dict[str, Any]]:
        value = table.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise OtlpError(f"{key} is not an array")
        self._budget.spend_values(value)
        return [self._table(each, key) for each in value]

    def _text(self, table: dict[str, Any], key: str) -> str:
        value = table.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise OtlpError(f"{key} is not a string")
        return value

    def _integer(self, table: dict[str, Any], key: str) -> int:
        """Return a 64-bit integer, which JSON may carry as a string."""
        value = table.get(key)
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise OtlpError(f"{key} is not an integer")
        try:
            number = int(value)
        except ValueError as error:
            raise OtlpError(f"{key} is not an integer") from error
        if not 0 <= number < 1 << 64:
            raise OtlpError(f"{key} is out of range")
        return number

    def _hexadecimal(self, table: dict[str, Any], key: str) -> str:
        text = self._text(table, key)
        try:
            return bytes.fromhex(text).hex()
        except ValueError as error:
            raise OtlpError(f"{key} is not hexadecimal") from error

    def _pairs(self, table: dict[str, Any], key: str, depth: int = 0) -> dict[str, Any]:
        return {self._text(pair, "key"): self._value(pair.get("value"), depth) for pair in self._list(table, key)}

    def _value(self, value: Any, depth: int = 0) -> Any:
        table = self._table(value, "AnyValue")
        if depth > MAX_DEPTH:
            return None
        for kind, content in table.items():
            match kind:
                case "stringValue":
                    return self._text(table, kind)
                case "boolValue":
                    return self._boolean(content)
                case "doubleValue":
                    return self._double(content)
                case "intValue":
                    return self._signed(content)
                case "bytesValue":
                    return self._base64(content)
                case "arrayValue":
                    inner = self._list(self._table(content, kind), "values")
                    return [self._value(each, depth + 1) for each in inner]
                case "kvlistValue":
                    return self._pairs(self._table(content, kind), "values", depth + 1)
        return None

    @staticmethod
    def _boolean(content: Any) -> bool:
        if not isinstance(content, bool):
            raise OtlpError("boolValue is not true or false")
        return content

    @staticmethod
    def _double(content: Any) -> float:
        """Return a double, which JSON may carry as a string ("NaN", "Infinity")."""
        if isinstance(content, bool) or not isinstance(content, int | float | str):
            raise OtlpError("doubleValue is not a number")
        try:
            return float(content)
        except (ValueError, OverflowError) as error:
            raise OtlpError("doubleValue is not a number") from error

    @staticmethod
    def _signed(content: Any) -> int:
        """Return a signed 64-bit integer, which JSON may carry as a string."""
        if isinstance(content, bool) or not isinstance(content, int | float | str):
            raise OtlpError("intValue is not an integer")
        try:
            number = int(content)
        except (ValueError, OverflowError) as error:
            raise OtlpError("intValue is not an integer") from error
        if number != (content if isinstance(content, float) else number) or not -(1 << 63) <= number < 1 << 63:
            raise OtlpError("intValue is not an integer of 64 bits")
        return number

    @staticmethod
    def _base64(content: Any) -> bytes:
        try:
            return msgspec.convert(content, bytes)
        except msgspec.ValidationError as error:
            raise OtlpError("bytesValue is not base64") from error


def decode_json(body: bytes) -> list[OtlpRecord]:
    """Return the records of a JSON request. Raises OtlpError."""
    if body.count(b"{") + body.count(b"[") > MAX_VALUES:  # before any of them is made
        raise OtlpError(f"a request has at most {MAX_VALUES} values, this one more")
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise OtlpError(f"not JSON: {error}") from error
    return list(_Json(document).records())
