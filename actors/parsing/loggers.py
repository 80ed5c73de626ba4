"""Headers that one family of loggers writes and no other: Kubernetes, Ruby, ESXi, PostgreSQL, Redis, Java, PHP, Python.

Each reader takes what it knows off at a place of the text, fills in the reading and says whether it did. They are tried
only where their sign is there, so that other lines cost nothing.
"""

from __future__ import annotations

import re

from actors.parsing.levels import DEFAULT, LETTERS, LEVELS, UPPER_WORDS, WORDS
from actors.parsing.pairs import find_pairs
from actors.parsing.reading import Reading
from actors.parsing.syslog import SEVERITY_NUMBERS
from actors.parsing.times import Clock

# klog and glog: `E1126 10:11:12.345678       1 reflector.go:138] message`.
_KLOG = re.compile(r"([IWEF])(\d\d)(\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,9})?) +(\d{1,10}) ([\w./-]{1,128}:\d{1,6})\] ?")
# ESXi 8: the level in two letters and the priority, before the tag; ESXi 7: the level in lower case.
_ESXI = re.compile(r"(?:[A-Z][a-z]\((\d{1,3})\):?|([a-z]{4,9})) (?:([\w.-]{1,64})(?:\[(\d{1,10})\]:?|:) ?)")
# PostgreSQL: two blanks after the level; before it, what `log_line_prefix` says.
_POSTGRES = re.compile(
    r"(?<![\w.])(LOG|ERROR|FATAL|PANIC|WARNING|NOTICE|INFO|DEBUG[1-5]?|DETAIL|HINT|STATEMENT|CONTEXT|QUERY|LOCATION):  "
)
_POSTGRES_PREFIX = re.compile(r"^[\w@.:,=/\[\]() -]{0,192}$")
_POSTGRES_PID = re.compile(r"\[(\d{1,10})(?:-\d{1,6})?\]")
_POSTGRES_USER = re.compile(r"(?<![\w.-])([\w.-]{1,63})@([\w.-]{1,63})(?![\w.-])")
_POSTGRES_ADDRESS = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d{1,3}){3}|[\da-fA-F:]{0,32}::[\da-fA-F:]{0,32})(?=[ (,:]|$)")
CHAINS = ("][", "] [", "] ", ": ")
_MONOLOG = re.compile(rf"\] ([\w-]{{1,64}})\.({UPPER_WORDS}): ")
_SERILOG = re.compile(rf"\[\d\d:\d\d:\d\d(?:[.,]\d{{1,9}})? ((?i:{WORDS}))\] ")
_CELERY = re.compile(rf": ({UPPER_WORDS})/([\w-]{{1,64}})\] ")
_CHAINED = re.compile(r"\]( ?)\[([^\[\]]{1,96})(?=\])")  # from the end of one bracket to the end of the next
_PIECE = re.compile(r" *([\w.$:#/-]{1,64}) *\|")
_MAX_CHAIN = 5
_PYTHON = re.compile(rf"({UPPER_WORDS}):([\w.-]{{1,96}}):")
_RUBY = re.compile(r" #(\d{1,10})\] +([A-Z]{3,7}) -- ([^:]{0,96}): ")
_PHP = re.compile(r"PHP (Warning|Notice|Fatal error|Parse error|Deprecated):  ?")
_PHP_LEVELS = {"Warning": 13, "Notice": 10, "Fatal error": 17, "Parse error": 17, "Deprecated": 10}
_JUL = re.compile(r" ((?:[a-z_]\w{0,63}\.){1,12}[A-Z]\w{0,95}) \w{1,95}$")
_REDIS = re.compile(r" ([.\-*#]) (?=\S)")
_REDIS_PREFIX = re.compile(r"\d{1,10}:[MSCX]$")
_REDIS_LEVELS = {".": 5, "-": 9, "*": 10, "#": 13}


def read_klog(clock: Clock, reading: Reading, text: str, observed_ns: int) -> bool:
    """Read the header of Kubernetes' and Google's loggers; its time has a month and a day and no year."""
    found = _KLOG.match(text)
    if found is None:
        return False
    level, month, day, written, thread, component = found.groups()
    time = clock.read(f"{month}-{day} {written}", 0, observed_ns)
    if time is None:
        return False
    reading.time_ns, reading.severity = time.ns, LETTERS[level]
    reading.fields = {"level": level, "thread": thread, "component": component}
    reading.message = text[found.end() :]
    return True


def read_ruby(clock: Clock, reading: Reading, text: str, observed_ns: int) -> bool:
    """Read the header of Ruby's logger: `E, [2026-11-26T10:20:55.123456 #1234] ERROR -- : message`."""
    time = clock.read(text, 4, observed_ns) if text.startswith(", [", 1) else None
    found = _RUBY.match(text, time.end) if time else None
    if time is None or found is None or found[2].lower() not in LEVELS:
        return False
    reading.time_ns, reading.zoneless = time.ns, time.zoneless
    reading.severity = LEVELS[found[2].lower()]
    reading.fields = {"level": found[2], "pid": found[1]} | ({"component": found[3]} if found[3] else {})
    reading.message = text[found.end() :]
    return True


def read_esxi(reading: Reading, text: str, start: int) -> bool:
    """Read level and tag as ESXi writes them."""
    found = _ESXI.match(text, start)
    if found is None or (found[2] and (found[2] not in LEVELS or found[4] is None)):
        return False
    reading.severity = LEVELS[found[2]] if found[2] else SEVERITY_NUMBERS[int(found[1]) & 7]
    reading.fields["level"] = text[start : found.start(3)].strip(" :")
    reading.fields["app"] = found[3]
    if found[4]:
        reading.fields["procid"] = found[4]
    reading.message = text[found.end() :]
    return True


def read_java(reading: Reading, text: str, start: int) -> bool:
    """Read the class of java.util.logging, whose level and message stand on the next line."""
    found = _JUL.match(text, start)
    if found is None:
        return False
    reading.fields["component"] = found[1]
    reading.message = text[start + 1 :]
    return True


def read_redis(reading: Reading, text: str, start: int) -> bool:
    """Read the sign that is Redis' level."""
    found = _REDIS.match(text, start)
    if found is None or _REDIS_PREFIX.match(reading.fields["prefix"]) is None:
        return False
    reading.severity, reading.fields["level"] = _REDIS_LEVELS[found[1]], found[1]
    reading.message = text[found.end() :]
    return True


def read_chain(reading: Reading, text: str, start: int) -> bool:
    """Read level, process, thread and component, each in brackets of its own, behind the time.

    Or celery's `: LEVEL/Process]`, or the `] channel.LEVEL:` of PHP's monolog.
    """
    if celery := _CELERY.match(text, start):
        reading.severity, reading.fields["level"] = LEVELS[celery[1].lower()], celery[1]
        reading.fields["thread"] = celery[2]
        reading.message = text[celery.end() :]
        return True
    if monolog := _MONOLOG.match(text, start):
        reading.severity = LEVELS[monolog[2].lower()]
        reading.fields.update(component=monolog[1], level=monolog[2])
        reading.message = text[monolog.end() :]
        return True
    fields, severity, end = dict[str, str](), None, start
    for _ in range(_MAX_CHAIN):
        piece = _CHAINED.match(text, end)
        if piece is None or (severity is not None and piece[1]):
            break
        word, end = piece[2].strip(), piece.end()
        if severity is None and word.lower() in LEVELS:
            severity, fields["level"] = LEVELS[word.lower()], word
        elif word.isdecimal():
            fields["pid"] = word
        else:
            fields["thread" if severity is None else "component"] = word
    if severity is None:
        return False
    reading.severity = severity
    reading.fields.update(fields)
    while end < len(text) and text[end] in " ]":
        end += 1
    reading.message = text[end:]
    return True


def read_postgres(reading: Reading, text: str, start: int) -> bool:
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


def read_php(reading: Reading, text: str, start: int) -> None:
    """Read the level of PHP, which stays part of the message."""
    if php := _PHP.match(text, start):
        reading.severity, reading.fields["level"] = _PHP_LEVELS[php[1]], php[1]


def read_serilog(reading: Reading, text: str) -> bool:
    """Read the level of `[10:00:27 WRN] message`."""
    serilog = _SERILOG.match(text)
    if serilog is None:
        return False
    reading.severity, reading.fields["level"] = LEVELS[serilog[1].lower()], serilog[1]
    reading.message = text[serilog.end() :]
    return True


def read_python(reading: Reading, text: str) -> bool:
    """Read level and name as Python's logging writes them if nobody says otherwise: `ERROR:root:message`."""
    python = _PYTHON.match(text)
    if python is None:
        return False
    reading.severity, reading.fields["level"] = LEVELS[python[1].lower()], python[1]
    reading.fields["component"] = python[2]
    reading.message = text[python.end() :]
    return True


def read_pieces(reading: Reading, text: str, start: int) -> int:
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
