"""From where something came, and who it was about, where no field says so: out of the entities of the message. Pure.

Of several addresses the source is the one behind a word that says so (`from`, `client`, `rhost=` ...) or before an arrow,
else one in brackets that are not themselves in parentheses (what a client calls itself stands there), else the first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from protocol.records import Entity

_SIGNS = tuple(
    (
        'from |from=|from ip |from: |client |client: |client "|client=|rip=|ip=|ip: |ip address |remote |rhost=|host |'
        'source |src=|src_ip=|peer |attacker \'|address=|address: |ip": "|ip":"|for \'|from <|from [|from ip=|client=[|'
        "from::ffff:|from ::ffff:|from '|from \"|addr="
    ).split("|")
)
_REVERSED = "sending packet: from "  # charon: from ours to theirs
_LONGEST = max(map(len, (*_SIGNS, _REVERSED)))
_PORT_AFTER = re.compile(r"\]?(?::| port |#)(\d{1,5})(?![\d.:])")
_ARROW_AFTER = re.compile(r"(?::\d{1,5})?(?: -> |->)")
_FROM_HOST = re.compile(r"(?:from |rhost=|client )([A-Za-z\d][\w-]{0,63}(?:\.[\w-]{1,63}){1,8})(?![\w.-])")


def add_origin(fields: dict[str, Any], message: str, entities: Sequence[Entity]) -> None:
    """Add `src_ip`, `src_port`, `src_host` and `user` where they are not there and the message says them."""
    addresses = [entity.value for entity in entities if entity.type in ("ipv4", "ipv6")]
    if "src_ip" not in fields and addresses:
        fields["src_ip"] = addresses[0] if len(addresses) == 1 else _source_of(message, addresses)
    if "user" not in fields:
        user = next((entity.value for entity in entities if entity.type == "user"), None)
        if user is not None:
            fields["user"] = user
    if "src_ip" in fields and "src_port" not in fields:
        place = message.find(str(fields["src_ip"]))
        port = _PORT_AFTER.match(message, place + len(str(fields["src_ip"]))) if place >= 0 else None
        if port:
            fields["src_port"] = port[1]
    if not addresses and "src_ip" not in fields and (found := _FROM_HOST.search(message[:1024])):
        fields["src_host"] = found[1].lower()


def _source_of(message: str, addresses: Sequence[str]) -> str:
    """Return the address that the message says something came from."""
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
