"""Names of time zones as programs print them, and what they mean.

A name is no zone: `CST` is in Chicago, Shanghai and Havana. Where the zone of the source uses the name, it means what it
means there; else it means what most sources that print it mean by it, which the table says. Names that are words or names
of hosts as well are left out. Offsets are those of the IANA time zone database.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from functools import lru_cache

_MINUTES = {
    "UTC": 0, "GMT": 0, "UT": 0, "WET": 0, "WEST": 60, "BST": 60, "CET": 60, "CEST": 120, "MET": 60, "MEST": 120, "MEZ": 60,
    "MESZ": 120, "EET": 120, "EEST": 180, "MSK": 180, "TRT": 180, "WAT": 60, "CAT": 120, "SAST": 120, "EAT": 180,
    "IRST": 210, "GST": 240, "PKT": 300, "IST": 330, "NPT": 345, "WIB": 420, "ICT": 420, "WITA": 480, "SGT": 480, "HKT": 480,
    "AWST": 480, "WIT": 540, "JST": 540, "KST": 540, "ACST": 570, "ACDT": 630, "AEST": 600, "AEDT": 660, "NZST": 720,
    "NZDT": 780, "NST": -210, "NDT": -150, "AST": -240, "ADT": -180, "BRT": -180, "ART": -180, "EST": -300, "EDT": -240,
    "CST": -360, "CDT": -300, "MST": -420, "MDT": -360, "PST": -480, "PDT": -420, "AKST": -540, "AKDT": -480, "HST": -600,
}  # fmt: skip
ZONE_NAMES = frozenset(_MINUTES)


@lru_cache(maxsize=512)
def offset_of(name: str, zone: tzinfo, year: int | None) -> timedelta | None:
    """Return what a name adds to UTC, as a source in `zone` means it; None for a name that is not known."""
    for month in (1, 7):
        moment = datetime(year or 2000, month, 1, tzinfo=zone)
        if moment.tzname() == name:
            return moment.utcoffset()
    minutes = _MINUTES.get(name)
    return None if minutes is None else timedelta(minutes=minutes)
