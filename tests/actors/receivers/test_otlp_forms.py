from __future__ import annotations

import base64
import contextlib
import gzip
import json
import math
import subprocess
import sys
import zlib
from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from actors.receivers.otlp_bounds import MAX_INFLATED_BYTES, MAX_RECORDS, OtlpError, inflate
from actors.receivers.otlp_json import decode_json
from actors.receivers.otlp_protobuf import _Protobuf, decode_protobuf
from actors.receivers.wire import WireError, submessages
from tests.daemon_process import DATA, ROOT

encode = msgspec.msgpack.encode
TEXTS = st.text(st.characters(codec="utf-8"), max_size=10)
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


def value(kind: str, content: Any) -> dict[str, Any]:
    return {kind: content}


VALUES = st.recursive(
    st.one_of(
        TEXTS.map(lambda text: value("stringValue", text)),
        st.booleans().map(lambda truth: value("boolValue", truth)),
        INT64.map(lambda number: value("intValue", str(number))),
        st.floats(allow_nan=False, allow_infinity=False).map(lambda number: value("doubleValue", number)),
        st.binary(max_size=10).map(lambda raw: value("bytesValue", base64.b64encode(raw).decode())),
        st.just({}),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda values: value("arrayValue", {"values": values})),
        st.lists(st.fixed_dictionaries({"key": TEXTS, "value": inner}), max_size=3).map(
            lambda pairs: value("kvlistValue", {"values": pairs})
        ),
    ),
    max_leaves=8,
)
ATTRIBUTES = st.lists(st.fixed_dictionaries({"key": TEXTS, "value": VALUES}), max_size=3)
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "body": VALUES,
        "timeUnixNano": st.integers(0, (1 << 64) - 1).map(str),
        "observedTimeUnixNano": st.integers(0, (1 << 64) - 1).map(str),
        "severityNumber": st.integers(0, 24),
        "severityText": TEXTS,
        "attributes": ATTRIBUTES,
        "traceId": st.binary(min_size=16, max_size=16).map(bytes.hex),
        "spanId": st.binary(min_size=8, max_size=8).map(bytes.hex),
        "eventName": TEXTS,
    },
)
REQUESTS = st.fixed_dictionaries(
    {
        "resourceLogs": st.lists(
            st.fixed_dictionaries(
                {
                    "resource": st.fixed_dictionaries({"attributes": ATTRIBUTES}),
                    "scopeLogs": st.lists(
                        st.fixed_dictionaries(
                            {
                                "scope": st.fixed_dictionaries({"name": TEXTS, "version": TEXTS, "attributes": ATTRIBUTES}),
                                "logRecords": st.lists(RECORDS, max_size=3),
                            }
                        ),
                        max_size=2,
                    ),
                }
            ),
            max_size=2,
        )
    }
)


def to_protobuf(request: dict[str, Any]) -> bytes:
    """Return the protobuf form, made by Google's own JSON mapping (which wants ids in base64)."""
    plain = json.loads(json.dumps(request))
    for resource in plain["resourceLogs"]:
        for scope in resource["scopeLogs"]:
            for record in scope["logRecords"]:
                for key in ("traceId", "spanId"):
                    if key in record:
                        record[key] = base64.b64encode(bytes.fromhex(record[key])).decode()
    raw: bytes = ParseDict(plain, ExportLogsServiceRequest()).SerializeToString()
    return raw


@settings(deadline=None)
@given(REQUESTS)
def test_json_and_protobuf_give_the_same_records_and_these_can_be_packed(request: dict[str, Any]) -> None:
    from_json, from_protobuf = decode_json(json.dumps(request).encode()), decode_protobuf(to_protobuf(request))
    assert from_json == from_protobuf == one_by_one(to_protobuf(request))
    assert encode(from_json) == encode(from_protobuf)
    for record in from_json:
        assert 0 <= record.time_ns < 1 << 63 and 0 <= record.observed_ns < 1 << 63


def one_by_one(raw: bytes) -> list[Any]:
    """Return the records of a request as if it were a large one."""
    return list(_Protobuf(raw)._one_by_one())


def request_of(record: dict[str, Any]) -> bytes:
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()


@pytest.mark.parametrize(
    ("given_value", "plain"),
    [
        ({"stringValue": "text"}, "text"),
        ({"boolValue": False}, False),
        ({"intValue": "-9223372036854775808"}, -(1 << 63)),
        ({"intValue": 7}, 7),
        ({"doubleValue": 1}, 1.0),
        ({"doubleValue": "Infinity"}, math.inf),
        ({"bytesValue": "AP8="}, b"\x00\xff"),
        ({"arrayValue": {"values": [{"intValue": "1"}, {}]}}, [1, None]),
        ({"kvlistValue": {"values": [{"key": "a", "value": {"stringValue": "b"}}]}}, {"a": "b"}),
        ({"kvlistValue": {}}, {}),
        ({}, None),
        ({"unknownValue": 1}, None),
    ],
)
def test_every_kind_of_value(given_value: dict[str, Any], plain: Any) -> None:
    body = decode_json(request_of({"body": given_value}))[0].body
    assert body == plain and type(body) is type(plain)


