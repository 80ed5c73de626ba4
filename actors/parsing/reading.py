"""What a format makes of a text: the message alone, what the header or the pairs said, how bad and when."""

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
