"""Access to the front end: exact allow-lists of Host and Origin, and a token where one is set. Pure.

Host is checked against DNS rebinding: a page of an attacker that resolves its own name to 127.0.0.1 sends that name.
Origin is checked against other pages' scripts, for WebSockets too, which no same-origin policy covers. Comparing one
with the other is not enough: under rebinding both name the attacker.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from urllib.parse import urlsplit

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


class Refusal(Exception):
    """A request that is not served; `status` is the HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Guard:
    def __init__(self, listen: str, token: str, allowed_origins: Iterable[str]) -> None:
        listen, allowed_origins = listen.lower(), [origin.lower() for origin in allowed_origins]
        port = listen.rpartition(":")[2]
        hosts = {listen, *(f"{name}:{port}" for name in LOOPBACK_NAMES)}
        if port == "80":
            hosts |= {host.removesuffix(":80") for host in hosts}
        self._origins = {f"http://{host}" for host in hosts} | {origin.rstrip("/") for origin in allowed_origins}
        self._hosts = hosts | {urlsplit(origin).netloc for origin in allowed_origins} - {""}
        self._token = token.encode()

    def check(self, *, host: str, origin: str | None, tokens: Iterable[str]) -> None:
        """Let a request pass. Raises Refusal."""
        if host.lower() not in self._hosts:
            raise Refusal(421, "this Host is not served here; add it to http.allowed_origins")
        if origin is not None and origin.lower() not in self._origins:
            raise Refusal(403, "this Origin is not allowed; add it to http.allowed_origins")
        if self._token and not any(hmac.compare_digest(token.encode(), self._token) for token in tokens):
            raise Refusal(401, "a token is needed: Authorization: Bearer TOKEN, or ?token=TOKEN")
