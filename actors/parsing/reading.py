"""A text that a format has read: the message alone, fields of header and pairs, severity and time."""

from __future__ import annotations

from typing import Any

import msgspec


class Reading(msgspec.Struct, gc=False):
    """A text, read. `severity` and `time_ns` are None where the text does not say."""

    message: str
    fields: dict[str, Any]
    severity: int | None = None
    time_ns: int | None = None
    pattern: str | None = None  # what templates are learned from, where it is not the message

    def state_severity(self, stated: int) -> None:
        """Take the severity that the header states; where the message names a level of its own, the worse of both."""
        level_says = "level" in self.fields or "severity" in self.fields
        self.severity = max(stated, self.severity or 0) if level_says else stated
