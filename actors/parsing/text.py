"""Bytes as text. Pure."""

from __future__ import annotations

import re

_CONTROLS = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]")  # but the end of a line and colours
_ALONE = re.compile(rb"(?<![A-Za-z\xc0-\xff])[\xc0-\xff](?![A-Za-z\xc0-\xff])")  # a letter that is in no word
_COLOURS = re.compile(r"(?:\x1b|#033)\[[\d;]{0,16}m")  # as they are, and as rsyslog writes them


def decode(body: bytes) -> str:
    """Return the text without its trailer and a terminal's colours.

    A text that is not UTF-8 is read as Windows-1252, of which Latin-1 is a part, if it can be one; else the bytes that are not
    UTF-8 stay readable as `\\xf0`.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = _decode_other(body)
    text = text.rstrip("\r\n\x00")
    if text[:1] == "\ufeff":
        text = text[1:]
    return _COLOURS.sub("", text) if "\x1b[" in text or "#033[" in text else text


def _decode_other(body: bytes) -> str:
    """Return bytes that are not UTF-8 as text: a letter is a byte, if it has no letter of UTF-8 and looks like words."""
    escaped = body.decode("utf-8", "backslashreplace")
    high = sum(byte > 127 for byte in body)
    if escaped.isascii() and 3 * high <= len(body) and _CONTROLS.search(body) is None and _ALONE.search(body) is None:
        try:
            return body.decode("cp1252")
        except UnicodeDecodeError:
            pass  # a byte that no letter has
    return escaped
