"""Headers of log files, in any order: time, host, level, process, thread, component, message.

No layout of a product is named here. Loggers agree on little, but on this: a time comes first or after a few columns; a
level is an upper-case or bracketed word near it; a thread stands in brackets; a component is a dotted name or a word
before a colon, ` - `, `|` or a wide gap; what is left is the message. A word of the message is never taken for a level
unless it is upper case, bracketed or set off, because "Error reading file" is a sentence.
"""

from __future__ import annotations

import re

from actors.parsing.levels import LETTERS, LEVELS, UPPER_WORDS, WORDS
from actors.parsing.loggers import (
    CHAINS,
    read_chain,
    read_esxi,
    read_java,
    read_klog,
    read_php,
    read_pieces,
    read_postgres,
    read_python,
    read_redis,
    read_ruby,
    read_serilog,
)
from actors.parsing.reading import Reading
from actors.parsing.syslog import ENDPOINT, SEVERITY_NUMBERS, SyslogMessage, parse_3164, read_host_and_tag
from actors.parsing.times import Clock
from protocol.clock import NS_PER_S, format_time

_UPPER = UPPER_WORDS
_ANY = f"(?i:{WORDS})"

_LABEL = re.compile(r"(?:-|[A-Z][A-Z0-9_]{2,24}) (?=\d{10} )")
_COLUMN = re.compile(r"(?=\S*[\d._-])[\w.:@/-]{1,96} +")
_RECORD_NUMBER = re.compile(r"\d{1,12} +(?:[\w.:@/-]{1,64} +){1,4}?(?=1\d{9} )")
_ZONE_WORD = re.compile(r"[A-Z]{3,5} (?=[A-Z][a-z]{2} )")
_BEFORE_BRACKET = re.compile(rf"(?:(?:{_ANY}):? |[\d.:]{{7,48}} |\[[A-Za-z]{{1,16}}\] )\[?(?=[\dA-Z])")
_FLAG = re.compile(r"-?\d (?=\S)")
_DATE = re.compile(r"(?:19|20)\d\d[./-]\d\d[./-]\d\d +")
_NODE = re.compile(r"([\w.:@/-]{1,96}) +")
_GAP = re.compile(r"[\])]?(?:::|[,:])?(?: +- +| *\| *|[ \t]+|$|(?<=:))")

_PID_LEVEL = re.compile(rf"(\d{{1,10}}) +(?:(\d{{1,10}}) +)?(?=(?:{_UPPER})\b|[VDIWEF] |---? )")
_PLAIN_LEVEL = re.compile(
    rf"(?:((?:{_UPPER})(?![\w.'=-])|{_ANY}(?= *[:|,] |  +|\t| - ))|([VDIWEF])(?= +[\w.$/-]+ *[:(/]))"
    rf"(?:\[(\d+)\](?:\[[^\]\s]{{0,32}}\])?)?"
    rf"(?: *\(\d\))?(?: *(?:::|[:,]))?(?:[ \t]+(?:- +)?|(?=\|)|(?<=::)|$)"
)
_BRACKET_LEVEL = re.compile(rf"[\[<(](?:[\w.-]{{0,32}}:)?({_ANY})[\])>]:? *(?:- +)?")
_UPPER_WORDS = re.compile(rf"((?:[A-Z][A-Z_]{{1,24}} ){{1,2}})(?=(?:{_UPPER}) )")
_NAME_LEVEL = re.compile(rf"([\w.$-]{{1,96}})(?: {{0,16}}\[(\d+)\])?(?: - +|: +| +)(?=(?:{_UPPER})\b[ :|\[-]|\[{_ANY}\])")
_THREAD_THEN_LEVEL = re.compile(rf"\[([^\]]{{1,96}})\] +(?:[-|] +)?(?=(?:{_UPPER})\b)")
_PID_BRACKET = re.compile(r"\[pid (\d+)(?::tid (\d+))?\] ")
_PID_HASH = re.compile(r"(\d+)#\d+: ")
_PID_DASHES = re.compile(r"(\d+) +--- +")
_BRACKET = re.compile(r"\[((?!client |remote )[^\[\]]{0,256}(?:\[[^\[\]]{0,64}\][^\[\]]{0,128})?)\] +(?:- +)?")
_COMPONENT = re.compile(r"([A-Za-z_.][\w.$@/<>\[\]-]{0,128}(?:\[\d+\]|\([\w-]+\))?) *:(?: +|$)")
_DOTTED = re.compile(r"((?:[A-Za-z_][\w$-]*\.)+[A-Za-z_][\w$-]*) +(?=\[)(?:\[[^\[\]]{0,160}\] +)?")
_WIDE = re.compile(r"([A-Za-z][\w.-]{0,48})(?:  +|\t+)(?=\S)")
_RUST = re.compile(r"((?:\w{1,64}::){0,8}\w{1,64})\] ")  # env_logger closes its bracket behind the module
_MODULE = re.compile(r"((?:\w{1,64}::){1,8}\w{1,64}): ")
_DASHED = re.compile(r"((?:[A-Za-z_$][\w$]{0,63}\.){1,16}[A-Za-z_$][\w$]{0,95}) +- +")
_LOGURU = re.compile(r"([\w.<>]{1,128}:[\w.<>]{1,96}:\d{1,6}) - ")
_BEHIND_LEVEL = (_LOGURU, _COMPONENT, _DOTTED, _WIDE, _MODULE, _DASHED)
_IN_BRACKET = (_RUST, *_BEHIND_LEVEL)
_PROGRAM = re.compile(r"((?=[\d]{0,8}[A-Za-z])\w[\w.-]{0,64})(?: \*\d+)? - +(?=\S)")
_BSD_TAG = re.compile(r" +([\w.-]{1,255}) ([A-Za-z][^\s:\[\]]{0,127})(?:\[(\d{1,10})\])?:(?: |$)")
_CISCO = re.compile(r": %[A-Z][\w-]{0,63}-(\d)-\w{1,64} ?: ")
_CLOCK_ONLY = re.compile(r"\d\d:\d\d:\d\d[.,]\d{3,9}(?= )")
_LOWER_LEVEL = re.compile(r"([a-z]{4,8}): ")
_DAY_NS = 86_400 * NS_PER_S


