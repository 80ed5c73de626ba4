"""Entities of a message, as an analyst would read it: users, addresses, hosts, domains, URLs, files.

Entities come in the order in which they appear; what stands in fields only comes after. Values are canonical: names of
machines in lower case, addresses as `ipaddress` writes them, an IPv4 address inside IPv6 as IPv4. Numbers of processes
and sessions are never entities. Cost is bounded: 8 KiB of a message are looked at, patterns are linear and run only if
their sign is there, and an event has at most 32 entities.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any

from actors.parsing.domains import kind_of_name
from actors.parsing.users import find_users, is_user_name
from protocol.identity import entity_uuid
from protocol.records import Entity, EntityType

MAX_ENTITIES = 32
MAX_SCANNED = 8192
_MAX_VALUE = 1024

_IPV4 = re.compile(r"(?<![\w.-])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\w-]|\.\d)")
_IPV6 = re.compile(
    r"(?:(?<![\w:.])|(?<=IPv6:))(?=[0-9A-Fa-f]*:[0-9A-Fa-f:]*:)[0-9A-Fa-f:]{2,39}"
    r"(?:(?<=:)\d{1,3}(?:\.\d{1,3}){3})?(?![\w:]|\.\d)(?:%\w{1,15})?"
)
_VERSION_BEFORE = re.compile(r"\b(?:version|ver|release|rev|revision|build|firmware)\.?[ :=]*$", re.IGNORECASE)
_PRODUCT_BEFORE = re.compile(r"(?<![\w./-])[A-Za-z]+/$")
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@((?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})(?![\w-])")
_URL = re.compile(
    r"\b(?:https?|ftps?|sftp|ssh|ldaps?|wss?|smb|rtsp|hxxps?)://([^\s\"'<>/?#\\]{1,255})[^\s\"'<>]{0,1024}",
    re.IGNORECASE,
)
_REQUEST = re.compile(r"\b(?:GET|POST|PUT|HEAD|DELETE|OPTIONS|PATCH|CONNECT|TRACE|PROPFIND) (/[^\s\"'<>]{0,1024})")
_DOTTED = re.compile(r"(?<![\w.@$\\/-])[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){1,12}(?![\w$\\(@-])")
_DOT_LETTERS = re.compile(r"\.[A-Za-z]{2}")
_UNIX_PATH = re.compile(r"(?<![\w.:/\\<>)\]~%-])(?:/[\w.@+~%#-]{1,255}){2,32}/?")
_WINDOWS_PATH = re.compile(r"(?<![\w\\])[A-Za-z]:\\[^\s\"'<>|*?;,]{1,512}")
_PROCESS = re.compile(r"(?<![\w.\\/-])[\w-]{1,64}\.exe\b", re.IGNORECASE)
_COMMAND = re.compile(r"\b(?:COMMAND|exe|comm)=\"?(/?[\w./+-]{1,255})")
_HASH = re.compile(r"(?<![\w.-])(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{40}|[0-9a-fA-F]{32})(?![\w-])")
_HASH_NAME = re.compile(r"(?:md5|hash|hashes|checksum|digest|imphash)[\"' :=(]*$", re.IGNORECASE)
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_REMOTE_HOST = re.compile(r"(?<![\w.-])(?:rhost|RHOST|remote_host|client_host|rip_host)=([A-Za-z0-9][\w.-]{0,254})")

_Found = tuple[int, EntityType, str]

# Names of fields, as programs spell them, and what their values are.
_FIELD_NAMES: dict[EntityType, str] = {
    "user": (
        "user username user_name userid login account acct ruser suser duser src_user dst_user remote_user "
        "principalname principal clientusername targetusername subjectusername user.name enduser.id"
    ),
    "ipv4": (
        "src_ip srcip source_ip sourceip client_ip clientip dst_ip dstip dest_ip destination_ip destip ip "
        "remote_ip remote_addr remoteaddr peer_ip ipaddress source.ip destination.ip client.ip client.address "
        "addr net.peer.ip source.address sourceipaddress remoteip x_forwarded_for real_ip c-ip laddr"
    ),
    "url": "url uri request_uri http.url url.full request_url url.original cs-uri-stem",
    "domain": "domain query qname dns.question.name sni server_name url.domain",
    "host": "rhost remote_host dest_host destination_host workstation workstationname",
    "email": "email mail from_email to_email user.email",
    "hash": "md5 sha1 sha256 hash file_hash imphash file.hash.sha256 file.hash.md5 file.hash.sha1",
    "file": "file filename file_path filepath path file.path targetfilename",
    "process": "exe comm image process process_name process.name process.executable parentimage",
}
# What the header says of the writer of the message is not what the message speaks of.
_HEADER_FIELDS = frozenset(("host", "app", "procid", "msgid", "facility", "level", "component", "thread", "pid"))
_FIELD_TYPES = {name: kind for kind, names in _FIELD_NAMES.items() for name in names.split()}


@lru_cache(maxsize=32_768)
def _entity(kind: EntityType, value: str) -> Entity:
    return Entity(kind, value, entity_uuid(kind, value))


def find_entities(message: str, fields: dict[str, Any], structured: bool = False) -> list[Entity]:
    """Return the entities of an event. `structured`: its fields say it all, the message is not to be searched."""
    found: list[_Found] = []
    if not structured:
        found = list(_search(message[:MAX_SCANNED]))
        found.sort()
    known = dict.fromkeys([each[1:] for each in found])
    if fields and len(known) < MAX_ENTITIES:
        known.update(dict.fromkeys(_from_fields(fields, 0)))
    return [_entity(kind, value) for kind, value in list(known)[:MAX_ENTITIES]]


def _search(text: str) -> Iterator[_Found]:
    """Yield the matches of each kind of pattern whose sign is there."""
    taken: list[tuple[int, int]] = []
    if "://" in text:
        yield from _search_urls(text, taken)
    if "@" in text:
        for mail in _EMAIL.finditer(text):
            if kind_of_name(mail[1].lower(), stated=True) and not _is_taken(mail.start(), taken):
                taken.append(mail.span())
                yield mail.start(), "email", mail[0].lower()
    if "." in text:
        yield from _search_dotted(text, taken)
    if "::" in text or text.count(":") > 6:
        yield from _search_ipv6(text)
    if "/" in text or "\\" in text:
        yield from _search_paths(text, taken)
    if len(text) >= 32:
        yield from _search_hashes(text)
    if "host=" in text or "HOST=" in text:
        for host in _REMOTE_HOST.finditer(text):
            name = host[1].lower().rstrip(".")
            if not _IPV4.fullmatch(name) and not name.isdecimal():
                yield host.start(1), "host", name
    for place, name in find_users(text):
        yield place, "user", name


def _is_taken(place: int, taken: list[tuple[int, int]]) -> bool:
    return any(start <= place < end for start, end in taken)


def _search_urls(text: str, taken: list[tuple[int, int]]) -> Iterator[_Found]:
    for url in _URL.finditer(text):
        taken.append(url.span())
        value = url[0].rstrip(".,;:)]}")
        yield url.start(), "url", value
        name = url[1].rpartition("@")[2].partition(":")[0].lower()
        kind = kind_of_name(name, stated=True)
        if kind in ("domain", "host"):
            yield url.start(1), "domain" if kind == "domain" else "host", name


def _search_dotted(text: str, taken: list[tuple[int, int]]) -> Iterator[_Found]:
    for address in _IPV4.finditer(text):
        start = address.start()
        if not _is_version(text, address):
            value = _ipv4(address[0])
            if value:
                yield start, "ipv4", value
    for name in _DOTTED.finditer(text) if _DOT_LETTERS.search(text) else ():
        if _is_taken(name.start(), taken):
            continue
        value = name[0].lower()
        kind = kind_of_name(value)
        if kind == "domain" and not text.startswith("=", name.end()) and not _after_remote_host(text, name.start()):
            yield name.start(), "domain", value
        elif kind == "host":
            yield name.start(), "host", value
    if ".exe" in text or ".EXE" in text:
        for process in _PROCESS.finditer(text):
            yield process.start(), "process", process[0].lower()


def _after_remote_host(text: str, start: int) -> bool:
    return text.endswith("rhost=", 0, start)


def _is_version(text: str, address: re.Match[str]) -> bool:
    """Say whether four numbers are a version, as `version 1.2.3.4` or `Chrome/120.0.0.0` is."""
    start = address.start()
    before = text[max(0, start - 24) : start]
    if before.endswith("/"):
        private = address[0].startswith(("10.", "192.168.", "127.", "172."))
        return not private and not text.startswith(":", address.end()) and _PRODUCT_BEFORE.search(before) is not None
    return before[-1:] in (" ", ":", "=", ".") and _VERSION_BEFORE.search(before) is not None


def _search_ipv6(text: str) -> Iterator[_Found]:
    for address in _IPV6.finditer(text):
        value = address[0]
        if "::" not in value and value.count(":") != 7:
            continue
        if not any(map(str.isdigit, value)):
            continue
        known = _ipv6(value)
        if known:
            yield address.start(), known[0], known[1]


def _search_paths(text: str, taken: list[tuple[int, int]]) -> Iterator[_Found]:
    requests: list[tuple[int, int]] = []
    if " /" in text:
        for request in _REQUEST.finditer(text):
            requests.append(request.span())
            yield request.start(1), "url", request[1].partition("?")[0]
    commands = {}
    if "COMMAND=" in text or "exe=" in text or "comm=" in text:
        for command in _COMMAND.finditer(text):
            commands[command.start(1)] = command[1]
            yield command.start(1), "process", command[1]
    for path in _UNIX_PATH.finditer(text):
        start = path.start()
        if start not in commands and not _is_taken(start, taken) and not _is_taken(start, requests):
            yield start, "file", path[0].rstrip(".,:;/")
    if ":\\" in text:
        for path in _WINDOWS_PATH.finditer(text):
            value = path[0].rstrip(".,:;)]}")
            yield path.start(), "process" if value.lower().endswith(".exe") else "file", value.lower()


def _search_hashes(text: str) -> Iterator[_Found]:
    for digest in _HASH.finditer(text):
        value, start = digest[0].lower(), digest.start()
        mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
        if mixed and (len(value) > 32 or _HASH_NAME.search(text[max(0, start - 16) : start])):
            yield start, "hash", value
    if "SHA256:" in text:
        for fingerprint in _FINGERPRINT.finditer(text):
            yield fingerprint.start(), "hash", fingerprint[0]


def _from_fields(fields: dict[str, Any], depth: int) -> Iterator[tuple[EntityType, str]]:
    for key, value in fields.items():
        if key in _HEADER_FIELDS:
            continue
        if isinstance(value, str):
            kind = _FIELD_TYPES.get(key) or _FIELD_TYPES.get(key.lower())
            if kind is None and 7 <= len(value) <= 48 and (value[0].isdigit() or ":" in value) and value[-1].isalnum():
                kind = "ipv4"  # whatever the field is called
            if kind and 0 < len(value) <= _MAX_VALUE and (known := canonical(kind, value)):
                yield known
        elif isinstance(value, dict) and depth < 3:
            yield from _from_fields(value, depth + 1)
            prefixed = {f"{key}.{name}": each for name, each in value.items() if isinstance(each, str)}
            yield from _from_fields(prefixed, 3)


def canonical(kind: EntityType, value: str) -> tuple[EntityType, str] | None:
    """Return type and canonical value of what a field of that kind says; None if it says nothing."""
    value = value.strip()
    if kind == "user":
        value = value.rstrip("])}>,")
        return ("user", value) if len(value) <= 128 and is_user_name(value) else None
    if kind in ("ipv4", "ipv6", "host", "domain"):
        address = _address(value)
        if address or kind in ("ipv4", "ipv6"):
            return address
        name = value.lower().rstrip(".")
        shaped = re.fullmatch(r"[a-z0-9_](?:[\w.-]{0,253})", name) is not None and not name.isdecimal()
        return (kind, name) if shaped and (kind == "host" or kind_of_name(name, stated=True) == "domain") else None
    if kind == "url":
        return ("url", value if "://" in value else value.partition("?")[0]) if "/" in value else None
    if kind == "hash":
        return ("hash", value.lower()) if _HASH.fullmatch(value) else None
    if kind == "email":
        return ("email", value.lower()) if _EMAIL.fullmatch(value) else None
    if value in ("(null)", "(none)", "?", "-"):
        return None
    if kind == "file":
        return ("file", value) if "/" in value or "\\" in value else None
    return kind, value


def _address(value: str) -> tuple[EntityType, str] | None:
    text = value.strip("[]")
    if text.count(":") == 1:
        text = text.partition(":")[0]
    if ":" in text:
        return _ipv6(text)
    known = _ipv4(text)
    return ("ipv4", known) if known else None


@lru_cache(maxsize=16_384)
def _ipv4(text: str) -> str | None:
    try:
        return str(IPv4Address(text))
    except AddressValueError:
        return None


@lru_cache(maxsize=16_384)
def _ipv6(text: str) -> tuple[EntityType, str] | None:
    try:
        address = IPv6Address(text.partition("%")[0])
    except AddressValueError:
        return None
    mapped = address.ipv4_mapped
    return ("ipv4", str(mapped)) if mapped else ("ipv6", address.compressed)
