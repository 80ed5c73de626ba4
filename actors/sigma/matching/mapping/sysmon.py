"""Events as XML: those of Sysmon for Linux inside syslog, and those of Windows as collectors forward them. Pure.

Only the shape that the event log writes is read, `<Data Name="Image">/bin/sh</Data>` and the elements of `<System>`, with
patterns that cannot run back; there is no XML parser, hence no entities of anyone's own making. At most `MAX_DATA` values.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Any

MAX_DATA = 96
_DATA = re.compile(r"<Data Name=[\"']([^\"'<>]{1,64})[\"']>([^<]{0,8192})</Data>")
_SYSTEM = re.compile(r"<(EventID|Channel|Computer|Version|Level|Task|EventRecordID)(?: [^<>]{0,128})?>([^<]{0,256})</\1>")
_PROVIDER = re.compile(r"<Provider Name=[\"']([^\"'<>]{1,128})[\"']")


def add_event(fields: dict[str, Any], message: str) -> None:
    """Add the fields of an event as XML."""
    system, end, rest = message.partition("</System>")
    if not end or "<System>" not in system[:512]:
        return
    for found in _SYSTEM.finditer(system[:4096]):
        fields[found[1]] = unescape(found[2].strip())
    if provider := _PROVIDER.search(system[:1024]):
        fields["Provider_Name"] = provider[1]
    for number, found in enumerate(_DATA.finditer(rest)):
        if number >= MAX_DATA:
            break
        value = found[2]
        fields[found[1]] = unescape(value) if "&" in value else value
