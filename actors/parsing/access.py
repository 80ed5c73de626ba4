"""Lines of HTTP servers: the common and the combined log format, with or without a virtual host in front."""

from __future__ import annotations

import re

from actors.parsing.levels import severity_of_status
from actors.parsing.reading import Reading
from actors.parsing.times import Clock

_LINE = re.compile(
    r"(?:(?P<vhost>[\w:][\w.:-]{0,254}) (?=[\da-fA-F]{0,4}[.:][\da-fA-F.:]{1,44} |\d{1,3}\.[\d.]{5,11} ))?"
    r"(?P<ip>[\w:][\w.:-]{0,254})(?P<via>(?:, ?[\w.:-]{1,64}){1,8}|,?(?: [\w.:-]{1,64},?){0,4}?)"
    r" +(?P<ident>\S{1,128}) +(?P<user>\S{1,256})"
    r"(?: \S{1,64})? +\[(?P<time>[^\]]{10,48})\] (?:[^\s\"]{1,255} )?\"(?P<request>(?:[^\"\\]|\\.)*)\""
    r" (?P<status>\d{3}) (?P<bytes>\d{1,18}|-)(?!\d)"
    r"(?: \"(?P<referer>(?:[^\"\\]|\\.)*)\"(?: \"(?P<agent>(?:[^\"\\]|\\.)*)\")?)?"
)
_REQUEST = re.compile(r"([A-Z][A-Z_-]{0,31}) (.*?)(?: (HTTP/\d(?:\.\d)?))?$", re.DOTALL)


def read_access(text: str, clock: Clock, observed_ns: int) -> Reading | None:
    """Read one line of an access log; None if it is not one. The message is the whole line."""
    found = _LINE.match(text)
    if found is None or (found["via"] and "." not in found["ip"] and ":" not in found["ip"]):
        return None  # what stands before several columns is a client only if it is an address, and no month
    time = clock.read(found["time"], 0, observed_ns)
    if time is None:
        return None
    status = int(found["status"])
    fields: dict[str, object] = {"src_ip": found["ip"], "status": status}
    if found["bytes"] != "-":
        fields["bytes"] = int(found["bytes"])
    if found["via"]:
        fields["forwarded"] = found["via"].replace(",", " ").split()
    for name, group in (("user", "user"), ("vhost", "vhost"), ("referer", "referer"), ("user_agent", "agent")):
        if found[group] not in (None, "-", ""):
            fields[name] = found[group]
    method = "<*>"
    request = _REQUEST.match(found["request"])
    if request:
        method = request[1]
        fields.update(method=method, url=request[2])
        if request[3]:
            fields["protocol"] = request[3]
    else:
        fields["request"] = found["request"]
    pattern = f'<*> - <*> [<*>] "{method} <*>" {status // 100}xx <*>'
    return Reading(text, fields, severity_of_status(status), time.ns, time.zoneless, pattern, states_level=False)
