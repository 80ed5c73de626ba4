"""Bytes are read as the text that they are, whatever they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.parsing.text import decode


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("Müller".encode(), "Müller"),
        ("\ufeffMüller\n".encode(), "Müller"),
        ("login of Müller failed".encode("latin-1"), "login of Müller failed"),
        ("price 5 €".encode("cp1252"), "price 5 €"),
        (b"Gr\xfc\xdfe aus \xd6sterreich\r\n", "Grüße aus Österreich"),
        ("Müller and M".encode() + b"\xfcller", "Müller and M\\xfcller"),  # neither the one nor the other
        (b"\x00\x01\xff\xfe\x80\x81", "\x00\x01\\xff\\xfe\\x80\\x81"),
        (b"\xd0\xcf\x11\xe0\xa1", "\\xd0\\xcf\x11\\xe0\\xa1"),
        (b"cut in a letter: M\xc3", "cut in a letter: MÃ"),
        (b"a byte that no letter has: \x81", "a byte that no letter has: \\x81"),
        (b"PTHREAD \xf0(\x8c( initialized", "PTHREAD \\xf0(\\x8c( initialized"),
        (b"\x1b[31mred\x1b[0m", "red"),
    ],
)
def test_a_text_is_read(body: bytes, text: str) -> None:
    assert decode(body) == text


@given(st.binary(max_size=200))
def test_anything_is_a_text_that_utf8_can_carry(body: bytes) -> None:
    assert decode(body).encode() is not None


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_utf8_is_what_it_is(text: str) -> None:
    if "\x1b[" not in text and "#033[" not in text:
        assert decode(f"x{text}x".encode()) == f"x{text}x"
