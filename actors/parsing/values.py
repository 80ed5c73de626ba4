"""What a field or a word says as an entity: its kind, and its value in the one form in which all write it. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from actors.parsing.domains import kind_of_name
from actors.parsing.users import is_user_name, without_domain
from protocol.records import EntityType

HASH = re.compile(r"(?<![\w.-])(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{40}|[0-9a-fA-F]{32})(?![\w-])")
EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@((?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})(?![\w-])")
_WRITTEN = re.compile(
    r"(?:/|IPV[46][/:])?(?:(?:::ffff:)?(?P<v4>\d{1,3}(?:\.\d{1,3}){3})(?:[:/#]\d{1,5})?(?::\w{1,32})?"
    r"|\[(?P<bracketed>[\da-fA-F:.]{2,45})(?:%[\w.-]{1,15})?\](?::\d{1,5})?"
    r"|(?P<v6>[\da-fA-F:]{2,39}(?:(?<=:)\d{1,3}(?:\.\d{1,3}){3})?)(?:%[\w.-]{1,15})?)(?:/\d{1,3})?$",
    re.IGNORECASE,
)


def canonical(kind: EntityType, value: str) -> tuple[EntityType, str] | None:
    """Return type and canonical value of what a field of that kind says; None if it says nothing."""
    value = value.strip()
    if kind == "user":
        value = without_domain(value.strip("<>()[]{}\"'").rstrip("])}>,"))
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
        return ("hash", value.lower()) if HASH.fullmatch(value) else None
    if kind == "email":
        return ("email", value.lower()) if EMAIL.fullmatch(value) else None
    if value in ("(null)", "(none)", "?", "-"):
        return None
    if kind in ("file", "process") and "\\" in value:
        return "process" if value.lower().endswith(".exe") else "file", value.lower()
    if kind == "file":
        return ("file", value) if "/" in value or "\\" in value else None
    return kind, value


def _address(value: str) -> tuple[EntityType, str] | None:
    """Return the address that a field holds: with or without brackets, port, zone or interface, or as Kafka writes it."""
    found = _WRITTEN.match(value)
    if found is None:
        return None
    if found["v4"]:
        known = ipv4(found["v4"])
        return ("ipv4", known) if known else None
    return ipv6(found["bracketed"] or found["v6"])


@lru_cache(maxsize=16_384)
def ipv4(text: str) -> str | None:
    try:
        address = IPv4Address(text)
    except AddressValueError:
        return None
    return None if address.is_unspecified else str(address)


@lru_cache(maxsize=16_384)
def ipv6(text: str) -> tuple[EntityType, str] | None:
    try:
        address = IPv6Address(text.partition("%")[0])
    except AddressValueError:
        return None
    if address.is_unspecified:
        return None
    mapped = address.ipv4_mapped
    return ("ipv4", str(mapped)) if mapped else ("ipv6", address.compressed)
