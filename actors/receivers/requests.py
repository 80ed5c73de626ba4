"""Requests that were spooled and not yet answered, so that a client that sends one again does not double it. Pure.

A receiver that dies between the spool and the answer leaves its client without one; the client sends the same bytes
again, to the receiver's successor. The digests of unanswered requests stand in the spool, in the same append as their
records, so the successor knows them, and takes each for a repetition once. Whatever else comes is new, the same bytes
from several clients at once too.

State: at most `MAX_OPEN` digests of one's own, and as many inherited ones for at most `KEEP_S`.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

MAX_OPEN = 1_024
KEEP_S = 120.0  # exporters give up sooner


def digest_of(body: bytes) -> str:
    """Return the digest of a request: 128 bits of its bytes as they came."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()


class OpenRequests:
    """{digest: last spool sequence of its records}: of the predecessor's requests, and of one's own."""

    def __init__(self, inherited: dict[str, int], now_s: float) -> None:
        self._inherited = dict(inherited)
        self._inherited_until_s = now_s + KEEP_S
        self._own: OrderedDict[str, int] = OrderedDict()

    def claim(self, digest: str, now_s: float) -> int | None:
        """Return the last sequence of a request that the predecessor spooled and did not answer; it is then repeated."""
        if now_s > self._inherited_until_s:
            self._inherited.clear()
        return self._inherited.pop(digest, None)

    def add(self, digest: str, last: int) -> None:
        """Note a request that is being spooled."""
        self._own[digest] = last
        while len(self._own) > MAX_OPEN:
            self._own.popitem(last=False)

    def forget(self, digest: str) -> None:
        """Note that a request is answered, or was not spooled."""
        self._own.pop(digest, None)

    def cursor(self) -> dict[str, int]:
        """Return the state that a successor needs."""
        return self._inherited | self._own
