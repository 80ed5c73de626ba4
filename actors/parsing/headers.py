"""Headers of log files, in any order: time, host, level, process, thread, component, message.

No layout of a product is named here. Loggers agree on little, but on this: a time comes first or after a few columns; a
level is an upper-case or bracketed word near it; a thread stands in brackets; a component is a dotted name or a word
before a colon, ` - `, `|` or a wide gap; what is left is the message. A word of the message is never taken for a level
unless it is upper case, bracketed or set off, because "Error reading file" is a sentence.
"""

from __future__ import annotations

import re

from actors.parsing.levels import DEFAULT, LETTERS, LEVELS
from actors.parsing.pairs import find_pairs
from actors.parsing.reading import Reading
from actors.parsing.syslog import SEVERITY_NUMBERS, SyslogMessage, read_host_and_tag
from actors.parsing.times import Clock

_WORD = "|".join(sorted((re.escape(word) for word in LEVELS), key=len, reverse=True))
_UPPER = _WORD.upper()
_ANY = f"(?i:{_WORD})"

_LABEL = re.compile(r"(?:-|[A-Z][A-Z0-9_]{2,24}) (?=\d{10} )")
_COLUMN = re.compile(r"(?=\S*[\d._-])[\w.:@/-]{1,96} +")
_RECORD_NUMBER = re.compile(r"\d{1,12} +(?:[\w.:@/-]{1,64} +){1,4}?(?=1\d{9} )")
_ZONE_WORD = re.compile(r"[A-Z]{3,5} (?=[A-Z][a-z]{2} )")
_BEFORE_BRACKET = re.compile(rf"(?:(?:{_ANY}):? |[\d.:]{{7,48}} |\[[A-Za-z]{{1,16}}\] )\[?(?=[\dA-Z])")
_FLAG = re.compile(r"\d (?=\S)")
_DATE = re.compile(r"(?:19|20)\d\d[./-]\d\d[./-]\d\d +")
_NODE = re.compile(r"([\w.:@/-]{1,96}) +")
_GAP = re.compile(r"[\])]?(?:::|[,:])?(?: +- +| *\| *|[ \t]+|$|(?<=:))")