class Peeler:
    """Takes the header off the lines of one source."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def peel(self, text: str, observed_ns: int, whole_line: bool = True) -> Reading:
        """Return the message alone and the fields of its header; a text without header is all message.

        After a syslog header (not `whole_line`) the time comes first or not at all, and no host and tag follow it.
        """
        reading = Reading(text, {})
        if whole_line and text[:1].isalpha() and self._read_bsd(reading, text, observed_ns):
            return reading
        if whole_line and ": %" in text[:192] and self._read_cisco(reading, text, observed_ns):
            return reading
        if text[:1] in "IWEFDA":
            for read in (read_klog, read_ruby):
                if read(self._clock, reading, text, observed_ns):
                    return reading
        end = self._read_time(reading, text, observed_ns, whole_line)
        if end < 0:
            if ":  " not in text or not read_postgres(reading, text, 0):
                _read_level_only(reading, text, whole_line)
            return reading
        if _read_own_layout(reading, text, end, whole_line):
            return reading
        gap = _GAP.match(text, end)
        bracketed, colon = text.startswith("]", end), text.startswith(":", end)
        end = gap.end() if gap else end
        end = self._read_later_times(reading, text, end, observed_ns)
        if (text[end : end + 1].islower() or text[end + 2 : end + 3] == "(") and read_esxi(reading, text, end):
            return reading
        if ":  " in text and read_postgres(reading, text, end):
            return reading
        after = _read_layout(reading, text, end)
        spaced = text.startswith(" ", end - 1)
        if (
            after == end
            and whole_line
            and spaced
            and not bracketed
            and not colon
            and "level" not in reading.fields
            and (text[:1].isalpha() or _looks_tagged(text, end))
        ):
            tagged = SyslogMessage(text[end:])
            read_host_and_tag(tagged, text, end, bare=text[:1].isalpha())
            _copy_tag(reading, tagged)
            return reading
        if reading.severity is None and text.startswith("PHP ", after):
            read_php(reading, text, after)
        if after == end and bracketed and (program := _PROGRAM.match(text, end)):
            reading.fields["component"] = program[1]
            after = program.end()
        reading.message = text[after:]
        return reading

    def _read_bsd(self, reading: Reading, text: str, observed_ns: int) -> bool:
        """Read `Jun 14 15:16:01 host tag[pid]: message`, the commonest layout of all."""
        time = self._clock.read(text, 0, observed_ns)
        tag = _BSD_TAG.match(text, time.end) if time else None
        if time is None or tag is None:
            return False
        reading.time_ns, reading.zoneless = time.ns, time.zoneless
        host, app, procid = tag.groups()
        reading.fields = {"host": host, "app": app} if procid is None else {"host": host, "app": app, "procid": procid}
        reading.message = text[tag.end() :]
        return True

    def _read_cisco(self, reading: Reading, text: str, observed_ns: int) -> bool:
        """Read what Cisco's devices send as syslog, without the priority; its mnemonic says the level."""
        mnemonic = _CISCO.search(text, 0, 256)
        parsed = parse_3164(text, 0, None, self._clock, observed_ns) if mnemonic else None
        if mnemonic is None or parsed is None or parsed.time_ns is None:
            return False
        reading.time_ns, reading.zoneless = parsed.time_ns, parsed.zoneless
        reading.severity = SEVERITY_NUMBERS[min(int(mnemonic[1]), 7)]
        _copy_tag(reading, parsed)
        return True

    def _read_clock(self, reading: Reading, text: str, observed_ns: int) -> int:
        """Read a time of day alone; it is of the day that puts it no more than an hour behind the observation."""
        found = _CLOCK_ONLY.match(text)
        if found is None:
            return -1
        for day_ns in (observed_ns, observed_ns - _DAY_NS):
            time = self._clock.read(f"{format_time(day_ns)[:10]} {found[0]}", 0, observed_ns)
            if time is not None and time.ns <= observed_ns + _DAY_NS // 24:
                reading.time_ns, reading.zoneless = time.ns, time.zoneless
                return found.end()
        return -1

    def _read_time(self, reading: Reading, text: str, observed_ns: int, columns: bool) -> int:
        """Read the first time; return where it ends, -1 if there is none; `columns` may stand before it."""
        start = 1 if text[:1] in ("[", "(") else 0
        if start and (zone := _ZONE_WORD.match(text, start)):
            start = zone.end()
        time = self._clock.read(text, start, observed_ns)
        if time is None and columns:
            start = self._skip_columns(text, observed_ns)
            time = self._clock.read(text, start, observed_ns) if start else None
            if time and (flag := _FLAG.match(text, time.end + 1)) and _RECORD_NUMBER.match(text):
                reading.time_ns, reading.zoneless = time.ns, time.zoneless
                reading.fields["prefix"] = text[:start].rstrip()
                return flag.end() - 1
        if time is None:
            return self._read_clock(reading, text, observed_ns) if columns else -1
        reading.time_ns, reading.zoneless = time.ns, time.zoneless
        if start > 1:
            _keep_prefix(reading, text[:start].rstrip(" ["))
        return time.end

    def _skip_columns(self, text: str, observed_ns: int) -> int:
        label = _LABEL.match(text) or _RECORD_NUMBER.match(text) or _BEFORE_BRACKET.match(text)
        if label:
            return label.end()
        end = 0
        for _ in range(3):
            column = _COLUMN.match(text, end)
            if column is None:
                return 0
            end = column.end()
            if text[end : end + 1].isdigit() and self._clock.read(text, end, observed_ns):
                return end
        return 0

    def _read_later_times(self, reading: Reading, text: str, end: int, observed_ns: int) -> int:
        """Read the date, node and time columns that may follow an epoch; the last time is the most exact."""
        date = _DATE.match(text, end)
        if date is None:
            return end
        end = date.end()
        node = _NODE.match(text, end)
        time = self._clock.read(text, node.end(), observed_ns) if node else None
        if node is None or time is None:
            return end
        reading.fields["host"] = node[1]
        if not time.yearless:
            reading.time_ns, reading.zoneless = time.ns, time.zoneless
        end = time.end + 1
        again = _NODE.match(text, end)
        if again and node[1] in again[1]:
            end = again.end()
        return end


