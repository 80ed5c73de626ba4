"""CEF and LEEF, the records of security devices, wherever in a message they begin.

CEF (ArcSight Common Event Format, revision 25): `CEF:0|vendor|product|version|class|name|severity|extension`; in the head `|`
and `\\` are escaped, in the extension `=`, `\\` and line ends; a value goes on, blanks included, up to the next `key=`.
LEEF (IBM Log Event Extended Format, 1.0 and 2.0): the same head without severity, pairs set off by tabs or, in 2.0, by a
character that the head names. The message is the record as it is written; its pairs become fields under their own names.
"""

from __future__ import annotations

import re
from typing import Any

from actors.parsing.levels import severity_of_field
from actors.parsing.pairs import read_time_value
from actors.parsing.reading import Reading
from actors.parsing.times import Clock

_PART = r"((?:[^|\\]|\\.)*)\|"
_CEF = re.compile(rf"CEF: ?(\d+)\|{_PART * 5}((?:[^|\\]|\\.)*)\|", re.DOTALL)
_LEEF = re.compile(rf"LEEF: ?([\d.]+)\|{_PART * 4}", re.DOTALL)
_LEEF_DELIMITER = re.compile(r"(x[0-9A-Fa-f]{2,4}|0x[0-9A-Fa-f]{2,4}|[^|])\|")
_KEY = re.compile(r"(?:^|[ \t])([\w.\[\]-]{1,64})=")
_HEAD_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_VALUE_ESCAPE = re.compile(r"\\([=\\|nr])")
_LETTERS = {"n": "\n", "r": "\r"}
_MAX_PAIRS = 128
_MAX_NUMBER = 8  # characters of a severity
_MAX_START = 128  # characters before the record: what is left of a header
_TIMES = ("rt", "deviceReceiptTime", "start", "end", "devTime")
_SEVERITIES = (9, 9, 9, 9, 13, 13, 13, 17, 17, 18, 18)  # of 0 to 10: low to 3, medium to 6, high to 8, very high


def read_cef(text: str, clock: Clock, observed_ns: int) -> Reading | None:
    """Read a record of CEF or LEEF; None if the text holds none."""
    begin = text.find("CEF:", 0, _MAX_START)
    head = _CEF.match(text, begin) if begin >= 0 else None
    if head is None:
        return _read_leef(text, clock, observed_ns)
    _, vendor, product, version, signature, name, severity = (_unescape_head(part) for part in head.groups())
    fields: dict[str, Any] = {
        "cef_vendor": vendor, "cef_product": product, "cef_version": version, "cef_class": signature, "cef_name": name,
        "cef_severity": severity,
    }  # fmt: skip
    fields.update(_extension(text[head.end() :]))
    pattern = f"{vendor} {product} {signature} {name}"
    return _finish(Reading(text[begin:], fields, _severity(severity), pattern=pattern), clock, observed_ns)


def _read_leef(text: str, clock: Clock, observed_ns: int) -> Reading | None:
    begin = text.find("LEEF:", 0, _MAX_START)
    head = _LEEF.match(text, begin) if begin >= 0 else None
    if head is None:
        return None
    version, vendor, product, release, event = (_unescape_head(part) for part in head.groups())
    end, delimiter = head.end(), "\t"
    if version.startswith("2") and (found := _LEEF_DELIMITER.match(text, end)):
        end, delimiter = found.end(), found[1]
        if len(delimiter) > 1:
            delimiter = chr(int(delimiter.lstrip("0x") or "9", 16))
    fields: dict[str, Any] = {"leef_vendor": vendor, "leef_product": product, "leef_version": release, "leef_event": event}
    for pair in text[end:].split(delimiter, _MAX_PAIRS):
        key, equals, value = pair.partition("=")
        if equals and 0 < len(key) <= 64:
            fields[key.strip()] = value.strip()
    pattern = f"{vendor} {product} {event}"
    return _finish(Reading(text[begin:], fields, _severity(fields.get("sev")), pattern=pattern), clock, observed_ns)


def _finish(reading: Reading, clock: Clock, observed_ns: int) -> Reading:
    for name in _TIMES:
        time = read_time_value(reading.fields.get(name), clock, observed_ns)
        if time is not None:
            reading.time_ns, reading.zoneless = time.ns, time.zoneless
            break
    return reading


def _extension(text: str) -> dict[str, str]:
    """Return the pairs of an extension; each value reaches to the blank before the next key."""
    keys = []
    for found in _KEY.finditer(text):
        keys.append(found)
        if len(keys) == _MAX_PAIRS:
            break
    ends = [*(found.start() for found in keys[1:]), len(text)][: len(keys)]
    return {
        found[1]: _VALUE_ESCAPE.sub(lambda escape: _LETTERS.get(escape[1], escape[1]), text[found.end() : end].rstrip())
        for found, end in zip(keys, ends, strict=True)
    }


def _severity(stated: object) -> int | None:
    if isinstance(stated, str) and len(stated) <= _MAX_NUMBER and stated.strip().isdecimal():
        number = int(stated)
        return _SEVERITIES[number] if number < len(_SEVERITIES) else None
    return severity_of_field("severity", stated)


def _unescape_head(part: str) -> str:
    return _HEAD_ESCAPE.sub(r"\1", part)
