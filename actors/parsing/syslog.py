"""Syslog messages as they are met: RFC 5424 to the letter, RFC 3164 in its many real forms.

A message that fits neither is no error: all of it is the message, and `error` says why. The two RFCs are told apart by
the version and the time after the priority. RFC 5424, where this is more lenient than its grammar, as receivers in the
field are: any ISO time is read; structured data that is left out, or is written in another way, is the message; names over
32 characters are kept, an APP-NAME, PROCID or MSGID over its length is cut. What is at fault is noted, and what was read is
kept. RFC 3164, section 4.1, is a description of practice: priority, time, host and tag may each be missing here, the time
may be any that `times` reads, and known are: Cisco's sequence number, clock marks, uptime and `%FACILITY-SEVERITY-MNEMONIC`,
a second time or header behind that of a relay, a second tag behind that of a device, and tags of several words.
"""

from __future__ import annotations

import re

import msgspec

from actors.parsing.text import decode
from actors.parsing.times import Clock, Time

FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip

# Syslog severity 0 to 7 (emerg to debug) as OpenTelemetry SeverityNumber.
SEVERITY_NUMBERS = (21, 19, 18, 17, 13, 10, 9, 5)
DEFAULT_PRIORITY = 13  # user.notice (RFC 3164, section 4.3.3)

_MAX_HOST, _MAX_APP, _MAX_PROCID, _MAX_MSGID, _MAX_SD_NAME = 255, 48, 128, 32, 255

_PRIORITY = re.compile(r"<(0|[1-9]\d{0,2})>")
_PRIORITY_BYTES = re.compile(rb"(?:\d{1,7} )?<\d{1,3}>")
_PRIORITY_STARTS = tuple(b"<0123456789"[place : place + 1] for place in range(11))
_VERSION = re.compile(r"([1-9]\d{0,2})(?= |$)")
# What a second time, after that of a relay, begins like.
_TIME_SIGN = re.compile(
    r"(?:19|20)\d\d[-/]\d\d[-/]\d\d[T ]"
    r"|(?:(?:19|20)\d\d )?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d (?:(?:19|20)\d\d )?\d\d?:\d\d:"
)
_SEQUENCE = re.compile(rf"(?:\d{{1,10}}: )?[*.]?(?={_TIME_SIGN.pattern})")
_OCTET_COUNT = re.compile(r"\d{1,7} (?=<\d{1,3}>)")
_HEADER_5424 = re.compile(r"[1-9]\d{0,2} (-|\d{4}-?\d\d-?\d\d\S*)(?: ([!-~]+))?(?: ([!-~]+))?(?: ([!-~]+))?(?: ([!-~]+))?(?: |$)")
_TIME_5424 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)")
_SD_NAME = r"[!#-<>-\\^-~]+"
_SD_ELEMENT = re.compile(rf'\[({_SD_NAME})((?: {_SD_NAME}="(?:[^"\\\]]|\\.)*")*) ?\]', re.DOTALL)
_SD_PARAM = re.compile(rf' ({_SD_NAME})="((?:[^"\\\]]|\\.)*)"', re.DOTALL)
_CHECK_POINT_PAIR = re.compile(r'(\w{1,64}):"((?:[^"\\]|\\.)*)"; ?', re.DOTALL)
_CHECK_POINT = re.compile(r'\[(?:\w{1,64}:"(?:[^"\\]|\\.)*"; ?)+\]?', re.DOTALL)
_SD_ESCAPE = re.compile(r'\\(["\\\]])')