@pytest.mark.parametrize(
    "record",
    [
        {"body": {"intValue": "9" * 30}},
        {"body": {"intValue": 10**30}},
        {"body": {"intValue": 1.5}},
        {"body": {"intValue": True}},
        {"body": {"intValue": None}},
        {"body": {"intValue": []}},
        {"body": {"doubleValue": 10**400}},
        {"body": {"doubleValue": "much"}},
        {"body": {"doubleValue": {}}},
        {"body": {"stringValue": 7}},
        {"body": {"boolValue": "yes"}},
        {"body": {"bytesValue": "?"}},
        {"body": {"arrayValue": 1}},
        {"body": {"kvlistValue": {"values": [7]}}},
        {"body": "text"},
        {"timeUnixNano": -1},
        {"timeUnixNano": 1 << 64},
        {"timeUnixNano": "soon"},
        {"timeUnixNano": "9" * 5_000},
        {"severityNumber": "WARN"},
        {"traceId": "xyz"},
        {"attributes": {}},
    ],
)
def test_what_can_never_be_accepted_is_said(record: dict[str, Any]) -> None:
    with pytest.raises(OtlpError):
        decode_json(request_of(record))


def test_a_time_beyond_what_can_be_counted_is_unknown() -> None:
    """All later stages hold nanoseconds in 64 bits with a sign; one such record would end the parser again and again."""
    request = {"timeUnixNano": str((1 << 64) - 1), "observedTimeUnixNano": str(1 << 63)}
    record = decode_json(request_of(request))[0]
    assert (record.time_ns, record.observed_ns) == (0, 0)


@settings(deadline=None, max_examples=200)
@given(REQUESTS, st.data())
def test_damaged_requests_raise_otlp_error_and_nothing_else(request: dict[str, Any], data: st.DataObject) -> None:
    for raw, decode in ((json.dumps(request).encode(), decode_json), (to_protobuf(request), decode_protobuf)):
        damaged = bytearray(raw)
        for _ in range(data.draw(st.integers(1, 4))):
            place = data.draw(st.integers(0, len(damaged)))
            damaged[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
        with contextlib.suppress(OtlpError):
            encode(decode(bytes(damaged)))
        with contextlib.suppress(WireError, DecodeError):
            encode(one_by_one(bytes(damaged)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["resourceLogs", "scopeLogs", "logRecords", "body", "attributes", "key", "value", "values", "intValue",
                         "doubleValue", "bytesValue", "kvlistValue", "arrayValue", "scope", "resource", "timeUnixNano"]),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@settings(deadline=None)
@given(JSON)
def test_any_json_is_records_or_an_otlp_error(document: Any) -> None:
    with contextlib.suppress(OtlpError):
        encode(decode_json(json.dumps(document).encode()))


@pytest.mark.parametrize("depth", [20, 33, 90, 1_000, 100_000])
def test_deep_nesting_is_cut_or_refused(depth: int) -> None:
    body = b'{"arrayValue":{"values":[' * depth + b"{}" + b"]}}" * depth
    try:
        decode_json(b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":' + body + b"}]}]}]}")
    except OtlpError:
        assert depth > 90


def varint(number: int) -> bytes:
    low = bytes([number & 127 | (128 if number > 127 else 0)])
    return low + varint(number >> 7) if number > 127 else low


def test_too_many_records_of_two_bytes_are_refused() -> None:
    for count in (MAX_RECORDS, MAX_RECORDS + 1):
        records = b"\x12\x00" * count
        scope = b"\x12" + varint(len(records)) + records
        request = b"\x0a" + varint(len(scope)) + scope
        if count <= MAX_RECORDS:
            assert len(decode_protobuf(request)) == count
        else:
            with pytest.raises(OtlpError, match="at most"):
                decode_protobuf(request)


def test_content_codings() -> None:
    body = b"records" * 100
    assert inflate(body, "") == inflate(body, "identity") == inflate(gzip.compress(body), "gzip") == body
    assert inflate(zlib.compress(body), "deflate") == body
    bomb = gzip.compress(bytes(MAX_INFLATED_BYTES + 1))
    for damaged, encoding in (
        (bomb, "gzip"),
        (gzip.compress(body)[:-5], "gzip"),
        (gzip.compress(body) + b"more", "gzip"),
        (body, "gzip"),
        (b"", "gzip"),
        (body, "br"),
        (body, "snappy"),
    ):
        with pytest.raises(OtlpError):
            inflate(damaged, encoding)


