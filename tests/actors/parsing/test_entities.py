"""Who and what a message speaks of, and what it does not."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.parsing.entities import MAX_ENTITIES, find_entities
from protocol.identity import entity_uuid


def found(message: str, **fields: object) -> list[tuple[str, str]]:
    return [(entity.type, entity.value) for entity in find_entities(message, dict(fields))]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Failed password for root from 10.0.1.42", [("user", "root"), ("ipv4", "10.0.1.42")]),
        (
            "Failed password for invalid user admin from 10.0.1.42 port 4242 ssh2",
            [("user", "admin"), ("ipv4", "10.0.1.42")],
        ),
        ("New session 3 of user bob.", [("user", "bob")]),
        ("Connection from 2001:DB8:0:0::1 port 22", [("ipv6", "2001:db8::1")]),
        ("relay=::ffff:1.2.3.4 refused", [("ipv4", "1.2.3.4")]),
        ("session opened for user root by bob(uid=1000)", [("user", "root"), ("user", "bob")]),
        ("(root) CMD (run-parts)", [("user", "root")]),
        (
            "authentication failure; ruser= rhost=evil.example.com  user=guest",
            [("host", "evil.example.com"), ("user", "guest")],
        ),
        (
            "fetched https://Evil.example.com/a.sh now",
            [("url", "https://Evil.example.com/a.sh"), ("domain", "evil.example.com")],
        ),
        ("mail from <Bob@Example.com> refused", [("email", "bob@example.com")]),
        ("opened /etc/shadow for reading", [("file", "/etc/shadow")]),
    ],
)
def test_what_an_analyst_reads(message: str, expected: list[tuple[str, str]]) -> None:
    assert found(message) == expected


@pytest.mark.parametrize(
    "message",
    [
        "std::vector threw at 12:34:56",
        "updated to version 1.2.3.4",
        "Mozilla/5.0 Chrome/120.0.0.0",
        "org.apache.hadoop.mapreduce.v2.app.MRAppMaster started",
        "main.py line 3 of setup.py failed",
        "session 4242 closed, pid 17",
        "user unknown",
        "mac FF:F2:9F:16:BF:6C",
        "user id 0, uid=1000",
    ],
)
def test_what_is_none(message: str) -> None:
    assert found(message) == []


def test_a_program_is_not_a_domain() -> None:
    assert found("cmd.exe started") == [("process", "cmd.exe")]


def test_fields_come_after_the_message_and_only_once() -> None:
    fields = {"src_ip": "1.2.3.4", "user": "bob", "process": {"name": "sh"}}
    assert found("login by user bob", **fields) == [("user", "bob"), ("ipv4", "1.2.3.4"), ("process", "sh")]


def test_identities_are_those_of_the_protocol() -> None:
    (entity,) = find_entities("seen 10.0.0.1", {})
    assert entity.uuid == entity_uuid("ipv4", "10.0.0.1")


def test_hostile_text_is_bounded() -> None:
    started = time.perf_counter()
    for piece in ("a.", "1.", ":", "a@", "/a", "user ", "for user ", "x=", "=", "0", "\\", "http://", "a:\\b", " - "):
        assert len(find_entities(piece * 30_000, {})) <= MAX_ENTITIES
    assert time.perf_counter() - started < 20  # quadratic patterns would take minutes


@given(st.text(max_size=300), st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=4))
def test_any_text_is_searched(message: str, fields: dict[str, object]) -> None:
    assert len(find_entities(message, fields)) <= MAX_ENTITIES


ADDRESSES = st.one_of(
    st.ip_addresses(v=4, network="203.0.113.0/24").map(str), st.ip_addresses(v=6, network="2001:db8::/32").map(str)
)


@given(ADDRESSES, st.integers(1_024, 65_535), st.sampled_from(["eth0", "wlan1"]))
def test_every_written_form_of_an_address_is_that_address(address: str, port: int, interface: str) -> None:
    is_6 = ":" in address
    kind, bracketed = ("ipv6", f"[{address}]") if is_6 else ("ipv4", address)
    for form in (
        f"login from {address} failed", f"login from {bracketed}:{port} failed", f"peer {address}, next", f"({address})",
        f"client={address};", f"src={bracketed}:{port}", f"<{address}>", f'"{address}"', f"from {address}.",
    ):  # fmt: skip
        assert (kind, address) in {(each.type, each.value) for each in find_entities(form, {})}, form
    behind = f"{address}%{interface}" if is_6 else f"{address}:{port}:X1"
    for value in (address, f"{bracketed}:{port}", behind, f"{address}, 10.0.0.1"):
        assert (kind, address) in {(each.type, each.value) for each in find_entities("x", {"client_ip": value})}, value
    if not is_6:
        assert ("ipv4", address) in {(each.type, each.value) for each in find_entities("x", {"ip": f"::ffff:{address}"})}
