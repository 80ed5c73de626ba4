"""The contents of a file of rules, as plain data: rules and refusals. Pure."""

from __future__ import annotations

import msgspec

from actors.sigma.matching.conditions import Condition
from actors.sigma.matching.logsource import LogSource
from protocol.findings import AlertSeverity
from protocol.records import Attack


class Refusal(msgspec.Struct, frozen=True, tag="refusal", tag_field="is"):
    """A rule that is not used, and why."""

    path: str
    line: int  # 0: of no line
    reason: str
    kept: bool = False  # what its file held before stays in force

    def __str__(self) -> str:
        kept = " (what the file held before stays in force)" if self.kept else ""
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.reason}{kept}"


class Rule(msgspec.Struct, frozen=True, tag="rule", tag_field="is"):
    """One rule, read and with every modifier applied."""

    id: str  # its name, else its uuid, else the name of its file: the `rule_id` of its alerts
    uuid: str  # "": it has none
    title: str
    level: AlertSeverity
    path: str
    line: int
    product: str | None
    category: str | None
    service: str | None
    attack: Attack | None
    tags: tuple[str, ...]
    description: str
    falsepositives: tuple[str, ...]
    condition: Condition

    def is_meant_for(self, source: LogSource) -> bool:
        return source.fits(self.product, self.category, self.service)

    def meant_for(self) -> str:
        """Return its logsource in words: `linux, sshd`."""
        return ", ".join(part for part in (self.product, self.category, self.service) if part) or "everything"
