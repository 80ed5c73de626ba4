"""Requests that were spooled and not yet answered, so that a client that sends one again does not double it. Pure.

A receiver that dies between the spool and the answer leaves its client without one; the client sends the same bytes
again, to the receiver's successor. The digests of unanswered requests stand in the spool, in the same append as their
records, so the successor knows them. What is answered is forgotten at once: the same bytes again are then new records.

State: at most `MAX_OPEN` digests, each for at most `KEEP_S`.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict

MAX_OPEN = 1_024
KEEP_S = 120.0  # exporters give up sooner


def digest_of(body: bytes) -> str:
    """Return what a request is known by: 128 bits of its bytes as they came."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()


class OpenRequests:
    """{digest: last spool sequence of its records}."""

    def __init__(self, inherited: dict[str, int], now_s: float) -> None:
        self._open = OrderedDict((digest, (last, now_s + KEEP_S)) for digest, last in inherited.items())

    def find(self, digest: str, now_s: float) -> int | None:
        """Return the last sequence of this very request if it was spooled and not answered."""
        while self._open and next(iter(self._open.values()))[1] < now_s:
            self._open.popitem(last=False)
        found = self._open.get(digest)
        return None if found is None else found[0]

    def add(self, digest: str, last: int, now_s: float) -> None:
        self._open[digest] = (last, now_s + KEEP_S)
        while len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)

    def forget(self, digest: str) -> None:
        self._open.pop(digest, None)

    def cursor(self) -> dict[str, int]:
        """Return what a successor has to know."""
        return {digest: last for digest, (last, _) in self._open.items()}