@settings(deadline=None)
@given(st.binary(max_size=100), st.sampled_from(["gzip", "deflate", "x-gzip"]))
def test_any_bytes_inflate_or_are_refused(raw: bytes, encoding: str) -> None:
    with contextlib.suppress(OtlpError):
        inflate(raw, encoding)


@pytest.mark.parametrize("name", ["logs.json", "events.json"])
def test_the_projects_own_examples(name: str) -> None:
    path = DATA / "otlp" / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    records = decode_json(path.read_bytes())
    assert records and decode_protobuf(to_protobuf(json.loads(path.read_text()))) == records
    if name == "logs.json":
        record = records[0]
        assert (record.body, record.severity, record.severity_text) == ("Example log record", 10, "Information")
        assert record.trace_id == "5b8efff798038103d269b633813fc60c" and record.span_id == "eee19b7ec3c1b174"
        assert record.attributes["map.attribute"] == {"some.map.key": "some value"}
        assert record.resource == {"service.name": "my.service"} and record.scope["name"] == "my.library"


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def in_record(content: bytes) -> bytes:
    return field(1, field(2, field(2, content)))


HALF = (MAX_INFLATED_BYTES - 200) // 2
BOMBS = {
    "records": lambda: field(1, field(2, b"\x12\x00" * HALF)),
    "scopes": lambda: field(1, b"\x12\x00" * HALF),
    "resources": lambda: b"\x0a\x00" * HALF,
    "attributes": lambda: in_record(b"\x32\x00" * HALF),
    "attributes of many records": lambda: field(1, field(2, field(2, b"\x32\x00" * (1 << 20)) * 7)),
    "attributes of a resource": lambda: field(1, field(1, b"\x0a\x00" * HALF) + field(2, field(2, b""))),
    "array": lambda: in_record(field(5, field(5, b"\x0a\x00" * (1 << 20)))),
    "large resource of many records": lambda: field(
        1, field(1, b"".join(field(1, field(1, b"key%d" % number)) for number in range(300))) + field(2, b"\x12\x00" * 99_000)
    ),
    "JSON resources": lambda: b'{"resourceLogs":[' + b"{}," * (HALF // 2) + b"{}]}",
    "JSON values": lambda: request_of({"body": {"arrayValue": {"values": [{}] * 900_000}}}),
    "JSON attributes": lambda: request_of({"attributes": [{}] * 2_000_000}),
}


def test_what_is_made_of_a_small_request_is_bounded() -> None:
    """Each is a few KiB of gzip. In a process of its own, which may have 1 GiB of memory."""
    program = f"""
import resource, time
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from actors.receivers.otlp_bounds import OtlpError, pack_records
from actors.receivers.otlp_json import decode_json
from actors.receivers.otlp_protobuf import decode_protobuf
from tests.actors.receivers.test_otlp_forms import BOMBS
for name in {list(BOMBS)!r}:
    body = BOMBS[name]()
    began_s = time.process_time()
    try:
        records = pack_records(decode_json(body) if "JSON" in name else decode_protobuf(body))
        assert name == "JSON values" and len(records) == 1, name
    except OtlpError as error:
        assert "at most" in str(error), error
    spent_s = time.process_time() - began_s
    assert spent_s < 5, (name, spent_s)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 600


@given(st.binary(max_size=40))
def test_what_protobuf_reads_is_walked(raw: bytes) -> None:
    """The walk may accept a few messages that a parser refuses: they are refused when they are read."""
    request = ExportLogsServiceRequest()
    try:
        request.ParseFromString(raw)
    except DecodeError:
        return
    if all(byte & 7 not in (3, 4) for byte in raw):  # groups are refused
        spans = [span for number, span in submessages(raw, (0, len(raw))) if number == 1]
        assert len(spans) == len(request.resource_logs)


def test_a_resource_in_two_parts_is_merged_and_stands_anywhere() -> None:
    one, two = (field(1, field(1, field(1, key) + field(2, field(1, b"v")))) for key in (b"a", b"b"))
    record = field(2, field(2, field(5, field(1, b"text"))))
    raw = field(1, one + record + two)
    (decoded,) = decode_protobuf(raw)
    assert [decoded] == one_by_one(raw)
    assert decoded.resource == {"a": "v", "b": "v"} and decoded.body == "text"


@pytest.mark.parametrize(
    "raw", [b"\x0a", b"\x0a\x05", b"\x0b", b"\x0f", b"\x00\x00", b"\x02\x00", b"\xff" * 12, b"\x0d\x00", b"\x09\x00"]
)
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(OtlpError):
        decode_protobuf(raw)
    with pytest.raises(WireError):
        one_by_one(raw)
