from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.frontend.guard import Guard, Refusal

HOSTS = {"127.0.0.1:8080", "localhost:8080", "[::1]:8080", "tocsin.example.org", "other.example.org:8443"}
ORIGINS = {"http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080", "https://tocsin.example.org"}
ORIGINS |= {"https://other.example.org:8443"}
ALLOWED = ["https://Tocsin.example.org/", "https://other.example.org:8443"]
TOKEN = "a token of some length"


def passes(guard: Guard, host: str, origin: str | None = None, *tokens: str) -> bool:
    try:
        guard.check(host=host, origin=origin, tokens=tokens)
    except Refusal as refusal:
        assert refusal.status in (401, 403, 421) and refusal.reason
        return False
    return True


def near(values: set[str]) -> st.SearchStrategy[str]:
    """Return values that an attacker would try: almost right."""
    right = st.sampled_from(sorted(values))
    return st.one_of(
        right,
        right.map(str.upper),
        st.tuples(right, st.sampled_from([".evil.org", ":1", "/", " ", "\0", "@evil.org", "."])).map("".join),
        st.tuples(st.sampled_from(["evil.org", "x", " ", "evil.org@"]), right).map("".join),
        right.map(lambda value: value[:-1]),
        st.text(max_size=30),
        st.just("null"),
    )


@given(near(HOSTS), st.none() | near(ORIGINS))
def test_only_exact_hosts_and_origins_pass(host: str, origin: str | None) -> None:
    wanted = host.lower() in HOSTS and (origin is None or origin.lower() in ORIGINS)
    assert passes(Guard("127.0.0.1:8080", "", ALLOWED), host, origin) is wanted


@given(st.lists(near({TOKEN}), max_size=4))
def test_only_the_exact_token_passes(tokens: list[str]) -> None:
    guard = Guard("127.0.0.1:8080", TOKEN, [])
    assert passes(guard, "127.0.0.1:8080", None, *tokens) is (TOKEN in tokens)


def test_port_80_needs_no_port() -> None:
    guard = Guard("127.0.0.1:80", "", [])
    assert passes(guard, "localhost") and passes(guard, "localhost:80", "http://localhost")
    assert not passes(Guard("127.0.0.1:8080", "", []), "localhost")


def test_under_rebinding_host_and_origin_agree_and_are_refused() -> None:
    assert not passes(Guard("127.0.0.1:8080", "", []), "evil.org:8080", "http://evil.org:8080")


def test_how_it_refuses() -> None:
    guard = Guard("127.0.0.1:8080", TOKEN, [])
    for host, origin, status in (("x", None, 421), ("localhost:8080", "null", 403), ("localhost:8080", None, 401)):
        with pytest.raises(Refusal) as refused:
            guard.check(host=host, origin=origin, tokens=())
        assert refused.value.status == status
