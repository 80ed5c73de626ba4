"""Queries of name servers and packets of firewalls under the names of the taxonomy. Pure.

Name servers: bind, dnsmasq, unbound. Firewalls: iptables, nftables and ufw (lines of the kernel), pf (filterlog),
Cisco ASA. `action` of a packet is `accept`, `drop` or `reject`; `outcome` is `failure` if it was kept out.
"""

from __future__ import annotations

import re
from typing import Any

_ADDRESS = r"([0-9a-fA-F.:]{2,45})"
_NAME = r"([\w.*/-]{1,255})"
_BIND = re.compile(
    rf"client (?:@0x[0-9a-f]{{1,16}} )?{_ADDRESS}#(\d{{1,5}})(?: \({_NAME}\))?: "
    r"(?:view [\w-]{1,64}: )?(?:query:|query) "
)
_BIND_QUERY = re.compile(rf"query: {_NAME} IN ([A-Z0-9]{{1,10}})")
_DNSMASQ_QUERY = re.compile(rf"query\[([A-Z0-9=]{{1,12}})\] {_NAME} from {_ADDRESS}")
_DNSMASQ_ANSWER = re.compile(rf"(?:reply|cached|config|/etc/hosts) {_NAME} is (\S{{1,255}})")
_UNBOUND = re.compile(rf"(?:^|info: ){_ADDRESS} {_NAME} ([A-Z0-9]{{1,10}}) IN")
NAME_SERVERS = frozenset(("named", "dnsmasq", "unbound", "pdns", "pdns_recursor", "bind", "bind9", "pihole-ftl"))

_ACTIONS = (
    ("drop", ("drop", "block", "deny", "denied", "-d]", "-d-")),
    ("reject", ("reject", "-r]", "-r-")),
    ("accept", ("accept", "allow", "pass", "permit", "-a]", "-a-")),
)
_ASA = re.compile(
    rf"\b(Deny|denied|Denied|permitted|Built)\b[^/]{{0,80}}? (?:src )?[\w-]{{1,64}}[:/]{_ADDRESS}[/(](\d{{1,5}})\)?"
    rf"[^:/]{{0,60}}[ :/]{_ADDRESS}[/(](\d{{1,5}})"
)


def add_query(fields: dict[str, Any], message: str) -> None:
    """Add what a line of a name server says of a query or an answer."""
    text = message[:1024]
    if client := _BIND.search(text):
        fields["src_ip"], fields["src_port"] = client[1], client[2]
        if found := _BIND_QUERY.search(text):
            fields["query"], fields["record_type"] = found[1], found[2]
    elif found := _DNSMASQ_QUERY.search(text):
        fields["record_type"], fields["query"], fields["src_ip"] = found.groups()
    elif found := _DNSMASQ_ANSWER.search(text):
        fields["query"], fields["answer"] = found.groups()
    elif found := _UNBOUND.search(text):
        fields["src_ip"], fields["query"], fields["record_type"] = found[1], found[2].rstrip("."), found[3]


def add_packet(fields: dict[str, Any], message: str) -> None:
    """Add what a firewall of the kernel says of a packet; its pairs are fields already."""
    for target, name in (("src_ip", "SRC"), ("dst_ip", "DST"), ("src_port", "SPT"), ("dst_port", "DPT"), ("protocol", "PROTO")):
        if name in fields:
            fields[target] = fields[name]
    prefix = message.partition("SRC=")[0][:256].lower()
    _add_action(fields, prefix)


def add_filterlog(fields: dict[str, Any], message: str) -> None:
    """Add what a line of pf's filterlog says (pfSense, OPNsense: comma-separated, IPv4 from the 9th column on)."""
    columns = message[:1024].split(",")
    if len(columns) < 20:
        return
    place = 18 if columns[8] == "4" else 15
    fields["protocol"] = columns[16 if columns[8] == "4" else 12]
    fields["src_ip"], fields["dst_ip"] = columns[place], columns[place + 1]
    if len(columns) > place + 3 and columns[place + 2].isdecimal() and columns[place + 3].isdecimal():
        fields["src_port"], fields["dst_port"] = columns[place + 2], columns[place + 3]
    _add_action(fields, columns[6])


def add_asa(fields: dict[str, Any], message: str) -> None:
    """Add what a Cisco ASA says of a connection."""
    found = _ASA.search(message[:512])
    if found:
        fields["src_ip"], fields["src_port"], fields["dst_ip"], fields["dst_port"] = found.groups()[1:]
        _add_action(fields, "deny" if found[1].lower() in ("deny", "denied") else "permit")


def _add_action(fields: dict[str, Any], text: str) -> None:
    for action, words in _ACTIONS:
        if any(word in text for word in words):
            fields["action"] = action
            fields["outcome"] = "success" if action == "accept" else "failure"
            fields["blocked"] = "false" if action == "accept" else "true"
            return
