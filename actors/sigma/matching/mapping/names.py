"""The one name of the taxonomy for what programs call by many; the names are a table of the parser's. Pure.

Of several fields that could be the source address, the one whose name says so most clearly is believed: `src_ip` before
`client`, `client` before `ip`. What a field calls an address has to be one. `USER` is whom sudo and pkexec act as, not who acts.
"""

from __future__ import annotations

import re
from typing import Any

from actors.parsing.names import target_of

_ADDRESSES = ("src_ip", "dst_ip")
_REQUEST = ("cs-method", "cs-uri", "sc-status")
_ADDRESS = re.compile(
    r"(?:IPV[46]/\w{1,4}/|\[)?(?:::ffff:)?"
    r"(\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7})(?:%\w{1,15})?\]?(?:[:/]\d{1,5})?"
)
_NOTHING = ("", "-", "(null)", "?", "unknown", "(unknown)", "none", "null")
_Plan = tuple[tuple[str, str, int], ...]  # (name, target, rank: 0 is the clearest)
_MAX_PLANS, _MAX_NAMES, _MAX_LENGTH = 1024, 64, 2048  # plans, names of one and their characters together
_plans: dict[tuple[str, ...], _Plan] = {}
_plain: set[str] = set()  # names that stand for nothing, at most `_MAX_PLANS` and those of one event more


def add_known_names(fields: dict[str, Any]) -> None:
    """Add the fields of the taxonomy that others of these fields stand for."""
    if _plain.issuperset(fields):
        return
    names = tuple(fields)
    plan = _plans.get(names)
    if plan is None:
        plan = _plan_for(names)
    if plan:
        _follow(plan, fields)


def _plan_for(names: tuple[str, ...]) -> _Plan:
    """Return which of these names stand for what; the same names come again and again, so it is remembered."""
    known = [(name, target_of(name)) for name in names if name != "USER"]
    plan = tuple((name, found[0], 2 * found[1] + (name != name.lower())) for name, found in known if found is not None)
    short = sum(map(len, names)) <= _MAX_LENGTH
    if not plan and short and len(_plain) < _MAX_PLANS:
        _plain.update(names)
    if len(_plans) >= _MAX_PLANS:
        _plans.clear()
    if short and len(names) <= _MAX_NAMES:
        _plans[names] = plan
    return plan


def _follow(plan: _Plan, fields: dict[str, Any]) -> None:
    best: dict[str, tuple[int, Any]] = {}
    for name, target, rank in plan:
        value = fields[name]
        if target in best and best[target][0] <= rank:
            continue
        if target in _ADDRESSES:
            value = address_in(value)
        elif target == "user" and isinstance(value, str):
            value = value.strip("<>()[]'\"")
        if value is not None and not (isinstance(value, str) and value.lower() in _NOTHING):
            best[target] = (rank, value)
    if "cs-uri" not in best or ("cs-method" not in best and "sc-status" not in best):
        for target in _REQUEST:  # the method of a login, the status of a job, the path of a file
            best.pop(target, None)
    for target in _ADDRESSES:
        fields.pop(target, None)  # one that is no address says nothing
    fields.update({target: value for target, (_, value) in best.items()})


def address_in(value: Any) -> str | None:
    """Return the address that a value is, without port and brackets; None if it is none. Of a list the first."""
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, str):
        return None
    found = _ADDRESS.fullmatch(value[:128].partition(",")[0].strip())
    return found[1] if found else None
