"""OTLP logs requests in protobuf, to records. Pure. Of a large request nothing is made before it is known how much (`wire.py`).

Source: opentelemetry-proto 1.x, collector/logs/v1 and logs/v1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from actors.receivers.otlp_bounds import MAX_DEPTH, MAX_MESSAGE_BYTES, Budget, OtlpError, known_time, scope_table
from actors.receivers.wire import Span, WireError, submessages
from protocol.records import OtlpRecord

MAX_AT_ONCE_BYTES = 1 << 18  # that a parser may make objects of before anything is counted


def decode_protobuf(body: bytes) -> list[OtlpRecord]:
    """Return the records of a protobuf request. Raises OtlpError."""
    try:
        return list(_Protobuf(body).records())
    except (DecodeError, WireError) as error:
        raise OtlpError(f"not an ExportLogsServiceRequest: {error}") from error


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
            known_time(record.time_unix_nano),
            known_time(record.observed_time_unix_nano),
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
        return scope_table(scope.name, scope.version, self._pairs(scope.attributes))

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