# Cisco: a sequence number, the device's own name, `*` or `.` before a clock that is not in step; on wireless controllers the
# name of the task.
_CISCO_LEAD = re.compile(
    r"(?:\d{1,10}: )?(?:: )?(?:(?P<host>[\w.:/-]{1,255}): ?)?(?:\*[A-Za-z][\w.-]{0,63}: )?[*.]?(?=\S)"
)
_UPTIME = re.compile(
    r"(?:\d{1,10}: )?(?:(?P<host>[\w.-]{1,255}): )?"
    r"(?:\d{1,4}:\d\d:\d\d(?:\.\d{1,6})?|\d{1,4}[ywd]\d{1,2}[wdh]): (?=%)"
)
_MNEMONIC = re.compile(r"(%[A-Z][\w-]{0,63}-\d-\w{1,64}) ?: ")
ENDPOINT = re.compile(r"\d\.\d{1,3}:\d{1,5}$")  # an address and its port are no host
_HOST = re.compile(r"[\w.:/+-]{1,255}$")
# `Severity: Warning, Category: Audit, `: the first name of a list is no tag.
_LIST = r"[A-Z]\w{1,31}: [^,:]{1,64}, [A-Z]\w{1,31}: "
_PLAIN_HEADER = re.compile(  # nearly all there are
    rf" +([A-Za-z0-9][\w.-]{{0,254}}) (?!CEF:|LEEF:|{_LIST})([A-Za-z][\w./-]{{0,63}})(?:\[(\d{{1,10}})\])?: (?![%: ])"
)
_TAG = re.compile(
    rf"(?!\d{{1,3}}(?:\.\d{{1,3}}){{3}}:\d|{_LIST})"  # an address and its port are no tag
    r"(?P<app>[^\s:\[\]=]{1,128})(?:\[(?P<pid>[^\]\s]{0,128})\](?: \([^()]{1,255}\))?:?|\]?:)(?: |$|(?=\S))"
)
# Dovecot: who is served, from where, stands in the tag.
_SESSION_TAG = re.compile(  # not `su(pam_unix): `: a user of mail has a comma, an @ or a session behind it
    r"(?P<app>[a-z][\w-]{1,31})\((?:(?P<who>[^()\s]{0,255}[,@][^()\s]{0,255})\)(?:<[^<>\s]{0,64}>){0,3}"
    r"|(?P<name>[^()\s]{1,255})\)(?:<[^<>\s]{0,64}>){1,3}): "
)
_WORDS_TAG = re.compile(r"(?P<app>[A-Z][\w.-]{0,31}(?: [A-Z][\w.-]{0,31}){1,3}): ")
_RECORDS = ("CEF:", "LEEF:")  # not tags, whatever they look like
_DEVICE_TAG = re.compile(r"[0-9a-f]{12},[\w.+-]{1,64}")  # UniFi: hardware address, model and version
_EVENT_NUMBER = re.compile(r"\d{5} (?=[\w-]{2,31}: )")  # ProCurve: before the tag
_SECOND_TAG = re.compile(r" *(?P<app>[A-Za-z][\w./-]{0,63})(?:\[(?P<pid>\d{1,10})\])?: ")
_HOST_WITHOUT_TIME = re.compile(r"([\w.-]{1,255}) (?=[0-9a-f]{12},[\w.+-]{1,64}:|[\w./-]{1,64}\[\d{1,10}\]:)")
_SPACED_TAG = re.compile(r"(?P<app>[\w.-][^:\[\]<>=]{0,63})\[(?P<pid>\d{1,10})\](?: \([^()]{1,255}\))?: ?")
_BARE_TAG = re.compile(r"(?P<app>(?:[a-z_%/(#]|[A-Z]+(?=[ _]))[^\s:\[\]{}<>=\"',]{0,127})(?: |$)")
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
    structured_text: str = ""
    relay: str | None = None  # the host that passed it on, and put a header of its own before
    user: str | None = None  # that the tag names
    src_ip: str | None = None
    error: str | None = None

    @property
    def facility(self) -> int:
        return (DEFAULT_PRIORITY if self.priority is None else self.priority) >> 3

    @property
    def severity(self) -> int:
        """Return the syslog severity, 0 (emerg) to 7 (debug)."""
        return (DEFAULT_PRIORITY if self.priority is None else self.priority) & 7


def has_priority(body: bytes) -> bool:
    """Say whether bytes begin as only a syslog message does, with `<13>`, perhaps behind the octet count of RFC 6587."""
    return body[:1] in _PRIORITY_STARTS and _PRIORITY_BYTES.match(body) is not None


def parse_syslog(body: bytes, clock: Clock, observed_ns: int) -> SyslogMessage:
    """Read one syslog message. Never raises: an unknown form is a message as a whole."""
    text = decode(body)
    if text[:1] != "<" and (count := _OCTET_COUNT.match(text)):
        text = text[count.end() :]
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
    if version and not text[version.end() + 1 : version.end() + 2].isalpha():  # else a number and words
        parsed = parse_5424(text, start, priority, clock, observed_ns)
        parsed.version = int(version[1])
        return parsed
    return parse_3164(text, start, priority, clock, observed_ns)


