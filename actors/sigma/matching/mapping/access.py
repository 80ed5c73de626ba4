"""Requests of web servers and proxies under the names of the taxonomy (W3C extended log format). Pure.

`cs-uri` is what the client asked for, `cs-uri-stem` and `cs-uri-query` its parts. Ours are `cs-uri-decoded`, path and query
with escapes taken off up to three times and blanks made one, so that one rule sees what an attacker has wrapped; and
`cs-headers-decoded`, the same of user agent and referrer, a line each. Both have at most `MAX_DECODED` characters. An
ordinary request, which has nothing but letters, digits and the signs that addresses are made of, has no `cs-uri-decoded`,
so that the expressions which look for attacks are not tried on it.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

MAX_DECODED = 4096
_ROUNDS = 3  # servers and what stands behind them decode at most that often

_REQUEST = re.compile(r"\"?([A-Z]{3,16}) (\S{1,8192})(?: HTTP/[\d.]{1,3})?\"?$")
_METHODS = "GET|POST|PUT|HEAD|DELETE|OPTIONS|PATCH|TRACE|CONNECT|PROPFIND"
_LOOSE = re.compile(
    rf"\b({_METHODS}) {{1,8}}\"?((?:/|https?://)[^\s\"]{{0,4096}})(?: HTTP/\d(?:\.\d)?)?\"?(?:[^\"\d]{{0,8}}([1-5]\d\d)(?!\d))?"
)
_STATUS_BEFORE = re.compile(r"(?:^| )([1-5]\d\d) ")
_AGENT_AFTER = re.compile(r"\"([A-Za-z][^\"]{2,511})\"")
_AGENT_NAMED = re.compile(r"user-?agent[:=] ?\"?([^\]\"]{2,511})", re.IGNORECASE)
_STATUS_NAMES = ("status", "httpStatus", "status_code", "statusCode", "http_status", "code")
_MAX_LOOSE = 2048
_UNICODE_ESCAPE = re.compile(r"%u00([0-9a-fA-F]{2})|\\x([0-9a-fA-F]{2})|\\u00([0-9a-fA-F]{2})")
_ENTITY = re.compile(r"&(?:#(\d{1,5})|#x([0-9a-fA-F]{1,4})|(lt|gt|quot|apos|amp|colon|lpar|rpar|tab|newline));?", re.IGNORECASE)
_NAMED = {
    "lt": "<", "gt": ">", "quot": '"', "apos": "'", "amp": "&", "colon": ":", "lpar": "(", "rpar": ")",
    "tab": "\t", "newline": "\n",
}  # fmt: skip
_ODD = re.compile(r"[^\w/.,?=&:~@%+-]|\.\.|--|://")
_BLANKS = re.compile(r"[^\S\r\n]+")
_BREAKS = re.compile(r"[\r\n]+")


def add_request(fields: dict[str, Any], message: str) -> str:
    """Add the request that a message of any other shape speaks of: load balancers, error logs, application servers.

    Returns the message without the request: what else it says.
    """
    text = message[:_MAX_LOOSE]
    found = _LOOSE.search(text)
    if found is None:
        return message
    fields["cs-method"], fields["cs-uri"] = found[1], found[2].rstrip(":,;")
    status = found[3] or _status_beside(fields, text, found.start())
    if status.isdecimal() and len(status) == 3:
        fields["sc-status"] = int(status)
    if "cs-user-agent" not in fields and (agent := _AGENT_NAMED.search(text) or _AGENT_AFTER.search(text, found.end())):
        fields["cs-user-agent"] = agent[1]
    return message[: found.start()] + message[found.end() :]


def _status_beside(fields: dict[str, Any], text: str, end: int) -> str:
    """Return the status that stands in a field, or before the request; "" if there is none."""
    named = next((str(fields[name]) for name in _STATUS_NAMES if name in fields), "")
    before = _STATUS_BEFORE.search(text, 0, end)
    return named or (before[1] if before else "")


def add_access(fields: dict[str, Any]) -> None:
    """Add what the taxonomy says of a request; `cs-uri` is there."""
    uri = str(fields["cs-uri"])
    if (found := _REQUEST.match(uri)) is not None:
        fields.setdefault("cs-method", found[1])
        uri = fields["cs-uri"] = found[2]
    fields["c-uri"] = uri
    path = uri
    if "://" in uri[:16]:
        host, slash, rest = uri.partition("://")[2].partition("/")
        path = slash + rest
        fields.setdefault("cs-host", host.partition(":")[0])
    stem, mark, query = path.partition("?")
    query = query or str(fields.get("cs-uri-query", ""))
    fields["cs-uri-stem"] = stem
    if mark or query:
        fields["cs-uri-query"] = fields["c-uri-query"] = query
    name, dot, extension = stem.rpartition("/")[2].rpartition(".")
    if dot and name:
        fields["c-uri-extension"] = extension
    if "src_ip" in fields:
        fields["c-ip"] = fields["src_ip"]
    for target, ours in (("sc-bytes", "bytes"), ("cs-username", "user"), ("c-useragent", "cs-user-agent")):
        if ours in fields:
            fields[target] = fields[ours]
    asked = f"{stem}?{query}" if query else stem
    decoded = decode(asked)
    if decoded != asked or _ODD.search(decoded):
        fields["cs-uri-decoded"] = decoded
    headers = [decode(str(fields[name])) for name in ("cs-user-agent", "cs-referer") if name in fields]
    if headers:
        fields["cs-headers-decoded"] = "\n".join(headers)
    add_status_outcome(fields)


def decode(text: str) -> str:
    """Return a text without the escapes of URLs, scripts and HTML, unwrapped at most three times; a break is one `\\r`."""
    text = text[:MAX_DECODED]
    for _ in range(_ROUNDS):
        before = text
        if "%" in text:
            text = unquote(text)
        if "%u" in text or "\\x" in text or "\\u" in text:
            text = _UNICODE_ESCAPE.sub(_letter, text)
        if "&" in text:
            text = _ENTITY.sub(_entity_letter, text)
        if text == before:
            break
    return _BREAKS.sub("\r", _BLANKS.sub(" ", text.replace("+", " ")))


def _letter(found: re.Match[str]) -> str:
    return chr(int(found[1] or found[2] or found[3], 16))


def _entity_letter(found: re.Match[str]) -> str:
    if found[3]:
        return _NAMED[found[3].lower()] if found[0].endswith(";") else found[0]
    number = int(found[1]) if found[1] else int(found[2], 16)
    return chr(number) if number < 0xD800 else found[0]


def add_status_outcome(fields: dict[str, Any]) -> None:
    """A request that is not granted is a failure."""
    status = str(fields.get("sc-status") or fields.get("status", ""))
    if len(status) == 3 and status.isdecimal():
        fields.setdefault("action", "request")
        fields.setdefault("outcome", "failure" if status >= "400" else "success")
