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
from typing import Any

from actors.parsing.domains import kind_of_name
from actors.parsing.names import is_plain, is_text, kind_of
from actors.parsing.users import find_users
from actors.parsing.values import EMAIL, HASH, canonical, ipv4, ipv6
from protocol.identity import entity_uuid
from protocol.records import Entity, EntityType

MAX_ENTITIES = 32
MAX_SCANNED = 8192
_MAX_VALUE = 1024

_IPV4 = re.compile(  # with `.50550` for a port, as tcpdump and dante write it
    r"(?<![\w.-])(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})(?:(?![\w-]|\.\d)|\.\d{2,5}(?![\w.-]\d|[\w-]))"
)
_IPV6 = re.compile(
    r"(?:(?<![\w:.])|(?<=IPv6:))(?=[0-9A-Fa-f]*:[0-9A-Fa-f:]*:)[0-9A-Fa-f:]{2,45}"
    r"(?:(?<=:)\d{1,3}(?:\.\d{1,3}){3})?(?![\w:]|\.\d)(?:%\w{1,15})?"
)
_VERSION_BEFORE = re.compile(r"\b(?:version|ver|release|rev|revision|build|firmware)\.?[ :=]*$", re.IGNORECASE)
_VERSION_ENDS = frozenset("nrvedNRVED")  # letters with which such a word ends
_PRODUCT_BEFORE = re.compile(r"(?<![\w./-])[A-Za-z]+/$")
_URL = re.compile(
    r"\b(?:https?|ftps?|sftp|ssh|ldaps?|wss?|smb|rtsp|hxxps?)://([^\s\"'<>/?#\\]{1,255})[^\s\"'<>]{0,1024}",
    re.IGNORECASE,
)
_REQUEST = re.compile(r"\b(?:GET|POST|PUT|HEAD|DELETE|OPTIONS|PATCH|CONNECT|TRACE|PROPFIND) (/[^\s\"'<>]{0,1024})")
_DOTTED = re.compile(r"(?<![\w.@$\\/-])[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){1,12}(?![\w$\\(@-])")
_CAMEL = re.compile(r"[a-z][A-Z]|^[A-Z][a-z]\w*\.[A-Z]")
_DOT_LETTERS = re.compile(r"\.[A-Za-z]{2}")
_UNIX_PATH = re.compile(r"(?<![\w.:/\\<>)\]~%-])(?:/[\w.@+~%#-]{1,255}){2,32}/?")
_WINDOWS_PATH = re.compile(r"(?<![\w\\])[A-Za-z]:\\[^\s\"'<>|*?;,]{1,512}")
_PROCESS = re.compile(r"(?<![\w.\\/-])[\w-]{1,64}\.exe\b", re.IGNORECASE)
_COMMAND = re.compile(r"\b(?:COMMAND|exe|comm)=\"?(/?[\w./+-]{1,255})")
_HASH_NAME = re.compile(r"(?:md5|hash|hashes|checksum|digest|imphash)[\"' :=(]*$", re.IGNORECASE)
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_REMOTE_HOST = re.compile(r"(?<![\w.-])(?:rhost|RHOST|remote_host|client_host|rip_host)=([A-Za-z0-9][\w.-]{0,254})")

_ADDRESS_STARTS = frozenset("0123456789abcdefABCDEF:[/iI")
_MAY_BE_ADDRESS = re.compile(r"\[?(?:\d{1,3}\.\d|[\da-fA-F]{0,4}:[\da-fA-F:]*:)[\d.a-fA-F:]*")

_WIRED = re.compile(r"(?:\(\d{1,2}\)[\w-]{1,63}){1,32}\(0\)")  # a name as Windows' name server writes it
_LABEL = re.compile(r"\)([\w-]{1,63})")
_TARGET = re.compile(r"([\w.-]{1,253})(?::\d{1,5})?(?:/|$)")  # before the path, if any

_Found = tuple[int, EntityType, str]

# What the header says of the writer of the message is not what the message speaks of.
_HEADER_FIELDS = frozenset(("host", "app", "procid", "msgid", "facility", "level", "component", "thread", "pid"))


@lru_cache(maxsize=32_768)
def _entity(kind: EntityType, value: str) -> Entity:
    return Entity(kind, value, entity_uuid(kind, value))


def find_entities(message: str, fields: dict[str, Any], structured: bool = False) -> list[Entity]:
    """Return the entities of an event. `structured`: its fields say it all, the message is not to be searched."""
    found: list[_Found] = []
    text = fields.get("msg", "") if structured else message
    if isinstance(text, str):
        found = list(_search(text[:MAX_SCANNED]))
        found.sort()
        if " from " in text and [1 for each in found if " " in each[2] and each[1] == "user"]:
            found = _without_names(found)
    known = dict.fromkeys([each[1:] for each in found])
    if fields and len(known) < MAX_ENTITIES:
        known.update(dict.fromkeys(_from_fields(fields, 0)))
    return [_entity(kind, value) for kind, value in list(known)[:MAX_ENTITIES]]