def parse_5424(text: str, start: int, priority: int, clock: Clock, observed_ns: int) -> SyslogMessage:
    """Read what follows the priority at `start` as RFC 5424, section 6. What is at fault is noted, and the rest kept."""
    header = _HEADER_5424.match(text, start)
    if header is None:
        return SyslogMessage(text, priority, error="header is not VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID")
    stamp, host, app, procid, msgid = header.groups()
    parsed = SyslogMessage(text[header.end() :].removeprefix("\ufeff"), priority)
    if stamp != "-":
        time = clock.read(stamp, 0, observed_ns)
        if time is not None and time.end == len(stamp):
            parsed.time_ns, parsed.zoneless = time.ns, time.zoneless
        if time is None or _TIME_5424.fullmatch(stamp) is None:
            parsed.error = "timestamp is not as in RFC 5424, section 6.2.3"
    parsed.host, parsed.app, parsed.procid, parsed.msgid = map(_nil, (host, app, procid, msgid))
    if msgid is None:
        parsed.error = "header is not VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID"
    else:
        _read_structured_part(parsed, text, header.end())
    return _check_lengths(parsed)


def _read_structured_part(parsed: SyslogMessage, text: str, start: int) -> None:
    """Read structured data and message; data that is not as it has to be is the message, and so is data without one."""
    try:
        parsed.structured_data, end = _read_structured_data(text, start)
    except ValueError as error:
        parsed.error = parsed.error or str(error)
        found = _CHECK_POINT.match(text, start)
        if found:
            pairs = {key: _SD_ESCAPE.sub(r"\1", value) for key, value in _CHECK_POINT_PAIR.findall(found[0])}
            parsed.structured_data = {"": pairs}
        return
    parsed.message = text[end + 1 :].removeprefix("\ufeff")
    parsed.structured_text = text[start:end]


def parse_3164(text: str, start: int, priority: int | None, clock: Clock, observed_ns: int) -> SyslogMessage:
    """Read what follows the priority at `start` as RFC 3164: any of time, host and tag may be missing."""
    parsed = SyslogMessage(text[start:], priority)
    begin = _skip_blanks(text, start) if text.startswith(" ", start) else start
    time = clock.read(text, begin, observed_ns)
    if time is None and (lead := _CISCO_LEAD.match(text, begin)) and lead.end() > begin:
        time = clock.read(text, lead.end(), observed_ns)
        parsed.host = lead["host"] if time else None
    if time is None:
        if priority is not None:
            _read_without_time(parsed, text, begin)
        return parsed
    parsed.time_ns, parsed.zoneless = time.ns, time.zoneless
    plain = _PLAIN_HEADER.match(text, time.end)
    if plain and parsed.host is None and plain[1] != plain[2]:
        parsed.host, parsed.app, parsed.procid = plain.groups()
        parsed.message = text[plain.end() :]
        return parsed
    end = _skip_blanks(text, time.end)
    end = _skip_blanks(text, end + text.startswith(":", end))
    end, time = _read_later_header(parsed, text, end, time, clock, observed_ns)
    parsed.time_ns, parsed.zoneless = time.ns, time.zoneless
    read_host_and_tag(parsed, text, end)
    return parsed


def _read_later_header(
    parsed: SyslogMessage, text: str, end: int, time: Time, clock: Clock, observed_ns: int
) -> tuple[int, Time]:
    """Read a second time, with or without the name of a relay before it; the writer's own is the second."""
    if _TIME_SIGN.match(text, end) and (later := clock.read(text, end, observed_ns)):
        return _skip_blanks(text, later.end + text.startswith(":", later.end)), later
    space = text.find(" ", end, end + _MAX_HOST)
    if space < 0 or (lead := _SEQUENCE.match(text, space + 1)) is None or _HOST.match(text[end:space]) is None:
        return end, time
    later = clock.read(text, lead.end(), observed_ns)
    if later is None:
        return end, time
    if lead[0] and text.startswith(": %", later.end):  # Cisco's own header, which names no host
        parsed.host = text[end:space]
    else:
        parsed.relay = text[end:space]
    return _skip_blanks(text, later.end + text.startswith(":", later.end)), later


