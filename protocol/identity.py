"""Identities that never change: ULIDs of events and alerts, UUIDs of entities, names of templates.

An event's ULID is 48 bits of milliseconds (when the record was observed), 32 bits of the tag of the receiver's spool
and 48 bits of its sequence there, so that a record that is sent again after a crash has the id that it had before
(ULID specification, https://github.com/ulid/spec: 48 bits of time, 80 bits that need only be unique).
"""

from __future__ import annotations

import hashlib
import uuid
from functools import lru_cache

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _CROCKFORD for b in _CROCKFORD]  # 10 bits a look-up
_VALUES = {letter: value for value, letter in enumerate(_CROCKFORD)}

ENTITY_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:tocsin:entity")
_ENTITY_PREFIX = hashlib.sha1(ENTITY_NAMESPACE.bytes, usedforsecurity=False)

MAX_TAG = (1 << 32) - 1
MAX_SEQUENCE = (1 << 48) - 1


def encode_ulid(value: int) -> str:
    """Return the 26 Crockford letters of a 128-bit number."""
    pairs, low = _PAIRS, value & ((1 << 50) - 1)
    return (
        _upper_letters(value >> 50)
        + pairs[low >> 40]
        + pairs[low >> 30 & 1023]
        + pairs[low >> 20 & 1023]
        + pairs[low >> 10 & 1023]
        + pairs[low & 1023]
    )


@lru_cache(maxsize=4_096)
def _upper_letters(value: int) -> str:
    """Return the first 16 letters, of 80 bits: those of a spool's records within a millisecond are the same."""
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(70, -1, -10)])


def decode_ulid(text: str) -> int:
    """Return the 128-bit number of 26 Crockford letters. Raises ValueError for anything else."""
    if len(text) != 26 or text[0] > "7":
        raise ValueError(f"not a ULID: {text[:40]!r}")
    value = 0
    for letter in text.upper() if text.isascii() else text:  # some letters become two in upper case
        if letter not in _VALUES:
            raise ValueError(f"not a ULID: {text[:40]!r}")
        value = value << 5 | _VALUES[letter]
    return value


def event_number(observed_ms: int, tag: int, sequence: int) -> int:
    """Return the 128-bit number of an event: milliseconds (48 bits), spool tag (32 bits), spool sequence (48 bits)."""
    return (observed_ms & MAX_SEQUENCE) << 80 | (tag & MAX_TAG) << 48 | (sequence & MAX_SEQUENCE)


def alert_id(time_ms: int, dedup_key: str, cause: str) -> str:
    """Return `alr_` and a ULID that the same cause always gets: of its time, key and causing event."""
    digest = hashlib.sha256(f"{dedup_key}\0{cause}".encode("utf-8", "surrogatepass")).digest()
    return "alr_" + encode_ulid((time_ms & MAX_SEQUENCE) << 80 | int.from_bytes(digest[:10], "big"))


@lru_cache(maxsize=65_536)
def entity_uuid(kind: str, value: str) -> str:
    """Return the UUIDv5 (RFC 9562, section 5.5) of an entity: of its type and canonical value."""
    digest = _ENTITY_PREFIX.copy()
    digest.update(f"{kind}:{value}".encode("utf-8", "surrogatepass"))
    raw = bytearray(digest.digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x50
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def template_name(number: int) -> str:
    """Return `drain_` and at least four digits."""
    return f"drain_{number:04d}"


def template_number(name: str) -> int:
    """Return the number of a template's name. Raises ValueError."""
    prefix, _, digits = name.partition("_")
    if prefix != "drain" or not digits.isdecimal() or not digits.isascii():
        raise ValueError(f"not a template id: {name[:40]!r}")
    return int(digits)
