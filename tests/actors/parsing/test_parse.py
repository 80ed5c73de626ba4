"""Records in, events and columns out."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.parsing.parse import Parser
from protocol.clock import format_time, parse_time
from protocol.columns import FEATURES
from protocol.identity import decode_ulid
from protocol.records import Event, Form, OtlpRecord, Record

OBSERVED_NS = parse_time("2026-06-15T00:00:00Z")


def record(body: bytes, form: Form = "line", cut: bool = False) -> Record:
    return Record(OBSERVED_NS, "test", form, "origin", body, cut)


def parse_one(body: bytes, form: Form = "line") -> Event:
    events, _ = Parser().parse([record(body, form)], 7, 1)
    return events[0]


def test_the_example_of_the_page() -> None:
    event = parse_one(
        b"<36>1 2026-05-13T15:29:59.998Z bastion sshd 4242 - - Failed password for root from 10.0.1.42", "syslog"
    )
    assert event.severity == 13
    assert format_time(event.event_ns) == "2026-05-13T15:29:59.998Z"
    assert event.message == "Failed password for root from 10.0.1.42"
    assert [(entity.type, entity.value) for entity in event.entities] == [("user", "root"), ("ipv4", "10.0.1.42")]
    assert (event.fields["host"], event.fields["app"], event.fields["procid"]) == ("bastion", "sshd", "4242")


@pytest.mark.parametrize(
    ("line", "severity", "message", "fields"),
    [
        (
            "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: check pass; user unknown",
            9,
            "check pass; user unknown",
            {"host": "combo", "app": "sshd(pam_unix)", "procid": "19939"},
        ),
        (
            "081109 203615 148 WARN dfs.DataNode$PacketResponder: went away",
            13,
            "went away",
            {"pid": "148", "level": "WARN", "component": "dfs.DataNode$PacketResponder"},
        ),
        ("[Sun Dec 04 04:47:44 2005] [error] mod_jk broke", 17, "mod_jk broke", {"level": "error"}),
        (
            "2015-10-18 18:01:47,978 INFO [main] org.acme.App: it runs",
            9,
            "it runs",
            {"thread": "main", "component": "org.acme.App"},
        ),
        (
            "2015-07-29 17:41:44,747 - WARN  [Peer[id=1]/0:0:0:2181:Vote@774] - timed out",
            13,
            "timed out",
            {"thread": "Peer[id=1]/0:0:0:2181:Vote@774"},
        ),
        ("20171223-22:15:29:606|Step_X|30002312|changed 3", 9, "changed 3", {"component": "Step_X", "pid": "30002312"}),
        (
            "- 1117838570 2005.06.03 R02-M1 2005-06-03-15.42.50.675872 R02-M1 RAS KERNEL FATAL it stopped",
            21,
            "it stopped",
            {"host": "R02-M1", "level": "FATAL", "component": "RAS KERNEL"},
        ),
        ("03-17 16:13:38.811  1702  2395 E Window: gone", 17, "gone", {"pid": "1702", "component": "Window"}),
        ("2016-09-28 04:30:30, Info                  CBS    Loaded", 9, "Loaded", {"component": "CBS"}),
        ("[10.30 16:49:06] chrome.exe - proxy:1 close", 9, "proxy:1 close", {"component": "chrome.exe"}),
        ("Error reading file foo", 9, "Error reading file foo", {}),
        ('ts=2026-01-01T00:00:00Z level=warn msg="slow" user=al', 13, "slow", {"user": "al"}),
        ('{"time":1767225600123,"level":50,"msg":"boom","a":{"b":1}}', 17, "boom", {"a": {"b": 1}}),
        ('@cee: {"msg":"x"}', 9, "x", {}),
        ("{not json", 9, "{not json", {}),
        ("", 9, "", {}),
    ],
)
def test_lines(line: str, severity: int, message: str, fields: dict[str, Any]) -> None:
    event = parse_one(line.encode())
    assert (event.severity, event.message) == (severity, message)
    assert fields.items() <= event.fields.items()
    assert "parse_error" not in event.fields


def test_access_log_in_a_syslog_message() -> None:
    line = b'10.0.0.9 - bob [13/May/2026:15:29:58 +0000] "GET /a?x=1 HTTP/1.1" 404 12 "http://r/" "curl/8"'
    event = parse_one(line)
    wanted = {"src_ip": "10.0.0.9", "user": "bob", "method": "GET", "url": "/a?x=1", "status": 404, "bytes": 12}
    assert {**wanted, "referer": "http://r/", "user_agent": "curl/8"}.items() <= event.fields.items()
    assert (event.severity, format_time(event.event_ns)) == (13, "2026-05-13T15:29:58.000Z")
    inside = parse_one(b"<14>May 13 15:29:59 web nginx: " + line, "syslog")
    assert inside.template == event.template
    assert inside.fields["app"] == "nginx"


def test_audit_records_are_read() -> None:
    event = parse_one(
        b"type=USER_CMD msg=audit(1364481363.243:24287): pid=1 auid=7 msg='cwd=\"/\" cmd=6C73202F746D70 res=success'"
    )
    assert {"type": "USER_CMD", "cwd": "/", "cmd": "ls /tmp", "res": "success"}.items() <= event.fields.items()
    assert event.event_ns == 1364481363243 * 10**6


def test_otlp_keeps_what_the_exporter_said() -> None:
    body = OtlpRecord(
        "user bob left", 5 * 10**18, 0, 0, "WARN", {"k": 1}, {"host.name": "h", "service.name": "s"}, {}, "ab", "cd"
    )
    event = parse_one(msgspec.msgpack.encode(body), "otlp")
    assert (event.message, event.severity, event.event_ns) == ("user bob left", 13, 5 * 10**18)
    assert {
        "host": "h",
        "app": "s",
        "attributes": {"k": 1},
        "trace_id": "ab",
        "span_id": "cd",
    }.items() <= event.fields.items()


def test_a_zone_belongs_to_its_source() -> None:
    parser = Parser({"test": ZoneInfo("Asia/Tokyo")})
    events, _ = parser.parse(
        [record(b"Jun 14 15:16:01 h a: x"), Record(OBSERVED_NS, "other", "line", "", b"Jun 14 15:16:01 h a: x")], 1, 0
    )
    assert [format_time(event.event_ns)[11:13] for event in events] == ["06", "15"]


def test_a_record_that_breaks_the_parser_is_an_event() -> None:
    event = parse_one(b"\xff\x01no record", "otlp")
    assert event.message == "\\xff\x01no record"
    assert event.fields["parse_error"]


def test_columns_agree_with_the_events() -> None:
    events, columns = Parser().parse([record(b"Failed for user bob"), record(b"", cut=True)], 7, 41)
    assert [decode_ulid(event.id) & 0xFFFF for event in events] == [41, 42]
    assert events[1].fields == {"truncated": True}
    assert columns.template_id.tolist() == [event.template_id for event in events]
    assert columns.entity.tolist() == [int(events[0].entities[0].uuid.replace("-", "")[:16], 16), 0]
    assert columns.features.shape == (2, len(FEATURES))
    empty, none = Parser().parse([], 7, 0)
    assert (empty, len(none)) == ([], 0)


def test_templates_survive_a_snapshot() -> None:
    parser, other = Parser(), Parser()
    first = parser.parse([record(b"one thing happened"), record(b"another 42")], 1, 0)[0]
    other.restore(msgpack.unpackb(msgpack.packb(parser.snapshot())))
    assert [e.template_id for e in other.parse([record(b"another 43")], 1, 0)[0]] == [first[1].template_id]


@settings(deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from(["line", "syslog", "otlp"]),
    st.sampled_from(
        [
            b"",
            b"{",
            b"<13>1 - - - - - - ",
            b"type=X msg=audit(1.2:3): ",
            b"2026-01-01 00:00:00 ",
            b"<9>Oct 11 22:14:15 h t: a=",
        ]
    ),
)
def test_any_bytes_are_an_event_that_packs(body: bytes, form: Form, lead: bytes) -> None:
    events, columns = Parser().parse([record(lead + body, form)], 1, 1)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(events[0]), type=Event).id == events[0].id
    msgpack.packb(events[0].fields)
    assert 1 <= events[0].severity <= 24
    assert ((columns.features >= 0) & (columns.features <= 1)).all()
    if form != "otlp":
        assert "parse_error" not in events[0].fields


def test_numbers_that_no_wire_can_carry_are_text() -> None:
    event = parse_one(b'{"msg":"x","n":123456789012345678901234567890}')
    msgpack.packb(event.fields)
    deep = parse_one(b'{"a":' * 3000 + b"1" + b"}" * 3000)
    msgpack.packb(deep.fields)


def test_what_follows_a_syslog_header_is_the_message_even_if_it_holds_a_time() -> None:
    event = parse_one(b'<29>1 2026-01-15T01:00:43Z hn S - - - 127.0.0.1 - - 1452819643 "GET"', "syslog")
    assert event.message == '127.0.0.1 - - 1452819643 "GET"'


@pytest.mark.parametrize("number", [b"99999999999999999", b"-1", b"1e300", b"NaN", b"18446744073709551616"])
def test_a_number_that_no_clock_has_shown_is_not_the_time(number: bytes) -> None:
    record = Record(1_790_000_000_000_000_000, "app", "line", "here", b'{"ts": %s, "msg": "x"}' % number)
    (event,), columns = Parser().parse([record], 1, 1)
    assert event.event_ns == record.observed_ns == columns.event_ns[0]