def _without_names(found: list[_Found]) -> list[_Found]:
    """Return what was found without what stands inside the name of a user, which whoever tries has chosen."""
    names = [(place, place + len(value)) for place, kind, value in found if kind == "user" and " " in value]
    longest = max(end - start for start, end in names)
    return [
        each
        for each in found
        if not _is_taken(each[0], names) or (each[1] == "user" and (" " in each[2] or len(each[2]) >= longest))
    ]


def _search(text: str) -> Iterator[_Found]:
    """Yield the matches of each kind of pattern whose sign is there."""
    taken: list[tuple[int, int]] = []
    if "://" in text:
        yield from _search_urls(text, taken)
    if "(0)" in text:
        for wired in _WIRED.finditer(text):
            name = ".".join(_LABEL.findall(wired[0])).lower()
            if kind_of_name(name, stated=True) == "domain":
                yield wired.start(), "domain", name
    if "@" in text:
        for mail in EMAIL.finditer(text):
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
    if "..." in text:
        text = text.replace("...", "   ")  # `192.0.2.1...192.0.2.2` are the two ends of a tunnel
    for address in _IPV4.finditer(text):
        start = address.start()
        if not _is_version(text, address):
            value = ipv4(address[1])
            if value:
                yield start, "ipv4", value
    for name in _DOTTED.finditer(text) if _DOT_LETTERS.search(text) else ():
        if taken and _is_taken(name.start(), taken):
            continue
        if _CAMEL.search(name[0]):
            continue  # a class
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
    word = before.rstrip(" .:=")
    return word is not before and word[-1:] in _VERSION_ENDS and _VERSION_BEFORE.search(before) is not None


def _search_ipv6(text: str) -> Iterator[_Found]:
    for address in _IPV6.finditer(text):
        value = _without_port(address[0], text, address.end())
        if "::" not in value and value.count(":") != 7:
            continue
        if not any(map(str.isdigit, value)):
            continue
        known = ipv6(value)
        if known:
            yield address.start(), known[0], known[1]


def _without_port(value: str, text: str, end: int) -> str:
    """Return an address without a port behind a bare colon: one of five digits, or before the time of a proxy's line."""
    address, _, port = value.rpartition(":")
    if not port.isdecimal() or value.endswith(f"::{port}"):
        return value
    is_port = len(port) == 5 or (len(port) == 4 and text.startswith(" [", end)) or (value.count(":") == 8 and "::" not in value)
    return address if is_port else value


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
    for digest in HASH.finditer(text):
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
            if not is_plain(key) or (value[:1] in _ADDRESS_STARTS and ("." in value or ":" in value)):
                yield from _from_field(key, value)
        elif isinstance(value, dict) and depth < 3:
            yield from _from_fields(value, depth + 1)
            prefixed = {f"{key}.{name}": each for name, each in value.items() if isinstance(each, str)}
            yield from _from_fields(prefixed, 3)
        elif isinstance(value, list):
            for each in value[:MAX_ENTITIES]:
                if isinstance(each, str):
                    yield from _from_field(key, each)
                elif isinstance(each, dict) and depth < 3:
                    yield from _from_fields(each, depth + 1)


def _from_field(key: str, value: str) -> Iterator[tuple[EntityType, str]]:
    """Yield what a field holds, by its name; what looks like an address is one, whatever the field is called."""
    if not 0 < len(value) <= _MAX_VALUE:
        return
    kind = kind_of(key)
    if kind is None and _MAY_BE_ADDRESS.match(value):
        if key[-7:].lower() == "version":
            return
        kind = "ipv4"
    if kind == "ipv4" and "," in value:
        for each in value.split(",", 8)[:8]:
            if known := canonical(kind, each):
                yield known
    elif kind == "url":
        yield from _from_url(value)
    elif kind and (known := canonical(kind, value)):
        yield known
    elif kind is None and is_text(key):
        yield from (each[1:] for each in _search(value) if each[1] in ("ipv4", "ipv6"))


def _from_url(value: str) -> Iterator[tuple[EntityType, str]]:
    """Yield the URL that a field holds, and its domain; what a client of a proxy connects to is `example.com:443`."""
    if "://" in value:
        yield from (each[1:] for each in _search_urls(value, []))
        return
    target = _TARGET.match(value)
    for known in (canonical("url", value), canonical("domain", target[1]) if target else None):
        if known:
            yield known
