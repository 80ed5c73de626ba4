"""Times: integers of nanoseconds since 1970 inside, RFC 3339 outside (UTC, milliseconds, `Z`)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

# Years 1 to 9999 are all that RFC 3339 can name; a clock beyond them is clamped, not an error.
_EARLIEST_S = -62_135_596_800
_LATEST_S = 253_402_300_799


@lru_cache(maxsize=4096)
def _format_second(second: int) -> str:
    whole = time.gmtime(min(max(second, _EARLIEST_S), _LATEST_S))
    return (
        f"{whole.tm_year:04d}-{whole.tm_mon:02d}-{whole.tm_mday:02d}"
        f"T{whole.tm_hour:02d}:{whole.tm_min:02d}:{whole.tm_sec:02d}."
    )


def format_time(time_ns: int) -> str:
    """Return `2026-05-13T15:29:59.998Z` for nanoseconds since the epoch; milliseconds are cut, not rounded."""
    second, rest_ns = divmod(time_ns, NS_PER_S)
    return f"{_format_second(second)}{rest_ns // NS_PER_MS:03d}Z"


def parse_time(text: str) -> int:
    """Return nanoseconds since the epoch for an RFC 3339 time. A time without a zone is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    elapsed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (elapsed.days * 86_400 + elapsed.seconds) * NS_PER_S + elapsed.microseconds * 1_000


def format_day(time_ns: int) -> str:
    """Return the UTC day, `2026-05-13`."""
    return _format_second(time_ns // NS_PER_S)[:10]
