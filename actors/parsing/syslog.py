"""Syslog messages as they are met: RFC 5424 to the letter, RFC 3164 in its many real forms.

A message that fits neither is no error: all of it is the message, and `error` says why. The two RFCs are told apart by
the version after the priority. RFC 5424, where this is more lenient than its grammar, as receivers in the field are:
names of structured data over 32 characters are kept, an APP-NAME, PROCID or MSGID over its length is cut; it is noted.
RFC 3164, section 4.1, is a description of practice: priority, time, host and tag may each be missing here, the time may
be any that `times` reads, and Cisco's sequence number, clock marks and `%FACILITY-SEVERITY-MNEMONIC` tags are known.
"""

from __future__ import annotations

import re

import msgspec

from actors.parsing.times import Clock

FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip

# Syslog severity 0 to 7 (emerg to debug) as OpenTelemetry SeverityNumber.
SEVERITY_NUMBERS = (21, 19, 18, 17, 13, 10, 9, 5)
DEFAULT_PRIORITY = 13  # user.notice (RFC 3164, section 4.3.3)

_MAX_HOST, _MAX_APP, _MAX_PROCID, _MAX_MSGID, _MAX_SD_NAME = 255, 48, 128, 32, 255

_PRIORITY = re.compile(r"<(0|[1-9]\d{0,2})>")
_PRIORITY_BYTES = re.compile(rb"<\d{1,3}>")
_VERSION = re.compile(r"([1-9]\d{0,2})(?= |$)")
_HEADER_5424 = re.compile(r"[1-9]\d{0,2} (\S+) ([!-~]+) ([!-~]+) ([!-~]+) ([!-~]+) ")
_TIME_5424 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)")
_SD_NAME = r"[!#-<>-\\^-~]+"
_SD_ELEMENT = re.compile(rf'\[({_SD_NAME})((?: {_SD_NAME}="(?:[^"\\\]]|\\.)*")*) ?\]', re.DOTALL)
_SD_PARAM = re.compile(rf' ({_SD_NAME})="((?:[^"\\\]]|\\.)*)"', re.DOTALL)
_SD_ESCAPE = re.compile(r'\\(["\\\]])')

# Cisco: a sequence number, the device's own name, `*` or `.` before a clock that is not in step.
_CISCO_LEAD = re.compile(r"(?:\d{1,10}: )?(?:(?P<host>[\w.:-]{1,255}): )?[*.]?(?=\S)")
_HOST = re.compile(r"[\w.:/-]{1,255}$")
_TAG = re.compile(
    r"(?!\d{1,3}(?:\.\d{1,3}){3}:\d)"  # an address and its port are no tag
    r"(?P<app>[^\s:\[\]]{1,128})(?:\[(?P<pid>[^\]\s]{0,128})\](?: \([^()]{1,255}\))?:?|:)(?: |$|(?=\S))"
)
_SPACED_TAG = re.compile(r"(?P<app>[\w.-][^:\[\]<>=]{0,63})\[(?P<pid>\d{1,10})\](?: \([^()]{1,255}\))?: ?")
_BARE_TAG = re.compile(r"(?P<app>[\w%/(#][^\s:\[\]{}<>=\"']{0,127})(?: |$)")
_REPEATED = re.compile(r"(?:last )?message repeated \d")


class SyslogMessage(msgspec.Struct, gc=False):
    """One syslog message, read. A part that the message does not state is None."""

    message: str
    priority: int | None = None
    version: int | None = None
    time_ns: int | None = None
    zoneless: bool = False
    host: str | None = None
    app: str | None = None
    procid: str | None = None
    msgid: str | None = None
    structured_data: dict[str, dict[str, str]] | None = None
    error: str | None = None

    @property
    def facility(self) -> int:
        return (DEFAULT_PRIORITY if self.priority is None else self.priority) >> 3

    @property
    def severity(self) -> int:
        """Return the syslog severity, 0 (emerg) to 7 (debug)."""
        return (DEFAULT_PRIORITY if self.priority is None else self.priority) & 7


def decode(body: bytes) -> str:
    """Return the text without its trailer; bytes that are not UTF-8 stay readable as `\\xf0`."""
    return body.decode("utf-8", "backslashreplace").rstrip("\r\n\x00").removeprefix("\ufeff")


def has_priority(body: bytes) -> bool:
    """Say whether bytes begin as only a syslog message does, with `<13>`."""
    return body.startswith(b"<") and _PRIORITY_BYTES.match(body) is not None


def parse_syslog(body: bytes, clock: Clock, observed_ns: int) -> SyslogMessage:
    """Read one syslog message. Never raises: an unknown form is a message as a whole."""
    text = decode(body)
    found = _PRIORITY.match(text)
    if found is None:
        if text.startswith("<"):
            return SyslogMessage(text, error="priority is not a number of 0 to 191 in angle brackets")
        return parse_3164(text, 0, None, clock, observed_ns)
    priority = int(found[1])
    if priority > 191:
        return SyslogMessage(text, error=f"priority {priority} is over 191")
    start = found.end()
    version = _VERSION.match(text, start)
    if version:
        parsed = parse_5424(text, start, priority, clock, observed_ns)
        parsed.version = int(version[1])
        return parsed
    return parse_3164(text, start, priority, clock, observed_ns)


