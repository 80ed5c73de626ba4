"""When a record says that it happened: the usual ways to write a time, found at a given place of a text.

A time without a zone is in the zone of its source; a zone's name is the source's own where that zone uses it (`zones.py`).
A time without a year is in the newest year that puts it no more than a day behind the moment when the record was observed:
logs speak of the past, so December read in January is last year's, and 29 February is in a leap year. Of two ways to read
`05/11/2026` the one that happened when the record came is right; else the month stands first.
Every repeated second costs one look-up: the written second is the key of a bounded cache, the fraction is added after.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import NamedTuple

from actors.parsing.zones import ZONE_NAMES, offset_of
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
_NAMED_ZONE = rf"(?:{'|'.join(sorted(ZONE_NAMES, key=len, reverse=True))})"
_HALF = r"(?: ?(?P<half>[AP])\.?M\b\.?)?"
_FRACTION = r"(?:[.,](?P<fraction>\d+))?" + _HALF
_OFFSET = r"[+-]\d\d(?::?\d\d(?!\d)|(?![\d:]))"
_ZONE = (
    rf"(?P<zone>Z\b| ?{_OFFSET}| (?-i:(?:UTC|GMT)[+-]\d{{1,2}}(?::\d\d)?(?![\d:])|{_NAMED_ZONE})(?![\w.@-])"
    rf"| \((?-i:{_NAMED_ZONE})\))?"
)
_YEAR = r"(?P<year>(?:19|20)\d\d)"

_SHAPES = (
    # 2026-05-13T15:29:59.998Z, 2015-10-18 18:01:47,978, 2005-06-03-15.42.50.675872, 2018/09/14 19:03:05
    (
        "0123456789",
        _YEAR + r"[-/.:](?P<month>\d\d?)[-/.:]" + _DAY + r"(?:[T_:-]| {1,3}| - )"
        r"(?P<hour>\d\d?)[:.](?P<minute>\d\d)[:.](?P<second>\d\d)(?:[.,:](?P<fraction>\d+))?" + _HALF + _ZONE,
    ),
    # Jun 14 15:16:01, Sun Dec 04 04:47:44 2005, Apr 15 2007 21:28:13, Apr 15 21:28:13 2007
    (
        "abcdefghijklmnopqrstuvwxyz",
        r"(?:[A-Z][a-z]{2,8},? +)?" + _MONTH + r" +" + _DAY + r",?(?: +" + _YEAR + r",?)? +" + _CLOCK + _FRACTION
        + rf"(?: (?P<zone2>(?-i:{_NAMED_ZONE}))(?= (?:19|20)\d\d\b))?(?: (?P<year2>(?:19|20)\d\d)(?![\d:/-]))?" + _ZONE,
    ),
    # 03/Nov/2026:10:00:00 +0100, 22-Jan-2013 22:28:21 +0200, 14 Jun 2026 15:16:01, 26Nov2026 10:40:02
    (
        "0123456789abcdefghijklmnopqrstuvwxyz",
        r"(?:[A-Z][a-z]{2,8},? +)?" + _DAY + r"[-/ ]?" + _MONTH + r"[-/ ]?" + _YEAR + r",?[: T]" + _CLOCK + _FRACTION + _ZONE,
    ),
    # 2026 Nov 26 10:27:28 UTC, 2026-Nov-26 10:27:28.123
    ("0123456789", _YEAR + r"[-/ ]" + _MONTH + r"[-/ ] ?" + _DAY + r"[: T]" + _CLOCK + _FRACTION + _ZONE),
    # 10:27:28.123 UTC Thu Nov 26 2026
    (
        "0123456789",
        _CLOCK + _FRACTION + _ZONE + r" (?:[A-Z][a-z]{2},? )?" + _MONTH + r" +" + _DAY + r",? +(?P<year2>(?:19|20)\d\d)(?!\d)",
    ),
    # 2026-W48-4T10:27:28Z, 2026-330T10:27:28Z
    (
        "0123456789",
        _YEAR + r"-?(?:W(?P<week>[0-5]\d)-?(?P<weekday>[1-7])|(?P<ordinal>[0-3]\d\d))T"
        r"(?P<hour>\d\d):?(?P<minute>\d\d):?(?P<second>\d\d)" + _FRACTION + _ZONE,
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
    # 17/06/09 20:10:40, 11/26/26 10:40:02:123 CET
    (
        "0123456789",
        r"(?P<short>\d\d?[/.-]\d\d?[/.-]\d\d)[ T]" + _CLOCK + r"(?:[.,:](?P<fraction>\d+))?" + _HALF + _ZONE,
    ),
    # 06/27/2014 17:51:19, 27.06.2014 17:51:19
    (
        "0123456789",
        r"(?P<one>\d\d?)[/.-](?P<two>\d\d?)[/.-]" + _YEAR + r"(?:,? | - |[T-])" + _CLOCK + _FRACTION + _ZONE,
    ),
    # 03-17 16:13:38.811, 10.30 16:49:06
    ("0123456789", r"(?P<month>\d\d)[-./](?P<day>\d\d) " + _CLOCK + _FRACTION),
    # 1117838570, 1364481363.243, 1117838570123
    ("0123456789", r"(?P<epoch>[12]\d{9}(?:\d{3}){0,3})(?:\.(?P<fraction>\d+))?(?![\w.:/-])"),
)  # fmt: skip

_COMPILED = tuple((set(first), re.compile(shape, re.IGNORECASE)) for first, shape in _SHAPES)
_BY_FIRST = {
    letter: tuple(shape for first, shape in _COMPILED if letter.lower() in first)
    for letter in "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
}
_MAY_GO_ON = frozenset("+-12(AaPpUG")  # after a space: a zone, a year, half a day
_ZONE_BEGINNINGS = frozenset(name[:3] for name in ZONE_NAMES)
_ZONE_AFTER = re.compile(rf" {_NAMED_ZONE}(?![\w.@-])")
_NOW_NS = 2 * _DAY_NS  # a record that is read as it is written says a time no further off
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
        clock = _clock(parts)
        if clock is None:
            return None
        year_text, month_text = parts.get("year"), parts.get("month") or ""
        if year_text and len(year_text) == 4 and month_text.isdecimal() and parts.get("day"):  # nearly all there are
            dates: list[tuple[int | None, int, int]] = [(int(year_text), int(month_text), int(parts["day"] or 0))]
        else:
            dates = list(_dates(parts))
        zone_text = parts.get("zone") or parts.get("zone2")
        zone, zoneless = self._zone(zone_text, dates[0][0]) if zone_text else (self.zone, True)
        if dates[0][0] is None:
            _, month, day = dates[0]
            return _newest_year(month, day, clock, zone, observed_ns, zoneless)
        if len(dates) == 1:
            moment = _to_ns(dates[0][0] or 0, dates[0][1], dates[0][2], clock, zone)
            return None if moment is None else (moment, zoneless, False)
        moments = [_to_ns(year or 0, month, day, clock, zone) for year, month, day in dates]
        valid = [moment for moment in moments if moment is not None]
        if not valid:
            return None
        now = [moment for moment in valid if abs(moment - observed_ns) <= _NOW_NS]
        return now[0] if now else valid[0], zoneless, False

    def _zone(self, written: str, year: int | None) -> tuple[tzinfo, bool]:
        """Return the zone that is written, and whether it is none that is known."""
        written = written.strip(" ()")
        if written in "Zz":
            return UTC, False
        name = written.rstrip("0123456789:+-").upper()
        signed = written[len(name) :]
        if not signed:
            offset = offset_of(name, self.zone, year)
            return (self.zone, True) if offset is None else (timezone(offset), False)
        hours, _, minutes = signed[1:].partition(":") if ":" in signed else (signed[1:3], "", signed[3:])
        if int(hours) > 23 or int(minutes or 0) > 59:
            return self.zone, True
        shift = timedelta(hours=int(hours), minutes=int(minutes or 0))
        return timezone(-shift if signed[0] == "-" else shift), False


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
    if text[end + 1 : end + 4] in _ZONE_BEGINNINGS and _ZONE_AFTER.match(text, end):
        return None
    return Time(known[0] + extra_ns, end, known[1], known[2])


def _clock(parts: dict[str, str | None]) -> tuple[int, int, int] | None:
    """Return hour, minute and second; None for an hour that no half of a day has."""
    hour = int(parts["hour"] or 0)
    half = parts.get("half")
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half in "Pp" else 0)
    return hour, int(parts["minute"] or 0), int(parts["second"] or 0)


def _dates(parts: dict[str, str | None]) -> Iterator[tuple[int | None, int, int]]:
    """Yield year (None: not written), month and day in each way that they can be read, the usual one first."""
    year_text = parts.get("year") or parts.get("year2")
    year = int(year_text) if year_text else None
    if year is not None and year < 100:
        year = _century(year)
    if parts.get("short"):
        one, two, three = map(int, re.split(r"[/.-]", parts["short"] or ""))
        orders = [(one, two, three), (three, one, two), (three, two, one)]
        orders.sort(key=lambda order: not (1 <= order[1] <= 12 and 1 <= order[2] <= 31))
        yield from ((_century(short), month, day) for short, month, day in orders)
    elif parts.get("one"):
        one, two = int(parts["one"] or 0), int(parts["two"] or 0)
        yield from ((year, month, day) for month, day in ([(two, one)] if one > 12 else [(one, two), (two, one)]))
    elif parts.get("week"):
        yield from _iso_week(year or 0, int(parts["week"] or 0), int(parts["weekday"] or 0))
    elif parts.get("ordinal"):
        day_of_year = date(year or 1, 1, 1) + timedelta(days=int(parts["ordinal"] or 0) - 1)
        yield day_of_year.year, day_of_year.month, day_of_year.day
    else:
        month = parts["month"] or ""
        number = int(month) if month.isdecimal() else _MONTHS.get(month[:3].lower(), 0)
        yield year, number, int(parts["day"] or 0)


def _iso_week(year: int, week: int, weekday: int) -> Iterator[tuple[int, int, int]]:
    try:
        day = date.fromisocalendar(year, week, weekday)
    except ValueError:
        yield year, 0, 0
    else:
        yield day.year, day.month, day.day


def _century(year: int) -> int:
    return year + (2000 if year < 70 else 1900)


def _to_ns(year: int, month: int, day: int, clock: tuple[int, int, int], zone: tzinfo) -> int | None:
    hour, minute, second = clock
    leap = second == 60  # a leap second is the second after
    try:
        moment = datetime(year, month, day, hour, minute, 59 if leap else second, tzinfo=zone)
        elapsed = moment - _EPOCH
    except (ValueError, OverflowError):
        return None
    return (elapsed.days * 86_400 + elapsed.seconds + leap) * NS_PER_S


def _newest_year(
    month: int, day: int, clock: tuple[int, int, int], zone: tzinfo, observed_ns: int, zoneless: bool
) -> tuple[int, bool, bool] | None:
    """Return the moment in the newest year that puts it at most a day behind `observed_ns`; eight years hold a leap year."""
    this_year = date.fromordinal(719_163 + max(-719_162, min(observed_ns // _DAY_NS, 2_932_896))).year
    for year in range(this_year + 1, this_year - 9, -1):
        moment = _to_ns(year, month, day, clock, zone)
        if moment is not None and moment <= observed_ns + _DAY_NS:
            return moment, zoneless, True
    return None
