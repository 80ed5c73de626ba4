"""Entries of the journal, read."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.parsing.parse import Parser
from protocol.messages import encode
from protocol.records import Event, JournalRecord, Record

OBSERVED_NS = 1_800_000_000_000_000_000


def read(fields: list[tuple[str, bytes]], cut: list[str] | None = None) -> Event:
    body = encode(JournalRecord(fields, cut or []))
    (event,), _ = Parser().parse([Record(OBSERVED_NS, "journald", "journal", "", body, bool(cut))], 1, 1)
    return event


def entry(**fields: bytes) -> list[tuple[str, bytes]]:
    return list(fields.items())


SSHD = entry(
    __CURSOR=b"s=1;i=2",
    __REALTIME_TIMESTAMP=b"1700000000500000",
    _SOURCE_REALTIME_TIMESTAMP=b"1700000000123456",
    _HOSTNAME=b"web-1",
    SYSLOG_IDENTIFIER=b"sshd",
    SYSLOG_FACILITY=b"4",
    PRIORITY=b"4",
    _PID=b"4711",
    SYSLOG_PID=b"4710",
    _COMM=b"sshd",
    _SYSTEMD_UNIT=b"ssh.service",
    MESSAGE=b"Failed password for root from 192.0.2.7 port 22 ssh2",
)


def test_what_syslog_has_too_has_the_same_names_and_all_else_its_own() -> None:
    event = read(SSHD)
    assert event.message == "Failed password for root from 192.0.2.7 port 22 ssh2"
    assert event.event_ns == 1_700_000_000_123_456_000
    assert event.severity == 13
    assert event.fields == {
        "facility": "auth",
        "priority": 4 << 3 | 4,
        "host": "web-1",
        "app": "sshd",
        "procid": "4711",
        "unit": "ssh.service",
        "SYSLOG_PID": "4710",
        "_COMM": "sshd",
        "PRIORITY": "4",
        "SYSLOG_FACILITY": "4",
        "__CURSOR": "s=1;i=2",
        "__REALTIME_TIMESTAMP": "1700000000500000",
        "_SOURCE_REALTIME_TIMESTAMP": "1700000000123456",
    }
    assert ("ipv4", "192.0.2.7") in [(entity.type, entity.value) for entity in event.entities]


def test_the_template_is_that_of_the_same_message_over_syslog() -> None:
    parser, line = Parser(), b"Failed password for root from 192.0.2.7 port 22 ssh2"
    journal = Record(OBSERVED_NS, "journald", "journal", "", encode(JournalRecord(SSHD, [])))
    syslog = Record(OBSERVED_NS, "syslog", "syslog", "", b"<36>Nov 14 22:13:20 web-1 sshd[4711]: " + line)
    (first, second), _ = parser.parse([journal, syslog], 1, 1)
    assert first.template_id == second.template_id
    shared = ("facility", "priority", "host", "app", "procid")
    assert [first.fields[name] for name in shared] == [second.fields[name] for name in shared]
    assert first.entities == second.entities


def test_the_level_that_a_message_names_goes_before_the_priority_of_its_stream() -> None:
    message = b'{"level": "error", "msg": "cannot connect", "peer": "db-1"}'
    event = read(entry(PRIORITY=b"6", MESSAGE=message))
    assert event.severity == 17 and event.fields["peer"] == "db-1"
    assert read(entry(PRIORITY=b"3", MESSAGE=b'{"level": "info", "msg": "x"}')).severity == 9


def test_binary_and_repeated_and_missing_fields() -> None:
    event = read([("MESSAGE", b"one"), ("MESSAGE", b"two"), ("BLOB", b"\xff\x00\x01"), ("T", b"1"), ("T", b"2")])
    assert event.message == "one" and event.fields["MESSAGE"] == "two"
    assert event.fields["BLOB"] == "\\xff\x00\x01" and event.fields["T"] == ["1", "2"]
    assert event.event_ns == OBSERVED_NS
    assert read([("PRIORITY", b"3")]).message == ""


def test_what_was_cut_is_said() -> None:
    fields = read([("MESSAGE", b"crashed"), ("COREDUMP", b"x")], cut=["COREDUMP"]).fields
    assert fields["truncated"] is True and fields["cut_fields"] == ["COREDUMP"]


def test_a_user_service_has_its_own_unit() -> None:
    fields = read(entry(_SYSTEMD_UNIT=b"user@1000.service", _SYSTEMD_USER_UNIT=b"app.service")).fields
    assert fields["unit"] == "app.service" and fields["_SYSTEMD_UNIT"] == "user@1000.service"


NUMBERS = st.sampled_from(["PRIORITY", "SYSLOG_FACILITY", "_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"])
hostile: Any = st.one_of(st.binary(max_size=30), st.sampled_from([b"-1", b"9" * 40, b"8", "٣".encode(), b"", b"1e3", b" 3"]))


@given(st.lists(st.tuples(NUMBERS | st.sampled_from(["MESSAGE", "_PID", "host"]), hostile), max_size=8))
def test_hostile_values_are_kept_and_break_nothing(fields: list[tuple[str, bytes]]) -> None:
    event = read(fields)
    assert "parse_error" not in event.fields
    assert 1 <= event.severity <= 24 and 0 <= event.event_ns < 1 << 63
