"""Whatever comes in, in whatever form, becomes events that can be sent, stored and framed, or is refused by name."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.parsing.parse import Parser
from actors.receivers.framing import Framing
from actors.receivers.otlp import _grpc_message
from actors.receivers.otlp_bounds import OtlpError, inflate
from actors.receivers.otlp_json import decode_json
from actors.receivers.otlp_protobuf import decode_protobuf
from protocol.frames import event_frame
from protocol.messages import JudgedEvent, decode_events, encode
from protocol.records import Form, Record
from tests.decoding import NOW_NS, decode_hostile, otlp_records
from tests.hostile import CORPUS, WORDS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
ANY_VALUE = st.recursive(
    st.fixed_dictionaries({}, optional={"stringValue": JSON, "intValue": JSON, "doubleValue": JSON, "bytesValue": JSON}),
    lambda inner: st.fixed_dictionaries({"arrayValue": st.fixed_dictionaries({"values": st.lists(inner)})})
    | st.fixed_dictionaries({"kvlistValue": st.fixed_dictionaries({"values": st.lists(inner)})}),
    max_leaves=5,
)
LINE = st.binary(max_size=300) | st.lists(st.sampled_from([*WORDS, *CORPUS]), max_size=12).map(b"".join)


def carry(records: list[Record]) -> None:
    """Take records through the parser and out of it, as the daemon does."""
    events, columns = Parser().parse(records, 7, 1)
    columns.pack()
    for event in decode_events(encode(events)):
        assert "parse_error" not in event.fields
        msgspec.json.decode(event_frame(JudgedEvent(event, 0.5, 0.5, None)))


@settings(deadline=None)
@given(st.lists(LINE, max_size=5), st.sampled_from(["syslog", "line"]))
def test_any_line(lines: list[bytes], form: Form) -> None:
    carry([Record(NOW_NS, form, form, "192.0.2.7", line) for line in lines])


@settings(deadline=None)
@given(st.lists(st.tuples(LINE, st.sampled_from([b"", b"\n", b"\0", b"\r\n"]), st.integers(-2, 2) | st.none())), st.data())
def test_any_stream_is_cut_the_same_however_it_arrives(parts: list[tuple[bytes, bytes, int | None]], data: st.DataObject) -> None:
    stream = b"".join((b"" if lie is None else b"%d " % max(0, len(line) + lie)) + line + end for line, end, lie in parts)
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    whole, pieces = Framing(200), Framing(200)
    wanted = whole.feed(stream) + whole.close()
    got = []
    for start, end in zip([0, *places], [*places, len(stream)], strict=True):
        got += pieces.feed(stream[start:end])
    assert got + pieces.close() == wanted
    carry([Record(NOW_NS, "syslog", "syslog", "192.0.2.7", body, cut) for body, cut in wanted])


@settings(deadline=None)
@given(st.lists(st.fixed_dictionaries({"body": ANY_VALUE}, optional={"attributes": JSON, "timeUnixNano": JSON})), JSON)
def test_any_json_request(log_records: list[object], odd: object) -> None:
    for document in ({"resourceLogs": [{"scopeLogs": [{"logRecords": log_records}]}]}, {"resourceLogs": odd}, odd):
        try:
            decoded = decode_json(msgspec.json.encode(document))
        except OtlpError:
            continue
        carry(otlp_records(decoded))


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["", "gzip", "deflate", "br"]))
def test_any_body(body: bytes, encoding: str) -> None:
    for decode in (
        lambda: decode_protobuf(inflate(body, encoding)),
        lambda: decode_json(inflate(body, encoding)),
        lambda: decode_protobuf(_grpc_message(body, encoding)),
    ):
        try:
            decoded = decode()
        except OtlpError:
            continue
        carry(otlp_records(decoded))


def test_thousands_of_hostile_inputs() -> None:
    """The short form of `make fuzz` without sockets."""
    report = decode_hostile(6_000, seed=3)
    print(report.text())
    assert report.findings == []
    assert set(report.inputs) == {"udp", "tcp", "tls", "file", "otlp_protobuf", "otlp_json", "journald", "grpc"}
    assert all(report.records[way] > 0 for way in report.inputs)


