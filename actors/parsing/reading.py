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
    zoneless: bool = True  # the time names no zone
    pattern: str | None = None  # what templates are learned from, where it is not the message
    states_level: bool = True  # the severity is a level that the text names, and does not merely follow from it

    def take_inner(self, inner: Reading) -> None:
        """Take over the reading of what a container engine or a log shipper has wrapped; its writer knows best."""
        self.message, self.pattern = inner.message, inner.pattern
        if inner.severity is not None:
            self.severity, self.states_level = inner.severity, inner.states_level
        if inner.time_ns is not None and (self.time_ns is None or not inner.zoneless):
            self.time_ns, self.zoneless = inner.time_ns, inner.zoneless
        for name, value in inner.fields.items():
            self.fields.setdefault(name, value)

    def state_severity(self, stated: int) -> None:
        """Take the severity that the header states, but for a message that names a level of its own: its writer knows."""
        if self.severity is None or not self.states_level:
            self.severity = stated
