"""The common part of both forms of an OTLP logs request: bounds, content coding, and packed records. Pure.

A request is small and what it asks for need not be: eight million empty values, or a large resource that each of its
records carries along. So what is made of a request is bounded (`Budget`).
"""

from __future__ import annotations

import zlib
from collections.abc import Sized
from typing import Any

import msgspec

from protocol.records import OtlpRecord

MAX_INFLATED_BYTES = 16 << 20
MAX_RECORDS = 100_000  # of one request; two bytes are enough for an empty one
MAX_PARTS = 2 * MAX_RECORDS  # records, resources and scopes
MAX_VALUES = 1_000_000  # attributes and elements of a request; a real one of 16 MiB has half as many
MAX_MESSAGE_BYTES = 4 << 20  # of one record, resource or scope
MAX_PACKED_BYTES = 64 << 20  # of a request's records, each with its resource and scope
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


def known_time(time_ns: int) -> int:
    """Return the time, or 0 for one that is beyond what can be counted: no clock says that."""
    return time_ns if time_ns <= MAX_TIME_NS else 0


def scope_table(name: str, version: str, attributes: dict[str, Any]) -> dict[str, Any]:
    """Return an instrumentation scope with what is known of it."""
    scope: dict[str, Any] = {"name": name, "version": version} if name or version else {}
    return scope | ({"attributes": attributes} if attributes else {})