def _read_own_layout(reading: Reading, text: str, end: int, whole_line: bool) -> bool:
    """Read what follows the time at `end` where one family of loggers sets it off in a way of its own."""
    sign = text[end : end + 1]
    if sign == " ":
        if text[:1].isalpha():
            return whole_line and read_java(reading, text, end)
        return "prefix" in reading.fields and read_redis(reading, text, end)
    if sign == "|":
        reading.message = text[read_pieces(reading, text, end + 1) :]
        return True
    if sign == "," and not text.startswith(" ", end + 1):  # columns
        reading.message = text[end + 1 :]
        return True
    return text.startswith(CHAINS, end) and read_chain(reading, text, end)


def _keep_prefix(reading: Reading, prefix: str) -> None:
    """Keep what stood before the time; it may be the level."""
    reading.fields["prefix"] = prefix
    level = prefix.strip("[]:")
    if level.lower() in LEVELS:
        reading.severity = LEVELS[level.lower()]
        reading.fields["level"] = level


def _read_level_only(reading: Reading, text: str, whole_line: bool) -> None:
    """Read the level, and what stands around it, of a text that has no time."""
    if whole_line and (lower := _LOWER_LEVEL.match(text)) and lower[1] in LEVELS:
        reading.severity = LEVELS[lower[1]]
        reading.fields["level"] = lower[1]
        return
    if read_python(reading, text) or read_serilog(reading, text):
        return
    level = _BRACKET_LEVEL.match(text) or (_PLAIN_LEVEL.match(text) if text[:1].isupper() else None)
    if level and level[1]:
        reading.severity = LEVELS[level[1].lower()]
        reading.fields["level"] = level[1]
        if level.re is _BRACKET_LEVEL:
            reading.message = text[level.end() :]


