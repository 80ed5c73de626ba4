"""Who is named, on lines of services that each say it in their own way."""

from __future__ import annotations

import pytest

from actors.parsing.parse import Parser
from protocol.records import Event, Record


def parse(line: str) -> Event:
    (event,), _ = Parser().parse([Record(1_778_686_199_998_000_000, "file", "line", "", line.encode())], 1, 1)
    return event


@pytest.mark.parametrize(
    ("line", "user"),
    [
        ("Failed authentication attempt for ann from 192.0.2.1:39522: no match", "ann"),
        ('Authentication request for "ann" has been denied (IP: "192.0.2.1").', "ann"),
        ("l2tp,ppp,info,account ann logged in, 10.20.0.14 from 192.0.2.1", "ann"),
        ("[warn] Bad password for ann (192.0.2.1)", "ann"),
        ("[warn] ann was not found in the directory (192.0.2.1)", "ann"),
        ("535 Incorrect authentication data (set_id=ann@example.org)", "ann@example.org"),
        ("ftpd[7]: host (192.0.2.1[192.0.2.1]): USER ann: no such user found", "ann"),
        ("USER ann (Login failed): Incorrect password", "ann"),
        ("ann 192.0.2.1 failed to login", "ann"),
        ('info [panel] 192.0.2.1 - ann "POST /login/ HTTP/1.1" FAILED LOGIN', "ann"),
        ("Login failed for db:shop login:ann@example.org from 192.0.2.1", "ann@example.org"),
        ('*3 user "ann": password mismatch, client: 192.0.2.1', "ann"),
        ("pam_tally2(sudo:auth): user ann (4001) tally 6, deny 5", "ann"),
        ('BIND dn="uid=ann,ou=people,dc=example" method=128', "ann"),
        ("message: user ann authentication failure", "ann"),
        ("May 13 15:29:59 web pkexec[7]: ann: Executing command [USER=root] [TTY=unknown]", "ann"),
    ],
)
def test_a_user_is_named(line: str, user: str) -> None:
    assert user in {each.value for each in parse(line).entities if each.type == "user"}


@pytest.mark.parametrize(
    "line", ["password policy for the site", "the page was not found in 3 tries", "job login: - done", "uid=0 gid=0 done"]
)
def test_nobody_is_named(line: str) -> None:
    assert not {each.value for each in parse(line).entities if each.type == "user"} - {"page"}


def test_a_time_before_a_colon_leads_no_host_and_tag() -> None:
    event = parse("2026-05-13T15:29:59.000Z: Failed Login: username=ann ip=192.0.2.1")
    assert event.message == "Failed Login: username=ann ip=192.0.2.1" and "app" not in event.fields


def test_an_address_with_a_port_is_no_tag() -> None:
    event = parse("2026-05-13T15:29:59.000Z app/one/2 192.0.2.1:44740 10.0.0.1:80 0.0")
    assert event.fields.get("app") is None and "192.0.2.1" in {each.value for each in event.entities}


def test_what_a_container_engine_writes_before_a_line_comes_off() -> None:
    event = parse('2026-05-13T15:29:59.493035218+01:00 stdout F {"method":"GET","user":{"name":"ann"}}')
    assert event.fields["stream"] == "stdout" and event.fields["method"] == "GET"
    assert parse("2026-05-13T15:29:59.493035218+01:00 stderr F user ann logged in").message == "user ann logged in"


def test_a_request_that_is_none_is_kept() -> None:
    fields = parse('192.0.2.1 - - [13/May/2026:15:29:59 +0000] "\\x16\\x03\\x01" 400 0').fields
    assert fields["request"] == "\\x16\\x03\\x01" and fields["status"] == 400 and "url" not in fields


def test_a_syslog_header_is_no_client() -> None:
    fields = parse('May 13 15:29:59 web httpd: 192.0.2.1 - - [13/May/2026:15:29:59 +0000] "GET / HTTP/1.1" 200 5').fields
    assert fields["src_ip"] == "192.0.2.1" and fields["app"] == "httpd"


def test_what_auditd_wrote_long_ago_and_what_was_typed() -> None:
    fields = parse("type=LOGIN msg=audit(1778686199.998:7): login pid=1 uid=0 old auid=4294967295 new auid=0").fields
    assert (fields["old_auid"], fields["new_auid"]) == ("4294967295", "0") and "auid" not in fields
    fields = parse('type=TTY msg=audit(1778686199.998:7): tty pid=1 comm="bash" data=6C737F0D').fields
    assert fields["data"] == "ls\x7f\r"
    fields = parse("type=USER_END msg=audit(1778686199.998:7): msg='PAM: close (hostname=?, terminal=cron res=success)'").fields
    assert fields["res"] == "success"
    assert parse("type=DAEMON_CONFIG msg=audit(1778686199.998:7) changed, auid=0 res=success").fields["res"] == "success"
