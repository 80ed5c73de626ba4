"""Source address and user of an event where no field says them: from the entities of the message. Pure.

Of several addresses the source is the one behind a word that says so (`from`, `client`, `rhost=` ...) or before an arrow,
else one in brackets that are not themselves in parentheses (what a client calls itself stands there), else the first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from protocol.records import Entity

_SIGNS = tuple(
    (
        'from |from=|from ip |from: |client |client: |client "|client=|rip=|ip=|ip = |ip: |ip address |remote |rhost=|host |'
        'source |src=|src_ip=|peer |attacker \'|address=|address: |ip": "|ip":"|for \'|from <|from [|from ip=|client=[|'
        "from::ffff:|from ::ffff:|from '|from \"|addr="
    ).split("|")
)
_ADDRESSES = ("ipv4", "ipv6")
_PARTS = attrgetter("type", "value")
_REVERSED = "sending packet: from "  # charon: from ours to theirs
_LONGEST = max(map(len, (*_SIGNS, _REVERSED)))
_PORT_AFTER = re.compile(r"\]?(?::| port |#)(\d{1,5})(?![\d.:])")
_TWO_ENDS = re.compile(r"(?<![\w.:])(\d{1,3}(?:\.\d{1,3}){3}):(\d{1,5}),(\d{1,3}(?:\.\d{1,3}){3}):(\d{1,5})(?![\w.:])")
_EPHEMERAL = 1_024  # ports from here on are of clients
_ARROW_AFTER = re.compile(r"(?::\d{1,5})?(?: -> |->)")
_FROM_HOST = re.compile(r"(?:from |rhost=)([A-Za-z\d][\w-]{0,63}(?:\.[\w-]{1,63}){1,8})(?![\w.-])")


def add_origin(fields: dict[str, Any], message: str, entities: Sequence[Entity]) -> None:
    """Add the entities by type, and `src_ip`, `src_port` and `src_host` where the message says them and no field does."""
    addresses: list[str] = []
    for kind, value in map(_PARTS, entities):
        if kind not in fields:
            fields[kind] = value
        if kind in _ADDRESSES:
            addresses.append(value)
    source = fields.get("src_ip")
    if source is None:
        if not addresses:
            _add_host(fields, message)
            return
        source = fields["src_ip"] = addresses[0] if len(addresses) == 1 else _source_of(message, addresses)
    if "src_port" not in fields:
        _add_port(fields, message, str(source))


def _add_host(fields: dict[str, Any], message: str) -> None:
    if ("from " in message or "rhost=" in message) and (found := _FROM_HOST.search(message[:1024])):
        fields["src_host"] = found[1].lower()


def _add_port(fields: dict[str, Any], message: str, source: str) -> None:
    place = message.find(source)
    port = _PORT_AFTER.match(message, place + len(source)) if place >= 0 else None
    if port is not None:
        fields["src_port"] = port[1]


def _source_of(message: str, addresses: Sequence[str]) -> str:
    """Return the address that the message says something came from."""
    if (ends := _TWO_ENDS.search(message)) and int(ends[2]) < _EPHEMERAL <= int(ends[4]) and ends[3] in addresses:
        return ends[3]  # the server stands first, as in Exchange's logs
    bracketed = ""
    for address in addresses:
        place = message.find(address)
        while place >= 0:
            before = message[max(0, place - _LONGEST) : place].lower()
            if before.endswith(_REVERSED):
                break
            if before.endswith(_SIGNS) or _ARROW_AFTER.match(message, place + len(address)):
                return address
            if before.endswith("[") and not before.endswith("(["):
                bracketed = bracketed or address
            place = message.find(address, place + 1)
        else:
            continue
        return next(each for each in addresses if each != address)
    return bracketed or addresses[0]