def _read_layout(reading: Reading, text: str, start: int) -> int:
    """Read level, process, thread and component at `start`; return where the message begins."""
    end = _read_level(reading, text, start)
    if end < 0:
        return start
    return _read_after_level(reading, text, end)


def _read_level(reading: Reading, text: str, start: int) -> int:
    """Read what leads up to the level and the level itself; return where it ends, -1 if there is none."""
    fields, end = reading.fields, start
    for shape, names in (
        (_PID_LEVEL, ("pid", "thread")),
        (_UPPER_WORDS, ("component", "")),
        (_THREAD_THEN_LEVEL, ("thread", "")),
        (_NAME_LEVEL, ("component", "pid")),
    ):
        lead = shape.match(text, end)
        if lead:
            pairs = zip(names, lead.groups(), strict=False)
            lead_fields = {
                "pid" if value.isdecimal() and name == "component" else name: value.strip()
                for name, value in pairs
                if value and name
            }
            end = lead.end()
            break
    else:
        lead_fields = {}
    level = _BRACKET_LEVEL.match(text, end) or _PLAIN_LEVEL.match(text, end)
    if level is None:
        return -1
    fields.update(lead_fields)
    groups = level.groups()
    word = groups[0] or groups[1]
    fields["level"] = word
    reading.severity = LEVELS[word.lower()] if groups[0] else LETTERS[word]
    if len(groups) > 2 and groups[2]:
        fields["pid"] = groups[2]
    return level.end()


def _read_after_level(reading: Reading, text: str, end: int) -> int:
    fields = reading.fields
    while text.startswith("|", end) or text.startswith(" ", end):
        end += 1
    for shape in (_PID_BRACKET, _PID_HASH, _PID_DASHES):
        found = shape.match(text, end)
        if found:
            fields["pid"] = found[1]
            end = found.end()
    if "thread" not in fields and (found := _BRACKET.match(text, end)):
        fields["thread"] = found[1]
        end = found.end()
        if text.startswith("- ", found.end() - 2):
            return end
    for shape in _IN_BRACKET if text.startswith("[") else _BEHIND_LEVEL:
        found = shape.match(text, end)
        if found:
            fields.setdefault("component", found[1])
            return found.end()
    return end


_TAGGED = re.compile(
    r"(?:[\w.:/-]{1,255} +)?(?:-- )?[^\s:\[\]]{1,128}(?:\[[^\]\s]{0,128}\]|\]?:)"
    r"|[\w.:/-]{1,255} +[\w.-][\w. -]{0,63}\[\d+\]"
)


def _looks_tagged(text: str, start: int) -> bool:
    space = text.find(" ", start)
    return _TAGGED.match(text, start) is not None and ENDPOINT.search(text[start:space]) is None


def _copy_tag(reading: Reading, tagged: SyslogMessage) -> None:
    for name in ("host", "app", "procid", "msgid", "user", "src_ip"):
        value = getattr(tagged, name)
        if value:
            reading.fields[name] = value
    reading.message = tagged.message
