"""Words and numbers by which programs say how bad a thing is, as OpenTelemetry SeverityNumber (1 to 24)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from actors.parsing.names import plain
from actors.parsing.syslog import SEVERITY_NUMBERS

DEFAULT, WARNING = 9, 13

_WORDS = {
    1: "trace trce trc verbose finest finer",
    5: "debug dbg dbug fine d7",
    9: "info inf information informational default config",
    10: "notice note ntc",
    13: "warn warning wrn",
    17: "error err eror severe failure fail",
    18: "crit critical crt",
    19: "alert",
    21: "fatal emerg emergency panic ftl",
}
LEVELS = {word: number for number, words in _WORDS.items() for word in words.split()}
WORDS = "|".join(sorted((re.escape(word) for word in LEVELS), key=len, reverse=True))  # as alternatives of a pattern
UPPER_WORDS = WORDS.upper()
LETTERS = {"V": 1, "D": 5, "I": 9, "W": 13, "E": 17, "F": 21}  # Android, glog
_BUNYAN = {10: 1, 20: 5, 30: 9, 40: 13, 50: 17, 60: 21}


def severity_of(level: object) -> int | None:
    """Return the severity of a level that a record states as a word or a number; None if it is neither.

    Numbers: 0 to 7 are syslog's, 10 to 60 in tens are those of JSON loggers (10 is trace, 60 is fatal).
    """
    if isinstance(level, str):
        word = level.strip().lower()
        if word.isdecimal() and len(word) <= 3:
            return severity_of(int(word))
        return LEVELS.get(word)
    if isinstance(level, bool) or not isinstance(level, int):
        return None
    if 0 <= level <= 7:
        return SEVERITY_NUMBERS[level]
    return _BUNYAN.get(level)


# What the numbers of a level mean where the name of the field says whose they are.
_NUMBERS: dict[str, dict[int, int]] = {
    "levelno": {10: 5, 20: 9, 30: 13, 40: 17, 50: 18},  # Python's logging
    "severitynumber": {number: number for number in range(1, 25)},  # OpenTelemetry
    "alertseverity": {1: 17, 2: 13, 3: 10},  # Suricata
    "nextcloud": {0: 5, 1: 9, 2: 13, 3: 17, 4: 21},
}
_DIALECTS = {"reqId": "nextcloud"}  # names by which objects are known whose levels are numbers of their own
_WINDOWS = {0: 9, 1: 18, 2: 17, 3: 13, 4: 9, 5: 5}  # LogAlways, Critical, Error, Warning, Information, Verbose
_OTHER_WORDS = {
    "audit_failure": 13, "audit failure": 13, "audit_success": 9, "audit success": 9, "success": 9, "log": 9, "low": 9,
    "medium": 13, "high": 17, "very-high": 18, "warnings": 13, "errors": 17,
}  # fmt: skip


def dialect(pairs: Mapping[str, object]) -> str:
    """Return whose numbers the levels of an object are; "" if they are nobody's own."""
    return next((name for sign, name in _DIALECTS.items() if sign in pairs), "")


def severity_of_field(name: str, level: object) -> int | None:
    """Return the severity that a field states, by its name and value; None if it states none."""
    if isinstance(level, dict):  # {"level": {"name": "ERROR", "level": 4}}
        level = level.get("name") or level.get("level")
    if isinstance(level, float) and level.is_integer():
        level = int(level)
    numbers = _NUMBERS.get(plain(name))
    if isinstance(level, str):
        word = level.strip().lower()
        if word.isdecimal() and len(word) <= 3:
            level = int(word)
        elif len(word) == 1:
            return LETTERS.get(word.upper())
        else:
            return severity_of(word) or _OTHER_WORDS.get(word)
    return numbers.get(level) if numbers is not None and isinstance(level, int) else severity_of(level)


def severity_of_windows(level: object) -> int | None:
    """Return the severity of a level of Windows (winmeta.xml): a number from 0 to 5, or its word."""
    if isinstance(level, str) and not level.strip().isdecimal():
        return severity_of_field("level", level)
    if isinstance(level, str):
        level = int(level) if len(level) <= 3 else -1
    return _WINDOWS.get(level) if isinstance(level, int) else None


def severity_of_status(status: int) -> int:
    """Return the severity of an HTTP status: the server's fault 17, the client's 13, else 9."""
    return 17 if status >= 500 else 13 if status >= 400 else DEFAULT
