"""OTLP logs requests in JSON, to records. Pure.

Source: opentelemetry-proto 1.x, logs/v1, in the proto3 mapping with the OTLP deviations: trace and span ids are
hexadecimal, enumerations are numbers, keys are lowerCamelCase, unknown keys are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from actors.receivers.otlp_bounds import MAX_DEPTH, MAX_VALUES, Budget, OtlpError, known_time, scope_table
from protocol.records import OtlpRecord


def decode_json(body: bytes) -> list[OtlpRecord]:
    """Return the records of a JSON request. Raises OtlpError."""
    if body.count(b"{") + body.count(b"[") > MAX_VALUES:  # before any of them is made
        raise OtlpError(f"a request has at most {MAX_VALUES} values, this one more")
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise OtlpError(f"not JSON: {error}") from error
    return list(_Json(document).records())


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
                scope = scope_table(name, version, self._pairs(given, "attributes"))
                for record in self._list(scope_logs, "logRecords"):
                    self._budget.spend_record()
                    yield self._record(record, resource, scope)

    def _record(self, record: dict[str, Any], resource: dict[str, Any], scope: dict[str, Any]) -> OtlpRecord:
        return OtlpRecord(
            self._value(record.get("body")),
            known_time(self._integer(record, "timeUnixNano")),
            known_time(self._integer(record, "observedTimeUnixNano")),
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