def parse_5424(text: str, start: int, priority: int, clock: Clock, observed_ns: int) -> SyslogMessage:
    """Read what follows the priority at `start` as RFC 5424, section 6."""
    header = _HEADER_5424.match(text, start)
    if header is None:
        return SyslogMessage(text, priority, error="header is not VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID")
    stamp, host, app, procid, msgid = header.groups()
    time_ns = None
    if stamp != "-":
        time = clock.read(stamp, 0, observed_ns) if _TIME_5424.fullmatch(stamp) else None
        if time is None:
            return SyslogMessage(text, priority, error="timestamp is not as in RFC 5424, section 6.2.3")
        time_ns = time.ns
    if len(host) > _MAX_HOST:
        return SyslogMessage(text, priority, error=f"host name is longer than {_MAX_HOST} characters")
    try:
        structured_data, end = _read_structured_data(text, header.end())
    except ValueError as error:
        return SyslogMessage(text, priority, error=str(error))
    message = text[end + 1 :].removeprefix("\ufeff")
    parsed = SyslogMessage(message, priority, None, time_ns, False, _nil(host), _nil(app), _nil(procid))
    parsed.msgid, parsed.structured_data = _nil(msgid), structured_data
    return _check_lengths(parsed)


def parse_3164(text: str, start: int, priority: int | None, clock: Clock, observed_ns: int) -> SyslogMessage:
    """Read what follows the priority at `start` as RFC 3164: any of time, host and tag may be missing."""
    parsed = SyslogMessage(text[start:], priority)
    begin = start
    while text.startswith(" ", begin):
        begin += 1
    time = clock.read(text, begin, observed_ns)
    if time is None:
        lead = _CISCO_LEAD.match(text, begin)
        if lead and lead.end() > begin:
            time = clock.read(text, lead.end(), observed_ns)
            parsed.host = lead["host"] if time else None
    if time is None:
        if priority is not None:
            _read_tag(parsed, text, begin, bare=False)
        return parsed
    parsed.time_ns, parsed.zoneless = time.ns, time.zoneless
    end = time.end
    if text.startswith(":", end):
        end += 1
    while text.startswith(" ", end):
        end += 1
    read_host_and_tag(parsed, text, end)
    return parsed


def read_host_and_tag(parsed: SyslogMessage, text: str, start: int, bare: bool = True) -> None:
    """Read host and tag at `start`; the tag may lack its colon and process id only where `bare`."""
    space = text.find(" ", start)
    word = text[start:] if space < 0 else text[start:space]
    is_host = space >= 0 and parsed.host is None and word[-1:] not in (":", "]") and _HOST.match(word) is not None
    if not is_host:
        _read_tag(parsed, text, start, bare)
        return
    parsed.host = word
    while text.startswith(" ", space):
        space += 1
    _read_tag(parsed, text, space, bare)


def _read_tag(parsed: SyslogMessage, text: str, start: int, bare: bool) -> None:
    """Read the tag at `start`; without its colon or process id only where `bare`."""
    begin = start + 3 if text.startswith("-- ", start) else start
    found = _TAG.match(text, begin) or (_SPACED_TAG.match(text, begin) if bare else None)
    if found:
        parsed.app, parsed.procid = found["app"], found["pid"]
    elif bare and not _REPEATED.match(text, begin):
        found = _BARE_TAG.match(text, begin)
        if found:
            parsed.app = found["app"]
    parsed.message = text[found.end() if found else start :]


def _read_structured_data(text: str, start: int) -> tuple[dict[str, dict[str, str]] | None, int]:
    """Return the elements by SD-ID and where they end. Raises ValueError."""
    if text.startswith("-", start):
        elements, end = None, start + 1
    else:
        elements, end = {}, start
        while element := _SD_ELEMENT.match(text, end):
            name = element[1]
            if name in elements:
                raise ValueError(f"structured data has two elements {name[:64]!r}")
            if len(name) > _MAX_SD_NAME:
                raise ValueError(f"SD-ID is longer than {_MAX_SD_NAME} characters")
            elements[name] = {key: _SD_ESCAPE.sub(r"\1", value) for key, value in _SD_PARAM.findall(element[2])}
            end = element.end()
    if end == start or (end < len(text) and text[end] != " "):
        raise ValueError("structured data is not as in RFC 5424, section 6.3")
    return elements, end


def _check_lengths(parsed: SyslogMessage) -> SyslogMessage:
    """Cut and note what is over the lengths of RFC 5424, section 6."""
    for name, most in (("app", _MAX_APP), ("procid", _MAX_PROCID), ("msgid", _MAX_MSGID)):
        value = getattr(parsed, name)
        if value is not None and len(value) > most:
            setattr(parsed, name, value[:most])
            parsed.error = f"{name} is longer than {most} characters"
    names = [*(parsed.structured_data or {})]
    names += [key for element in (parsed.structured_data or {}).values() for key in element]
    if any(len(name) > 32 for name in names):
        parsed.error = "a name in the structured data is longer than 32 characters"
    return parsed


def _nil(value: str) -> str | None:
    return None if value == "-" else value
