"""The stream of an event: the source, the host and the program that the record names.

A source is a receiver, so all of syslog is one source; what is normal is a matter of one program on one host. The key of a
stream is a number of 63 bits, which fits a column of NumPy and of SQLite, and is the same on every machine and for ever.
Streams are as many as whoever writes logs likes: who keeps something of each keeps a bounded number of them.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from protocol.records import Event

MAX_NAME = 255  # characters of a host (RFC 1035, section 2.3.4) and of a program
_SHIFT = 1  # of 64 bits, so that the key is not negative in a signed column


class Stream(NamedTuple):
    """The names of a stream; "" where the record names none."""

    source: str
    host: str  # lower case, for host names are compared without regard to it (RFC 4343)
    program: str


def stream_of(event: Event) -> Stream:
    """Return the stream of an event; its fields `host` and `app` name host and program, whatever the format."""
    fields = event.fields
    return Stream(event.source, _name(fields.get("host")).lower().removesuffix("."), _name(fields.get("app")))


def stream_key(event: Event) -> int:
    """Return the key of an event's stream, from 0 to 2**63 - 1."""
    return _key(stream_of(event))


def _name(value: Any) -> str:
    return value[:MAX_NAME] if isinstance(value, str) else ""


@lru_cache(maxsize=65_536)
def _key(stream: Stream) -> int:
    """Return the first 63 bits of a hash (BLAKE2b, RFC 7693) of the three names, packed so that no two streams run together."""
    digest = blake2b(msgspec.msgpack.encode(stream), digest_size=8, person=b"tocsin stream")
    return int.from_bytes(digest.digest()) >> _SHIFT
