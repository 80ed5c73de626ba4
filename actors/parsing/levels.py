"""Words and numbers by which programs say how bad a thing is, as OpenTelemetry SeverityNumber (1 to 24)."""

from __future__ import annotations

from actors.parsing.syslog import SEVERITY_NUMBERS

DEFAULT = 9

_WORDS = {
    1: "trace trc verbose finest finer",
    5: "debug dbg fine d7",
    9: "info inf information informational default config",
    10: "notice note ntc",
    13: "warn warning wrn",
    17: "error err eror severe failure fail",
    18: "crit critical crt",
    19: "alert",
    21: "fatal emerg emergency panic ftl",
}
LEVELS = {word: number for number, words in _WORDS.items() for word in words.split()}
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


def severity_of_status(status: int) -> int:
    """Return the severity of an HTTP status: the server's fault 17, the client's 13, else 9."""
    return 17 if status >= 500 else 13 if status >= 400 else DEFAULT
