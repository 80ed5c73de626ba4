"""When a record says that it happened: the usual ways to write a time, found at a given place of a text.

A time without a zone is in the zone of its source. A time without a year is in the year that puts it nearest to the
moment when the record was observed, so that December read in January is last year's and 29 February is in a leap year.
Every repeated second costs one look-up: the written second is the key of a bounded cache, the fraction is added after.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import NamedTuple

from protocol.clock import NS_PER_S

_MONTH_NAMES = "jan feb mar apr may jun jul aug sep oct nov dec"
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES.split(), start=1)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_CACHE = 8192
_MAX_KEY = 64  # characters of a written second that is remembered: no clock pads a date with thousands of spaces
_DAY_NS = 86_400 * NS_PER_S

_MONTH = r"(?P<month>(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\.?)"
_DAY = r"(?P<day>0?[1-9]|[12]\d|3[01])"
_CLOCK = r"(?P<hour>\d\d?):(?P<minute>\d\d?):(?P<second>\d\d?)"
_FRACTION = r"(?:[.,](?P<fraction>\d+))?"
_ZONE = r"(?P<zone>Z\b|[+-]\d\d:?\d\d(?!\d)|[+-]\d\d(?![\d:])| [+-]\d{4}(?!\d)| [+-]\d\d:\d\d(?!\d)| (?:UTC|GMT)\b)?"
_YEAR = r"(?P<year>(?:19|20)\d\d)"

_SHAPES = (
    # 2026-05-13T15:29:59.998Z, 2015-10-18 18:01:47,978, 2005-06-03-15.42.50.675872, 2018/09/14 19:03:05
    (
        "0123456789",
        _YEAR + r"[-/.:](?P<month>\d\d?)[-/.:]" + _DAY + r"(?:[T_:-]| {1,3}| - )"
        r"(?P<hour>\d\d?)[:.](?P<minute>\d\d)[:.](?P<second>\d\d)(?:[.,:](?P<fraction>\d+))?" + _ZONE,
    ),
    # Jun 14 15:16:01, Sun Dec 04 04:47:44 2005, Apr 15 2007 21:28:13, Apr 15 21:28:13 2007
    (
        "abcdefghijklmnopqrstuvwxyz",
        r"(?:[A-Z][a-z]{2},? +)?" + _MONTH + r" +" + _DAY + r",?(?: +" + _YEAR + r")? +" + _CLOCK + _FRACTION
        + r"(?: (?P<year2>(?:19|20)\d\d)(?![\d:]))?" + _ZONE,
    ),
    # 03/Nov/2026:10:00:00 +0100, 22-Jan-2013 22:28:21 +0200, 14 Jun 2026 15:16:01
    (
        "0123456789abcdefghijklmnopqrstuvwxyz",
        r"(?:[A-Z][a-z]{2},? +)?" + _DAY + r"[-/ ]" + _MONTH + r"[-/ ]" + _YEAR + r"[: T]" + _CLOCK + _FRACTION + _ZONE,
    ),
    # 20171223-22:15:29:606, 20171224-0:2:37:24, 20171223T221529
    (
        "0123456789",
        _YEAR + r"(?P<month>\d\d)(?P<day>\d\d)[-T _]?(?P<hour>\d\d?):(?P<minute>\d\d?):(?P<second>\d\d?)"
        r"(?:[.,:](?P<fraction>\d{1,9}))?" + _ZONE,
    ),
    (
        "0123456789",
        _YEAR + r"(?P<month>\d\d)(?P<day>\d\d)[-T _]?(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)(?!\d)"
        r"(?:[.,](?P<fraction>\d{1,9}))?" + _ZONE,
    ),
    # 081109 203615, 130324  0:04:00
    (
        "0123456789",
        r"(?P<year>\d\d)(?P<month>\d\d)(?P<day>\d\d) {1,2}(?P<hour>\d\d?):?(?P<minute>\d\d):?(?P<second>\d\d)(?![\d:])"
        + _FRACTION,
    ),
    # 17/06/09 20:10:40
    ("0123456789", r"(?P<year>\d\d)[/-](?P<month>\d\d)[/-](?P<day>\d\d)[ T]" + _CLOCK + _FRACTION + _ZONE),
    # 06/27/2014 17:51:19, 27.06.2014 17:51:19
    (
        "0123456789",
        r"(?P<one>\d\d?)[/.-](?P<two>\d\d?)[/.-]" + _YEAR + r"(?:,? | - )" + _CLOCK + _FRACTION + _ZONE,
    ),
    # 03-17 16:13:38.811, 10.30 16:49:06
    ("0123456789", r"(?P<month>\d\d)[-./](?P<day>\d\d) " + _CLOCK + _FRACTION),
    # 1117838570, 1364481363.243, 1117838570123
    ("0123456789", r"(?P<epoch>[12]\d{9}(?:\d{3}){0,3})(?:\.(?P<fraction>\d{1,9}))?(?![\w.:/-])"),
)  # fmt: skip

_COMPILED = tuple((set(first), re.compile(shape, re.IGNORECASE)) for first, shape in _SHAPES)
_BY_FIRST = {
    letter: tuple(shape for first, shape in _COMPILED if letter.lower() in first)
    for letter in "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
}
_MAY_GO_ON = frozenset("+-12UGug")  # after a space: a zone or a year
_MONTH_STARTS = frozenset("JFMASONDTWjfmasondtw")  # months and days of the week


class Time(NamedTuple):
    """A time that was found in a text."""

    ns: int  # since 1970
    end: int  # where the text goes on after it
    zoneless: bool
    yearless: bool


class Clock:
    """Reads the times of one zone; `zone` is what a time that names none is in."""

    def __init__(self, zone: tzinfo = UTC) -> None:
        self.zone = zone
        self._seconds: dict[tuple[str, int], tuple[int, bool, bool] | None] = {}
        self._last: re.Pattern[str] | None = None
        self._day = -1
        self._plain: dict[str, tuple[int, bool, bool]] = {}  # `Jun 14 15:16:01` and `2015-10-18 18:01:47`, zone-less

    def read(self, text: str, start: int, observed_ns: int) -> Time | None:
        """Return the time that is written at `start`, or None if there is none."""
        if observed_ns // _DAY_NS != self._day:
            self._day = observed_ns // _DAY_NS
            self._plain.clear()
        for length in (15, 19):
            plain = self._plain.get(text[start : start + length])
            if plain is not None and (time := _finish_plain(text, start + length, plain)):
                return time
        return self._read_any(text, start, observed_ns)

    def _read_any(self, text: str, start: int, observed_ns: int) -> Time | None:
        first = text[start : start + 1]
        shapes = _BY_FIRST.get(first)
        if shapes is None or (first > "9" and first not in _MONTH_STARTS):
            return None
        last = self._last
        if last is not None and last in shapes and (found := last.match(text, start)):
            return self._convert(found, observed_ns)
        for shape in shapes:
            found = shape.match(text, start)
            if found:
                self._last = shape
                return self._convert(found, observed_ns)
        return None

    def _convert(self, found: re.Match[str], observed_ns: int) -> Time | None:
        parts = found.groupdict()
        fraction = parts.get("fraction")
        if fraction is None:
            written, extra_ns = found.group(), 0
        else:
            text, start = found.string, found.start("fraction")
            written = text[found.start() : start] + text[found.end("fraction") : found.end()]
            extra_ns = int(fraction[:9].ljust(9, "0"))
        key = (written, observed_ns // _DAY_NS)
        seconds = self._seconds
        if key in seconds:
            known = seconds[key]
        else:
            known = self._read_second(parts, observed_ns)
            if len(seconds) >= _MAX_CACHE:
                seconds.clear()
            if len(written) <= _MAX_KEY:
                seconds[key] = known
        if known is None:
            return None
        if known[1] and written == found.string[found.start() : found.start() + len(written)]:
            self._remember(written, known)
        return Time(known[0] + extra_ns, found.end(), known[1], known[2])

    def _remember(self, written: str, known: tuple[int, bool, bool]) -> None:
        """Keep a zone-less second of fixed length; the fraction, if any, and its sign stand after it."""
        whole = written.rstrip(".,")
        if len(whole) in (15, 19) and whole[-3] == ":":
            if len(self._plain) >= _MAX_CACHE:
                self._plain.clear()
            self._plain[whole] = known

    def _read_second(self, parts: dict[str, str | None], observed_ns: int) -> tuple[int, bool, bool] | None:
        epoch = parts.get("epoch")
        if epoch:
            return int(epoch) * 10 ** (19 - len(epoch)), False, False
        year_text = parts.get("year") or parts.get("year2")
        zone, zoneless = self._zone(parts.get("zone"))
        month, day = _month_and_day(parts)
        clock = (int(parts["hour"] or 0), int(parts["minute"] or 0), int(parts["second"] or 0))
        if year_text is None:
            return _nearest_year(month, day, clock, zone, observed_ns, zoneless)
        year = int(year_text)
        if year < 100:
            year += 2000 if year < 70 else 1900
        ns = _to_ns(year, month, day, clock, zone)
        return None if ns is None else (ns, zoneless, False)

    def _zone(self, written: str | None) -> tuple[tzinfo, bool]:
        if not written:
            return self.zone, True
        written = written.strip().upper()
        if written[0] not in "+-":
            return UTC, False
        digits = written[1:].replace(":", "").ljust(4, "0")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        if int(digits[:2]) > 23 or int(digits[2:]) > 59:
            return self.zone, True
        return timezone(-offset if written[0] == "-" else offset), False


def _finish_plain(text: str, end: int, known: tuple[int, bool, bool]) -> Time | None:
    """Return the time of a known second that ends at `end`; None if a year, a zone or another digit may follow."""
    extra_ns = 0
    if text[end : end + 1] in (".", ","):
        fraction = text[end + 1 : end + 4]
        if not (fraction.isascii() and fraction.isdecimal() and len(fraction) == 3):
            return None
        extra_ns, end = int(fraction) * 1_000_000, end + 4
    following = text[end : end + 2]
    if following and (following[0] not in " ]|" or following[1:] in _MAY_GO_ON):
        return None
    return Time(known[0] + extra_ns, end, known[1], known[2])


def _month_and_day(parts: dict[str, str | None]) -> tuple[int, int]:
    if "one" in parts:
        one, two = int(parts["one"] or 0), int(parts["two"] or 0)
        return (two, one) if one > 12 else (one, two)
    month = parts["month"] or ""
    return int(month) if month.isdecimal() else _MONTHS.get(month[:3].lower(), 0), int(parts["day"] or 0)


def _to_ns(year: int, month: int, day: int, clock: tuple[int, int, int], zone: tzinfo) -> int | None:
    hour, minute, second = clock
    leap = second == 60  # a leap second is the second after
    try:
        moment = datetime(year, month, day, hour, minute, 59 if leap else second, tzinfo=zone)
        elapsed = moment - _EPOCH
    except (ValueError, OverflowError):
        return None
    return (elapsed.days * 86_400 + elapsed.seconds + leap) * NS_PER_S


def _nearest_year(
    month: int, day: int, clock: tuple[int, int, int], zone: tzinfo, observed_ns: int, zoneless: bool
) -> tuple[int, bool, bool] | None:
    """Return the moment in the year that puts it nearest to `observed_ns`; leap years are at most eight years apart."""
    this_year = date.fromordinal(719_163 + max(-719_162, min(observed_ns // _DAY_NS, 2_932_896))).year
    for reach in (1, 8):
        moments = [_to_ns(this_year + step, month, day, clock, zone) for step in range(-reach, reach + 1)]
        valid = [moment for moment in moments if moment is not None]
        if valid:
            return min(valid, key=lambda moment: abs(moment - observed_ns)), zoneless, True
    return None
