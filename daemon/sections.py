"""A table of the configuration file, and the checks that several tables share. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

_UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SIZE = re.compile(r"(\d{1,12})\s?(B|KiB|MiB|GiB|TiB)?")


def parse_size(text: str) -> int:
    """Return bytes for `10GiB`, `512MiB`, `4096`. Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size such as 256MiB or 10GiB")
    return int(match[1]) * _UNITS[match[2] or ""]


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of `127.0.0.1:8080` or `[::1]:8080`. Raises ValueError."""
    host, separator, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"{text!r} is not an address such as 127.0.0.1:8080")
    return host, int(port)


def is_loopback(address: str) -> bool:
    """Tell whether only this machine can reach an address. A name other than localhost may lead anywhere."""
    host, _ = parse_address(address)
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file. Every key has a default; `faults` checks what types cannot."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield key and reason of each fault."""
        yield from ()

    def file_faults(self) -> Iterator[tuple[str, str]]:
        """Yield the same of the files that it names; only who runs the daemon may be able to read them."""
        yield from ()


def address_faults(key: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield the faults of an address."""
    try:
        parse_address(text)
    except ValueError as error:
        yield key, str(error)


def size_faults(key: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield the faults of a size."""
    try:
        parse_size(text)
    except ValueError as error:
        yield key, str(error)


def pattern_faults(name: str, pattern: str) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a regular expression (RE2)."""
    if not pattern:
        return
    import re2  # only where someone has a pattern: the supervisor stays small

    try:
        re2.compile(pattern)
    except re2.error as error:
        reason = error.args[0]
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        yield name, f"{pattern!r} is no regular expression of RE2: {text}"


def zone_faults(name: str) -> Iterator[tuple[str, str]]:
    """Yield the faults of the name of a time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield "zone", f"{name!r} is not a time zone such as Europe/Berlin"