def _read_without_time(parsed: SyslogMessage, text: str, begin: int) -> None:
    """Read what stands before a message that has no time: Cisco's uptime, a host before a tag, or a tag alone."""
    if uptime := _UPTIME.match(text, begin):
        parsed.host = uptime["host"]
        begin = uptime.end()
    elif host := _HOST_WITHOUT_TIME.match(text, begin):
        parsed.host = host[1]
        begin = host.end()
    _read_tag(parsed, text, begin, bare=False)


def _skip_blanks(text: str, start: int) -> int:
    while text.startswith(" ", start):
        start += 1
    return start


def read_host_and_tag(parsed: SyslogMessage, text: str, start: int, bare: bool = True) -> None:
    """Read host and tag at `start`; the tag may lack its colon and process id only where `bare`."""
    space = text.find(" ", start)
    word = text[start:] if space < 0 else text[start:space]
    is_host = space >= 0 and parsed.host is None and word[-1:] not in (":", "]") and _HOST.match(word) is not None
    is_host = is_host and ENDPOINT.search(word) is None
    if not is_host:
        _read_tag(parsed, text, start, bare)
        return
    parsed.host = word
    space = _skip_blanks(text, space)
    if text.startswith(": ", space):  # Cisco's firewalls
        space += 2
    _read_tag(parsed, text, space, bare)


def _read_tag(parsed: SyslogMessage, text: str, start: int, bare: bool) -> None:
    """Read the tag at `start`; without its colon or process id only where `bare`."""
    begin = start + 3 if text.startswith("-- ", start) else start
    if text[begin : begin + 1].isdigit() and (number := _EVENT_NUMBER.match(text, begin)):
        begin = number.end()
    if text.startswith(_RECORDS, begin):
        parsed.message = text[begin:]
        return
    found = _SESSION_TAG.match(text, begin) if "(" in text[begin : begin + 33] else None
    if found:
        parsed.app = found["app"]
        _read_session(parsed, found["who"] or found["name"])
        parsed.message = text[found.end() :]
        return
    found = _TAG.match(text, begin) or (_SPACED_TAG.match(text, begin) if bare else None)
    if found:
        parsed.app, parsed.procid = found["app"], found["pid"]
    elif bare and not _REPEATED.match(text, begin):
        found = _WORDS_TAG.match(text, begin) or _BARE_TAG.match(text, begin)
        if found:
            parsed.app = found["app"]
    parsed.message = text[found.end() if found else start :]
    if found and parsed.app:
        _read_second_tag(parsed)


def _read_session(parsed: SyslogMessage, who: str) -> None:
    """Read user and address out of `info@example.com,203.0.113.4,sasl:login`."""
    user, _, rest = who.partition(",")
    parsed.user = user or None
    parsed.src_ip = rest.partition(",")[0] or None


def _read_second_tag(parsed: SyslogMessage) -> None:
    """Read the program's own tag behind that of the device, and a mnemonic behind the program."""
    app = parsed.app or ""
    is_device = parsed.procid == "-" or app == parsed.host or ("," in app and _DEVICE_TAG.fullmatch(app))
    if is_device and (second := _SECOND_TAG.match(parsed.message)) and (second["pid"] or app != parsed.host):
        parsed.app, parsed.procid = second["app"], second["pid"]
        parsed.message = parsed.message[second.end() :]
    elif parsed.message.startswith("%") and (mnemonic := _MNEMONIC.match(parsed.message)):
        parsed.msgid = mnemonic[1]
        parsed.message = parsed.message[mnemonic.end() :]


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
    for name, most in (("host", _MAX_HOST), ("app", _MAX_APP), ("procid", _MAX_PROCID), ("msgid", _MAX_MSGID)):
        value = getattr(parsed, name)
        if value is not None and len(value) > most:
            setattr(parsed, name, value[:most])
            parsed.error = f"{name} is longer than {most} characters"
    names = [*(parsed.structured_data or {})]
    names += [key for element in (parsed.structured_data or {}).values() for key in element]
    if any(len(name) > 32 for name in names):
        parsed.error = "a name in the structured data is longer than 32 characters"
    return parsed


def _nil(value: str | None) -> str | None:
    return None if value == "-" else value