_PID_LEVEL = re.compile(rf"(\d{{1,10}}) +(?:(\d{{1,10}}) +)?(?=(?:{_UPPER})\b|[VDIWEF] |---? )")
_PLAIN_LEVEL = re.compile(
    rf"(?:((?:{_UPPER})(?![\w.'=-])|{_ANY}(?= *[:|,] |  +|\t| - ))|([VDIWEF])(?= +[\w.$/-]+ *[:(/]))(?:\[(\d+)\])?"
    rf"(?: *\(\d\))?(?: *(?:::|[:,]))?(?:[ \t]+(?:- +)?|(?=\|)|(?<=::)|$)"
)
_BRACKET_LEVEL = re.compile(rf"[\[<(](?:[\w.-]{{0,32}}:)?({_ANY})[\])>]:? *(?:- +)?")
_UPPER_WORDS = re.compile(rf"((?:[A-Z][A-Z_]{{1,24}} ){{1,2}})(?=(?:{_UPPER}) )")
_NAME_LEVEL = re.compile(rf"([\w.$-]{{1,96}})(?:\[(\d+)\])?(?: - +|: +| +)(?=(?:{_UPPER})\b[ :|\[-]|\[{_ANY}\])")
_THREAD_THEN_LEVEL = re.compile(rf"\[([^\]]{{1,96}})\] +(?:- +)?(?=(?:{_UPPER})\b)")
_PID_BRACKET = re.compile(r"\[pid (\d+)(?::tid (\d+))?\] ")
_PID_HASH = re.compile(r"(\d+)#\d+: ")
_PID_DASHES = re.compile(r"(\d+) +--- +")
_BRACKET = re.compile(r"\[((?!client )[^\[\]]{0,256}(?:\[[^\[\]]{0,64}\][^\[\]]{0,128})?)\] +(?:- +)?")
_COMPONENT = re.compile(r"([A-Za-z_][\w.$@/<>-]{0,128}(?:\[\d+\]|\([\w-]+\))?) *:(?: +|$)")
_DOTTED = re.compile(r"((?:[A-Za-z_][\w$-]*\.)+[A-Za-z_][\w$-]*) +(?=\[)(?:\[[^\[\]]{0,160}\] +)?")
_WIDE = re.compile(r"([A-Za-z][\w.-]{0,48})(?:  +|\t+)(?=\S)")
_PROGRAM = re.compile(r"([A-Za-z][\w.-]{0,64})(?: \*\d+)? - +(?=\S)")
_BSD_TAG = re.compile(r" +([\w.-]{1,255}) ([A-Za-z][^\s:\[\]]{0,127})(?:\[(\d{1,10})\])?:(?: |$)")
# klog and glog: `E1126 10:11:12.345678       1 reflector.go:138] message`.
_KLOG = re.compile(r"([IWEF])(\d\d)(\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,9})?) +(\d{1,10}) ([\w./-]{1,128}:\d{1,6})\] ?")
# ESXi 8: the level in two letters and the priority, before the tag; ESXi 7: the level in lower case.
_ESXI = re.compile(r"(?:[A-Z][a-z]\((\d{1,3})\):?|([a-z]{4,9})) (?:([\w.-]{1,64})\[(\d{1,10})\]:? ?)")
# PostgreSQL: two blanks after the level; before it, what `log_line_prefix` says.
_POSTGRES = re.compile(
    r"(?<![\w.])(LOG|ERROR|FATAL|PANIC|WARNING|NOTICE|INFO|DEBUG[1-5]?|DETAIL|HINT|STATEMENT|CONTEXT|QUERY|LOCATION):  "
)
_POSTGRES_PREFIX = re.compile(r"^[\w@.:,=/\[\]() -]{0,192}$")
_POSTGRES_PID = re.compile(r"\[(\d{1,10})(?:-\d{1,6})?\]")
_POSTGRES_USER = re.compile(r"(?<![\w.-])([\w.-]{1,63})@([\w.-]{1,63})(?![\w.-])")
_POSTGRES_ADDRESS = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d{1,3}){3}|[\da-fA-F]{0,4}:[\da-fA-F:]*::?[\da-fA-F:]*)(?=[ (:,]|$)")
_LOWER_LEVEL = re.compile(r"([a-z]{4,8}): ")
_PIECE = re.compile(r" *([\w.$:#/-]{1,64}) *\|")


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
        if text[:1] in "IWEF" and self._read_klog(reading, text, observed_ns):
            return reading
        end = self._read_time(reading, text, observed_ns, whole_line)
        if end < 0:
            if ":  " not in text or not _read_postgres(reading, text, 0):
                _read_level_only(reading, text, whole_line)
            return reading
        if text.startswith("|", end):
            reading.message = text[_read_pieces(reading, text, end + 1) :]
            return reading
        gap = _GAP.match(text, end)
        bracketed, colon = text.startswith("]", end), text.startswith(":", end)
        end = gap.end() if gap else end
        end = self._read_later_times(reading, text, end, observed_ns)
        if (text[end : end + 1].islower() or text[end + 2 : end + 3] == "(") and _read_esxi(reading, text, end):
            return reading
        if ":  " in text and _read_postgres(reading, text, end):
            return reading
        after = _read_layout(reading, text, end)
        spaced = text.startswith(" ", end - 1)
        if (
            after == end
            and whole_line
            and spaced
            and not bracketed
            and not colon
            and (text[:1].isalpha() or _looks_tagged(text, end))
        ):
            tagged = SyslogMessage(text[end:])
            read_host_and_tag(tagged, text, end, bare=text[:1].isalpha())
            _copy_tag(reading, tagged)
            return reading
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

    def _read_klog(self, reading: Reading, text: str, observed_ns: int) -> bool:
        """Read the header of Kubernetes' and Google's loggers; its time has a month and a day and no year."""
        found = _KLOG.match(text)
        if found is None:
            return False
        level, month, day, clock, thread, component = found.groups()
        time = self._clock.read(f"{month}-{day} {clock}", 0, observed_ns)
        if time is None:
            return False
        reading.time_ns, reading.severity = time.ns, LETTERS[level]
        reading.fields = {"level": level, "thread": thread, "component": component}
        reading.message = text[found.end() :]
        return True

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
            return -1
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


def _keep_prefix(reading: Reading, prefix: str) -> None:
    """Keep what stood before the time; it may be the level."""
    reading.fields["prefix"] = prefix
    level = prefix.strip("[]:")
    if level.lower() in LEVELS:
        reading.severity = LEVELS[level.lower()]
        reading.fields["level"] = level


def _read_esxi(reading: Reading, text: str, start: int) -> bool:
    """Read level and tag as ESXi writes them."""
    found = _ESXI.match(text, start)
    if found is None or (found[2] and found[2] not in LEVELS):
        return False
    reading.severity = LEVELS[found[2]] if found[2] else SEVERITY_NUMBERS[int(found[1]) & 7]
    reading.fields["level"] = text[start : found.start(3)].strip(" :")
    reading.fields.update(app=found[3], procid=found[4])
    reading.message = text[found.end() :]
    return True


def _read_postgres(reading: Reading, text: str, start: int) -> bool:
    """Read process, user and level of PostgreSQL, whatever else its prefix has."""
    level = _POSTGRES.search(text, start, start + 256)
    if level is None or _POSTGRES_PREFIX.match(prefix := text[start : level.start()]) is None:
        return False
    reading.severity = LEVELS.get(level[1].lower().rstrip("12345"), DEFAULT)
    reading.fields["level"] = level[1]
    if pid := _POSTGRES_PID.search(prefix):
        reading.fields["pid"] = pid[1]
    if address := _POSTGRES_ADDRESS.search(prefix):
        reading.fields["src_ip"] = address[1]
    if who := _POSTGRES_USER.search(prefix):
        reading.fields["user"], reading.fields["database"] = who.groups()
    for name, value in find_pairs(prefix):
        reading.fields.setdefault({"db": "database", "client": "src_ip"}.get(name, name), value)
    reading.message = text[level.end() :]
    return True


def _read_level_only(reading: Reading, text: str, whole_line: bool) -> None:
    """Read the level, and what stands around it, of a text that has no time."""
    if whole_line and (lower := _LOWER_LEVEL.match(text)) and lower[1] in LEVELS:
        reading.severity = LEVELS[lower[1]]
        reading.fields["level"] = lower[1]
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
            lead_fields = {name: value.strip() for name, value in pairs if value and name}
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
    for shape in (_COMPONENT, _DOTTED, _WIDE):
        found = shape.match(text, end)
        if found:
            fields.setdefault("component", found[1])
            return found.end()
    return end


def _read_pieces(reading: Reading, text: str, start: int) -> int:
    """Read columns set off by `|`: a level, a component, numbers; return where the message begins."""
    fields, end = reading.fields, start
    for _ in range(4):
        piece = _PIECE.match(text, end)
        if piece is None:
            break
        word, end = piece[1], piece.end()
        if word.lower() in LEVELS:
            reading.severity = LEVELS[word.lower()]
            fields["level"] = word
        elif word.isdecimal():
            fields["pid"] = word
            break
        else:
            fields["thread" if "component" in fields else "component"] = word
    while text.startswith(" ", end):
        end += 1
    return end


_TAGGED = re.compile(
    r"(?:[\w.:/-]{1,255} +)?(?:-- )?[^\s:\[\]]{1,128}(?:\[[^\]\s]{0,128}\]|\]?:)"
    r"|[\w.:/-]{1,255} +[\w.-][\w. -]{0,63}\[\d+\]"
)


def _looks_tagged(text: str, start: int) -> bool:
    return _TAGGED.match(text, start) is not None


def _copy_tag(reading: Reading, tagged: SyslogMessage) -> None:
    for name in ("host", "app", "procid", "msgid", "user", "src_ip"):
        value = getattr(tagged, name)
        if value:
            reading.fields[name] = value
    reading.message = tagged.message
