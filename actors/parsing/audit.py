"""Records of the Linux audit system, as auditd writes them and as the kernel prints them.

`type=SYSCALL msg=audit(1364481363.243:24287): arch=c000003e comm="sh" exe=2F62696E`: the pairs become fields, values
that auditd writes in hexadecimal because they are not trusted are read, the pairs inside `msg='...'` join the others.
"""

from __future__ import annotations

import re
from typing import Any

from actors.parsing.reading import Reading
from actors.parsing.times import Clock
from protocol.clock import NS_PER_S

_RECORD = re.compile(
    r"(?:node=(?P<node>\S+) )?(?:type=(?P<type>[\w\[\]]+) )?(?:msg=)?"
    r"audit\((?:(?P<second>\d{1,12})|(?P<written>\d[\d/.-]{7,9} \d\d:\d\d:\d\d))\.(?P<fraction>\d{1,9}):"
    r"(?P<serial>\d{1,18})\) ?:? ?"
)
_LEADING_TYPE = re.compile(r"(?P<type>[A-Z_]+) (?=(?:msg=)?audit\()")
_PAIR = re.compile(r"(?:\b(old|new) )?([A-Za-z_][\w-]{0,63})=('[^']*'|\"[^\"]*\"|[^\s\x1d]*)")
_HEX = re.compile(r"(?:[0-9A-F]{2})+$")
# Fields that auditd encodes when they hold a space, a quote or a byte beyond ASCII (audit.fields, "encoded").
_ENCODED_WORDS = """
acct cmd comm cwd data dir exe file key name new ocomm old old-disk path proctitle vm watch grp
"""
_ENCODED = frozenset(_ENCODED_WORDS.split())
_MAX_PAIRS = 96


def read_audit(text: str, clock: Clock, observed_ns: int) -> Reading | None:
    """Read one audit record, raw or interpreted (`ausearch -i`); None if it is not one.

    The message keeps the type, not the time and serial.
    """
    lead = _LEADING_TYPE.match(text)
    found = _RECORD.match(text, lead.end() if lead else 0)
    if found is None:
        return None
    kind = found["type"] or (lead["type"] if lead else "")
    fields: dict[str, Any] = {"audit_id": int(found["serial"])}
    if kind:
        fields["type"] = kind
    if found["node"]:
        fields["host"] = found["node"]
    rest = text[found.end() :]
    _add_pairs(fields, rest)
    zoneless = False
    if found["second"]:
        second_ns = int(found["second"]) * NS_PER_S
    else:
        time = clock.read(found["written"], 0, observed_ns)
        if time is None:
            return None
        second_ns, zoneless = time.ns, time.zoneless
    time_ns = second_ns + int(found["fraction"].ljust(9, "0"))
    severity = 13 if _failed(fields) or "denied" in rest[:32] else None
    message = f"type={kind} {rest}" if kind else rest
    return Reading(message, fields, severity, time_ns, zoneless, states_level=False)


def _add_pairs(fields: dict[str, Any], text: str) -> None:
    for number, found in enumerate(_PAIR.finditer(text)):
        if number == _MAX_PAIRS:
            return
        which, key, value = found.groups()
        if which is not None:
            key = f"{which}_{key}"
        if value.startswith("'"):
            _add_pairs(fields, value[1:-1])
        elif value.startswith('"'):
            fields.setdefault(key, value[1:-1])
        else:
            fields.setdefault(key, _decode(key, value.rstrip(")") if "(" not in value else value))


def _is_argument(key: str) -> bool:
    return key[:1] == "a" and key[1:].isdecimal()


def _decode(key: str, value: str) -> str:
    """Return the text of a value that may be encoded; an argument of a system call is a short number and stays."""
    if not (key in _ENCODED or _is_argument(key)) or len(value) < 4 or _HEX.match(value) is None:
        return value
    raw = bytes.fromhex(value)
    typed = key == "data"  # what was typed at a terminal, every key of it
    if not typed and (any(byte < 32 and byte not in b"\t\n\0" for byte in raw) or 127 in raw):
        return value
    text = raw.replace(b"\0", b" ").decode("utf-8", "backslashreplace")
    return text if typed else text.rstrip()


def _failed(fields: dict[str, Any]) -> bool:
    return fields.get("res") in ("failed", "0") or fields.get("success") == "no"
