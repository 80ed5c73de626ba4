"""Who is at the other end of a connection, for the lines of it that do not say it.

PostgreSQL, slapd, MongoDB, strongSwan, Postfix and others name the client once, when it connects, and then only the process or
the number of the connection: what fails after that would be nobody's. The address of the first line is noted for the others as
`src_ip`, with `src_ip_of: connection`. Only forms are known in which a process or number is one connection's alone.
"""

from __future__ import annotations

import re
from typing import Any

from protocol.clock import NS_PER_S

MAX_OPEN = 8_192
MAX_AGE_NS = 3_600 * NS_PER_S  # of event time, since the line that names the client
SOURCE_FIELD = "src_ip_of"

_ADDRESS = r"(\d{1,3}(?:\.\d{1,3}){3}|[\da-fA-F]{0,4}:[\da-fA-F:]*:[\da-fA-F:.]*)"
_BY_PROCESS = re.compile(rf"(?:connection received: host=|^connect from [\w.-]{{1,255}}\[){_ADDRESS}")
_BY_NUMBER = re.compile(
    rf"(?:ACCEPT from IP=\[?|connection accepted from |received packet: from |smtp connected address=){_ADDRESS}"
)
_NUMBER = re.compile(
    r"<([\w.:-]{1,64}\|\d{1,10})>|\bconn=(\d{1,12})\b|\[conn(\d{1,12})\]|\d #(\d{1,12}) \(|^([0-9a-f]{16}) smtp "
)
_ENDS = ("disconnect from", "end connection", " closed", "disconnection:")
_Key = tuple[str, str, str, str]


class Connections:
    """State: the client of each open connection that named it, the oldest forgotten first. It is rebuilt after a restart."""

    def __init__(self) -> None:
        self._clients: dict[_Key, tuple[str, int]] = {}

    def note(self, source: str, fields: dict[str, Any], message: str, event_ns: int) -> None:
        """Take up the client that a message names, or name that of its connection in the fields."""
        if (
            "received: host=" in message
            or "connect from " in message
            or "accepted from " in message
            or "ACCEPT from " in message
            or "received packet: " in message
            or "smtp connected " in message
        ):
            self._open(source, fields, message, event_ns)
        elif self._clients and "src_ip" not in fields:
            self._name(source, fields, message, event_ns)

    def _open(self, source: str, fields: dict[str, Any], message: str, event_ns: int) -> None:
        if found := _BY_PROCESS.search(message):
            key = _key(source, fields, "")
        elif (found := _BY_NUMBER.search(message)) and (number := _number(fields, message)):
            key = _key(source, fields, number)
        else:
            if self._clients:
                self._name(source, fields, message, event_ns)
            return
        if key is not None:
            self._clients.pop(key, None)
            self._clients[key] = found[1], event_ns
            if len(self._clients) > MAX_OPEN:
                del self._clients[next(iter(self._clients))]

    def _name(self, source: str, fields: dict[str, Any], message: str, event_ns: int) -> None:
        number = _number(fields, message)
        key = _key(source, fields, number)
        client = self._clients.get(key) if key is not None else None
        if client is None or key is None:
            return
        if any(end in message for end in _ENDS):
            del self._clients[key]
        if abs(event_ns - client[1]) <= MAX_AGE_NS and "src_ip" not in fields:
            fields["src_ip"], fields[SOURCE_FIELD] = client[0], "connection"


def _number(fields: dict[str, Any], message: str) -> str:
    """Return what numbers the connection, in the message or in the thread that a logger names; "" if nothing does."""
    if found := _NUMBER.search(message):
        return str(found[found.lastindex or 0])
    for name in ("ctx", "thread", "component"):
        value = fields.get(name)
        if type(value) is str and value.startswith("conn") and value[4:].isdecimal():
            return value[4:]
    return ""


def _key(source: str, fields: dict[str, Any], number: str) -> _Key | None:
    """Return what a connection is known by; None if neither a process nor a number says it."""
    process = "" if number else str(fields.get("procid") or fields.get("pid") or "")
    if not (number or process):
        return None
    host = fields.get("host", "") if "app" in fields else ""  # else it may be a pair of the message
    return source, str(host), number, process
