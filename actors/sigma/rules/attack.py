"""A rule's level, and its place in MITRE ATT&CK out of its tags: `attack.credential_access`, `attack.t1110.001`. Pure.

Tactics are spelt in several ways; `credential-access`, `credential_access` and `TA0006` are one.
(Sigma tags appendix 2.1; ATT&CK Enterprise, version 17.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, get_args

from protocol.findings import AlertSeverity
from protocol.records import Attack

TACTICS = {
    "ta0043": "reconnaissance",
    "ta0042": "resource-development",
    "ta0001": "initial-access",
    "ta0002": "execution",
    "ta0003": "persistence",
    "ta0004": "privilege-escalation",
    "ta0005": "defense-evasion",
    "ta0006": "credential-access",
    "ta0007": "discovery",
    "ta0008": "lateral-movement",
    "ta0009": "collection",
    "ta0011": "command-and-control",
    "ta0010": "exfiltration",
    "ta0040": "impact",
}
_LEVELS: dict[str, AlertSeverity] = {level: level for level in get_args(AlertSeverity)}
_TECHNIQUE = re.compile(r"t[0-9]{4}(\.[0-9]{3})?")


def attack_of(tags: Iterable[str]) -> Attack | None:
    """Return the first tactic and the most exact technique that the tags name; None if they name neither."""
    tactic, technique = "", ""
    for tag in tags:
        namespace, _, name = tag.lower().partition(".")
        if namespace != "attack":
            continue
        name = TACTICS.get(name, name.replace("_", "-"))
        if name in TACTICS.values():
            tactic = tactic or name
        elif _TECHNIQUE.fullmatch(name) and len(name) > len(technique):
            technique = name.upper()
    return Attack(tactic, technique) if tactic or technique else None


def level_of(level: Any) -> AlertSeverity:
    """Return a level of pySigma in the words of alerts; a rule that has none is `medium`."""
    return _LEVELS[level.name.lower()] if level else "medium"
