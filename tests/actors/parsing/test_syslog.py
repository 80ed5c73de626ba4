"""Headers of RFC 5424 and of RFC 3164 as it is met."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.parsing.syslog import SyslogMessage, parse_syslog
from actors.parsing.times import Clock
from protocol.clock import format_time, parse_time
from tests.benchmarks import syslog as vectors

OBSERVED_NS = parse_time("2026-06-01T00:00:00Z")


def read(body: bytes) -> SyslogMessage:
    return parse_syslog(body, Clock(UTC), OBSERVED_NS)


def test_rfc_5424_in_full() -> None:
    parsed = read(
        b'<165>1 2026-05-13T15:29:59.998+02:00 web1 app 12 ID47 [a@1 k="v\\"\\]\\\\" e=""][b] \xef\xbb\xbfhello \xff'
    )
    assert (parsed.facility, parsed.severity, parsed.version) == (20, 5, 1)
    assert format_time(parsed.time_ns or 0) == "2026-05-13T13:29:59.998Z"
    assert (parsed.host, parsed.app, parsed.procid, parsed.msgid) == ("web1", "app", "12", "ID47")
    assert parsed.structured_data == {"a@1": {"k": 'v"]\\', "e": ""}, "b": {}}
    assert parsed.message == "hello \\xff"
    assert parsed.error is None


def test_a_host_name_over_its_length_is_cut() -> None:
    parsed = read(b"<1>1 - " + b"h" * 300 + b" app - - - x")
    assert len(parsed.host or "") == 255 and parsed.error == "host is longer than 255 characters" and parsed.message == "x"


def test_nil_values_are_none() -> None:
    parsed = read(b"<1>1 - - - - - -")
    assert (parsed.time_ns, parsed.host, parsed.app, parsed.structured_data, parsed.message) == (None,) * 4 + ("",)


@pytest.mark.parametrize(
    ("body", "host", "app", "procid", "message"),
    [
        (b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed", "mymachine", "su", None, "'su root' failed"),
        (b"<34>Oct 11 22:14:15 mymachine su[42]: x\r\n\x00", "mymachine", "su", "42", "x"),
        (b"<34>2026-05-13T01:02:03.5+02:00 h sshd(pam_unix)[1]: x", "h", "sshd(pam_unix)", "1", "x"),
        (b"<34>Apr 15 2026 21:28:13: %ASA-6-302014: Teardown", None, "%ASA-6-302014", None, "Teardown"),
        (b"<34>29: *Apr 15 2026 21:28:13.123: %SYS-5-CONFIG_I: x", None, "%SYS-5-CONFIG_I", None, "x"),
        (b"<34>Apr 15 21:28:13 2026 router app: x", "router", "app", None, "x"),
        (b"<34>Oct  1 22:14:15 cron[7]: x", None, "cron", "7", "x"),
        (b"<34>Oct 11 22:14:15 h last message repeated 2 times", "h", None, None, "last message repeated 2 times"),
        (b"<34>app: no time", None, "app", None, "no time"),
        (b"<34>Oct 11 22:14:15 h tag:x", "h", "tag", None, "x"),
        (b"<34>Oct 11 22:14:15 h su(pam_unix): x", "h", "su(pam_unix)", None, "x"),
        (b"<34>Oct 11 22:14:15 h imap(ann)<77><x1>: x", "h", "imap", None, "x"),
        (b"just words", None, None, None, "just words"),
    ],
)
def test_rfc_3164_as_it_is_met(
    body: bytes, host: str | None, app: str | None, procid: str | None, message: str
) -> None:
    parsed = read(body)
    assert (parsed.host, parsed.app, parsed.procid, parsed.message) == (host, app, procid, message)


@pytest.mark.parametrize(
    "body",
    [
        b"<192>1 - - - - - -",
        b"<002>1 - - - - - -",
        b"<>x",
        b"<1>2 ",
    ],
)
def test_what_is_not_valid_is_a_message_as_a_whole(body: bytes) -> None:
    parsed = read(body)
    assert parsed.message == body.decode()
    assert parsed.error


@pytest.mark.parametrize(
    ("body", "host", "app", "message"),
    [
        (b"<1>1 2026-13-01T00:00:00Z web1 - - - -", "web1", None, ""),
        (b"<1>1 - - - - - [a][a] duplicate", None, None, "[a][a] duplicate"),
        (b'<1>1 - - - - - [a k="]"] x', None, None, '[a k="]"] x'),
        (b"<1>1 2026-05-13T15:29:59Z web1 app 12 - refused by 192.0.2.1", "web1", "app", "refused by 192.0.2.1"),
        (b"<1>1 2026-05-13T15:29:59Z web1 app", "web1", "app", ""),
        (b'<1>1 2026-05-13T15:29:59Z fw1 CP 1 - [action:"Drop"; n:"1"]', "fw1", "CP", '[action:"Drop"; n:"1"]'),
    ],
)
def test_a_fault_behind_the_header_of_rfc_5424_is_noted_and_the_rest_kept(
    body: bytes, host: str | None, app: str | None, message: str
) -> None:
    parsed = read(body)
    assert (parsed.host, parsed.app, parsed.message) == (host, app, message)
    assert parsed.error


@given(
    st.binary(max_size=120), st.sampled_from([b"", b"<13>", b"<13>1 ", b"<13>1 - - - - - [", b"<13>Oct 11 22:14:15 "])
)
def test_any_bytes_are_a_message(body: bytes, lead: bytes) -> None:
    assert isinstance(read(lead + body).message, str)


@pytest.mark.skipif(not (vectors.DATA / "telegraf").is_dir(), reason="the shared vectors are not here")
def test_no_frame_of_the_wire_cases_is_lost_or_merged() -> None:
    folders = sorted(path for path in Path(vectors.DATA / "telegraf").iterdir() if path.is_dir())
    assert [
        detail for folder in folders for kind, detail in [vectors.compare_wire(folder)] if kind == "DIFFERENT"
    ] == []
