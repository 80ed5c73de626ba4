"""An event as rules see it: fields by name, and the whole message for keywords. Text is folded once, and only if asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.sigma.matching.folding import fold

_ABSENT: tuple[str, ...] = ()


class Subject:
    """One event. A field may hold text, a number, a truth value, None, or a list of those; any of a list may match."""

    __slots__ = ("_folded", "_texts", "fields", "message")

    def __init__(self, fields: Mapping[str, Any], message: str = "") -> None:
        self.fields = fields
        self._texts: dict[str, tuple[str, ...]] = {}
        self._folded: dict[str, tuple[str, ...]] = {}
        self.message = message

    def has(self, field: str) -> bool:
        """Tell whether the field is there, be it empty or null."""
        return field in self.fields

    def raw(self, field: str) -> Any:
        """Return the field as it is; None if it is null or not there."""
        return self.fields.get(field)

    def texts(self, field: str) -> tuple[str, ...]:
        """Return the values of a field as text; none if it is null or not there."""
        known = self._texts.get(field)
        if known is None:
            known = self._texts[field] = texts_of(self.fields.get(field))
        return known

    def folded(self, field: str) -> tuple[str, ...]:
        """Return the same without regard to case."""
        known = self._folded.get(field)
        if known is None:
            value = self.fields.get(field)
            texts = (value,) if type(value) is str else self.texts(field)
            known = self._folded[field] = tuple([fold(text) for text in texts])
        return known

    def folded_message(self) -> tuple[str, ...]:
        known = self._folded.get("")
        if known is None:
            known = self._folded[""] = (fold(self.message),)
        return known


def texts_of(value: Any) -> tuple[str, ...]:
    """Return a value as text; of a list each, however deep."""
    if isinstance(value, str):
        return (value,)
    if value is None:
        return _ABSENT
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, list | tuple):
        return tuple([text for each in value for text in texts_of(each)])
    return (str(value),)
