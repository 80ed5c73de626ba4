"""The stream of an event: the source, the host and the program that the record names.

A source is a receiver, so all of syslog is one source; what is normal is a matter of one program on one host. The key of a
stream is a number of 63 bits, which fits a column of NumPy and of SQLite, and is the same on every machine and for ever.
Streams are as many as whoever writes logs likes: who keeps something of each keeps a bounded number of them.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

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
    """Return the stream of an event; its fields `host` and `app` name host and program in every format."""
    return _stream(*_names(event))


def stream_key(event: Event) -> int:
    """Return the key of an event's stream, from 0 to 2**63 - 1."""
    return _key(*_names(event))


def _names(event: Event) -> tuple[str, str, str]:
    host, app = event.fields.get("host"), event.fields.get("app")
    return event.source, host[:MAX_NAME] if type(host) is str else "", app[:MAX_NAME] if type(app) is str else ""


def _stream(source: str, host: str, program: str) -> Stream:
    return Stream(source, host.lower().removesuffix("."), program)


@lru_cache(maxsize=16_384)
def _key(source: str, host: str, program: str) -> int:
    """Return the first 63 bits of a hash (BLAKE2b, RFC 7693) of the three names, packed so that no two streams run together."""
    packed = msgspec.msgpack.encode(_stream(source, host, program))
    return int.from_bytes(blake2b(packed, digest_size=8, person=b"tocsin stream").digest()) >> _SHIFT
