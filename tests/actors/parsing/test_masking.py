"""What anyone can see to be a variable is one, and what tells statements and states apart is not."""

from __future__ import annotations

import time

import pytest

from actors.parsing.masking import Masking


@pytest.mark.parametrize(
    ("message", "masked"),
    [
        ("took 12.5ms for 36KB, 1.5 s", "took <*> for <*>, <*> s"),
        ("freed 5.2 KB of 1,024 MB", "freed <*> of <*>"),
        ('acquire lock=181, tag="View Lock", name=a', 'acquire lock=<*>, tag="<*>", name=a'),
        ('10.0.0.1 "GET /v2/detail HTTP/1.1" status: 200', '<*> "GET <*> HTTP/<*>" status: <*>'),
        ('"SyncLoop (probe)" probe="readiness"', '"SyncLoop (probe)" probe="<*>"'),
        ('state is "Active" now', 'state is "Active" now'),
        ("sent mail 'Order shipped' to x", "sent mail '<*>' to x"),
        ("can't do what isn't there", "can't do what isn't there"),
        ('pods=["a/b", "c"] ready', "pods=[<*>] ready"),
        ("shown=true, moved= false x", "shown=<*>, moved= <*> x"),
        ("enabled=true x", "enabled=true x"),
        ("duration: 1.2 ms  statement: SELECT * FROM t WHERE x = 'a b'", "duration: <*> ms statement: <*>"),
        ("Process com.example.mail/.Core (pid 5) has died", "Process <*> (pid <*>) has died"),
        ("action android.intent.action.SCREEN_ON", "action android.intent.action.SCREEN_ON"),
        ("Interface GigabitEthernet3/0/11, changed state to up", "Interface <*>, changed state to up"),
        ("ssh2 and sha256 of Jan Feb", "ssh2 and <*> of <*> <*>"),
    ],
)
def test_a_message_is_masked(message: str, masked: str) -> None:
    tokens = Masking().tokens(message, 96)
    assert " ".join(tokens) == masked


@pytest.mark.parametrize("piece", ['"', "'", "a='", '="', "1.", "a.b", "(1 KB", "true=", "[\"", "execute : SELECT "])
def test_masking_is_linear(piece: str) -> None:
    message = (piece * 30_000)[:60_000]
    began_s = time.process_time()
    Masking().tokens(message, 96)
    assert time.process_time() - began_s < 0.5
