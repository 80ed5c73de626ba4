"""Patterns with grok names, `%{IP:src_ip} %{GREEDYDATA:message}`, as patterns of RE2. Pure.

The names are those of the common set; what they stand for is written for RE2, which has no look-around and whose time grows with
the length of the line and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_BASE = {
    "USERNAME": r"[a-zA-Z0-9._-]+",
    "USER": r"%{USERNAME}",
    "EMAILLOCALPART": r"[a-zA-Z0-9!#$%&'*+\-/=?^_`{|}~.]{1,64}",
    "EMAILADDRESS": r"%{EMAILLOCALPART}@%{HOSTNAME}",
    "INT": r"[+-]?[0-9]+",
    "BASE10NUM": r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)",
    "NUMBER": r"%{BASE10NUM}",
    "BASE16NUM": r"[+-]?(?:0x)?[0-9A-Fa-f]+",
    "POSINT": r"[1-9][0-9]*",
    "NONNEGINT": r"[0-9]+",
    "WORD": r"\b\w+\b",
    "NOTSPACE": r"\S+",
    "SPACE": r"\s*",
    "DATA": r".*?",
    "GREEDYDATA": r".*",
    "QUOTEDSTRING": r"(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')",
    "QS": r"%{QUOTEDSTRING}",
    "UUID": r"[A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}",
    "CISCOMAC": r"(?:[A-Fa-f0-9]{4}\.){2}[A-Fa-f0-9]{4}",
    "WINDOWSMAC": r"(?:[A-Fa-f0-9]{2}-){5}[A-Fa-f0-9]{2}",
    "COMMONMAC": r"(?:[A-Fa-f0-9]{2}:){5}[A-Fa-f0-9]{2}",
    "MAC": r"(?:%{CISCOMAC}|%{WINDOWSMAC}|%{COMMONMAC})",
    "IPV6": r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*:[0-9A-Fa-f:]*(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3})?(?:%\w+)?",
    "IPV4": r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}",
    "IP": r"(?:%{IPV4}|%{IPV6})",
    "HOSTNAME": r"\b[0-9A-Za-z_][0-9A-Za-z_-]{0,62}(?:\.[0-9A-Za-z_][0-9A-Za-z_-]{0,62})*\.?",
    "HOST": r"%{HOSTNAME}",
    "IPORHOST": r"(?:%{IP}|%{HOSTNAME})",
    "HOSTPORT": r"%{IPORHOST}:%{POSINT}",
    "PATH": r"(?:%{UNIXPATH}|%{WINPATH})",
    "UNIXPATH": r"(?:/[^\s/]*)+",
    "WINPATH": r"(?:[A-Za-z]:|\\)(?:\\[^\\?*\s]*)+",
    "TTY": r"/dev/(?:pts|tty[pq]?)\w*/?[0-9]*",
    "URIPROTO": r"[A-Za-z][A-Za-z0-9+.-]*",
    "URIHOST": r"%{IPORHOST}(?::%{POSINT})?",
    "URIPATH": r"(?:/[^\s?#]*)+",
    "URIPARAM": r"\?\S*",
    "URIPATHPARAM": r"%{URIPATH}(?:%{URIPARAM})?",
    "URI": r"%{URIPROTO}://(?:%{USER}(?::[^@]*)?@)?(?:%{URIHOST})?(?:%{URIPATHPARAM})?",
    "MONTH": r"\b(?:[Jj]an|[Ff]eb|[Mm]ar|[Aa]pr|[Mm]ay|[Jj]un|[Jj]ul|[Aa]ug|[Ss]ep|[Oo]ct|[Nn]ov|[Dd]ec)[a-z]*\b",
    "MONTHNUM": r"(?:0?[1-9]|1[0-2])",
    "MONTHDAY": r"(?:0[1-9]|[12][0-9]|3[01]|[1-9])",
    "DAY": r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*",
    "YEAR": r"(?:[0-9]{2}){1,2}",
    "HOUR": r"(?:2[0-3]|[01]?[0-9])",
    "MINUTE": r"[0-5][0-9]",
    "SECOND": r"(?:[0-5]?[0-9]|60)(?:[:.,][0-9]+)?",
    "TIME": r"%{HOUR}:%{MINUTE}(?::%{SECOND})",
    "DATE_US": r"%{MONTHNUM}[/-]%{MONTHDAY}[/-]%{YEAR}",
    "DATE_EU": r"%{MONTHDAY}[./-]%{MONTHNUM}[./-]%{YEAR}",
    "DATE": r"(?:%{DATE_US}|%{DATE_EU})",
    "DATESTAMP": r"%{DATE}[- ]%{TIME}",
    "TZ": r"[A-Z]{3,4}",
    "ISO8601_TIMEZONE": r"(?:Z|[+-]%{HOUR}(?::?%{MINUTE}))",
    "TIMESTAMP_ISO8601": r"%{YEAR}-%{MONTHNUM}-%{MONTHDAY}[T ]%{HOUR}:?%{MINUTE}(?::?%{SECOND})?(?:%{ISO8601_TIMEZONE})?",
    "HTTPDATE": r"%{MONTHDAY}/%{MONTH}/%{YEAR}:%{TIME} %{INT}",
    "SYSLOGTIMESTAMP": r"%{MONTH} +%{MONTHDAY} %{TIME}",
    "PROG": r"[!-Z\\^-~]+",
    "SYSLOGPROG": r"%{PROG}(?:\[%{POSINT}\])?",
    "SYSLOGHOST": r"%{IPORHOST}",
    "LOGLEVEL": (
        r"(?i:alert|trace|debug|notice|info(?:rmation)?|warn(?:ing)?|err(?:or)?|crit(?:ical)?|fatal|severe|emerg(?:ency)?)"
    ),
}  # fmt: skip
_CALL = re.compile(r"%\{(?P<name>\w{1,64})(?::(?P<field>[\w.@\[\]-]{1,64}))?(?::(?P<kind>int|float|long|string))?\}")
_OUTER = re.compile(rf"\(\?P?<(?P<named>\w{{1,64}})>|{_CALL.pattern}")
_NAMED = re.compile(r"\(\?P?<(\w{1,64})>")
_MAX_DEPTH = 8
_MAX_LENGTH = 16_384


class Expanded(NamedTuple):
    """A pattern of RE2 whose groups are called g0, g1, ..., and the field of each."""

    pattern: str
    fields: list[str]
    numbers: frozenset[str]  # fields that are to be numbers


def expand(pattern: str, own: Mapping[str, str] | None = None) -> Expanded:
    """Return a pattern without grok names. `own` are names beside the common ones. Raises ValueError."""
    names = _BASE | dict(own or {})
    fields: list[str] = []
    numbers: set[str] = set()

    def group(field: str) -> str:
        fields.append(field)
        return f"(?P<g{len(fields) - 1}>"

    def inner(text: str, depth: int) -> str:
        return _CALL.sub(lambda call: meaning(call["name"], depth), text)

    def meaning(name: str, depth: int) -> str:
        if name not in names:
            raise ValueError(f"%{{{name}}} is not known")
        if depth == _MAX_DEPTH:
            raise ValueError(f"%{{{name}}} leads to itself")
        return f"(?:{_NAMED.sub('(?:', inner(names[name], depth + 1))})"

    def outer(found: re.Match[str]) -> str:
        if found["named"]:
            return group(found["named"])
        name, field, kind = found["name"], found["field"], found["kind"]
        if field is None:
            return meaning(name, 0)
        field = field.strip("[]").replace("][", ".")
        if kind in ("int", "float", "long"):
            numbers.add(field)
        return f"{group(field)}{meaning(name, 0)})"

    expanded = _OUTER.sub(outer, pattern)
    if len(expanded) > _MAX_LENGTH:
        raise ValueError(f"is longer than {_MAX_LENGTH} characters with all its names written out")
    return Expanded(expanded, fields, frozenset(numbers))
