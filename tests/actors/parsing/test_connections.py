"""Lines of a connection name the client that its first line named, and no other line does."""

from __future__ import annotations

import pytest

from actors.parsing.connections import MAX_AGE_NS, MAX_OPEN, SOURCE_FIELD, Connections
from actors.parsing.parse import Parser
from protocol.clock import parse_time
from protocol.records import Event, Record

READ_NS = parse_time("2026-11-26T13:00:00.000Z")
POSTGRES = (
    "2026-11-26 12:00:00.140 UTC [30113] LOG:  connection received: host=192.0.2.95 port=51451",
    '2026-11-26 12:00:01.152 UTC [30113] app@shop FATAL:  password authentication failed for user "app"',
)
SLAPD = (
    "Nov 26 12:00:00 ldap slapd[9]: conn=1022 fd=12 ACCEPT from IP=192.0.2.95:51451 (IP=0.0.0.0:389)",
    "Nov 26 12:00:01 ldap slapd[9]: conn=1022 op=1 RESULT tag=97 err=49 text=",
)
MONGODB = (
    "2026-11-26T12:00:00.111+0000 I NETWORK  [listener] connection accepted from 192.0.2.95:53276 #17 (1 connection now open)",
    "2026-11-26T12:00:01.111+0000 I ACCESS   [conn17] SCRAM-SHA-1 authentication failed for root on admin",
)
CHARON = (
    "Nov 26 12:00:00 vpn charon: 06[NET] <3fdb463d|83> received packet: from 192.0.2.95[28808] to 10.0.0.1[4500] (144 bytes)",
    "Nov 26 12:00:01 vpn charon: 11[IKE] <3fdb463d|83> EAP method EAP_MSCHAPV2 failed for peer ann",
)
POSTFIX = (
    "Nov 26 12:00:00 mail postfix/smtpd[41]: connect from unknown[192.0.2.95]",
    "Nov 26 12:00:01 mail postfix/smtpd[41]: warning: SASL authentication failure: cannot connect to saslauthd server",
)


def parse(*lines: str, source: str = "file") -> list[Event]:
    return Parser().parse([Record(READ_NS, source, "line", "", line.encode()) for line in lines], 1, 1)[0]


@pytest.mark.parametrize("lines", [POSTGRES, SLAPD, MONGODB, CHARON, POSTFIX])
def test_what_follows_on_a_connection_is_of_its_client(lines: tuple[str, str]) -> None:
    _, event = parse(*lines)
    assert (event.fields["src_ip"], event.fields[SOURCE_FIELD]) == ("192.0.2.95", "connection")
    assert "192.0.2.95" in [entity.value for entity in event.entities]


@pytest.mark.parametrize(
    ("opens", "other"),
    [
        (POSTGRES[0], POSTGRES[1].replace("30113", "30114")),
        (SLAPD[0], SLAPD[1].replace("conn=1022", "conn=1023")),
        (SLAPD[0], SLAPD[1].replace(" ldap ", " other ")),
        (CHARON[0], CHARON[1].replace("|83>", "|84>")),
        (CHARON[0].replace("<3fdb463d|83> ", ""), CHARON[1].replace("<3fdb463d|83> ", "")),
        (POSTGRES[0], POSTGRES[1].replace(" 12:00:01", " 13:00:01")),
    ],
)
def test_another_connection_or_a_late_line_is_of_nobody(opens: str, other: str) -> None:
    assert "src_ip" not in parse(opens, other)[1].fields


def test_another_source_is_of_nobody() -> None:
    parser = Parser()
    for source, line in zip(("a", "b"), POSTGRES, strict=True):
        (event,), _ = parser.parse([Record(READ_NS, source, "line", "", line.encode())], 1, 1)
    assert "src_ip" not in event.fields


def test_the_end_of_a_connection_forgets_it() -> None:
    last = POSTGRES[1].replace("password authentication failed", "disconnection: session time: 0:00:01 of")
    assert "src_ip" not in parse(*POSTGRES[:1], last, POSTGRES[1])[2].fields


def test_open_connections_are_bounded() -> None:
    connections, message = Connections(), "connection received: host=192.0.2.1 port=9"
    for process in range(MAX_OPEN + 10):
        connections.note("a", {"pid": str(process)}, message, MAX_AGE_NS)
    fields: dict[str, object] = {"pid": "3"}
    connections.note("a", fields, "FATAL", MAX_AGE_NS)
    assert "src_ip" not in fields
    fields = {"pid": str(MAX_OPEN)}
    connections.note("a", fields, "FATAL", MAX_AGE_NS)
    assert fields["src_ip"] == "192.0.2.1"
