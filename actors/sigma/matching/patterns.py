"""Sigma strings as tests of text: equality, prefix, suffix, infix, and wildcards in general. Pure.

A pattern with `*` alone is tested by looking for its constant parts one after another, each as early as it can be found:
that finds a match if there is one, in time linear in the text. `?` stands for exactly one character and is left to RE2.
(Sigma rules specification 2.1, "String Wildcard", "Escape Character".)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum

import msgspec

from actors.sigma.matching.expressions import Test, compile_match
from actors.sigma.matching.folding import fold


class Wildcard(IntEnum):
    """The two wildcards, `*` and `?`; everything else of a pattern is text."""

    ANY = 0
    ONE = 1


Part = str | Wildcard


class Pattern(msgspec.Struct, frozen=True, array_like=True):
    """A string with wildcards. Neither two constants nor two `*` stand side by side: `of` sees to that."""

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, parts: Iterable[Part]) -> Pattern:
        """Return the pattern of these parts in their order."""
        merged: list[Part] = []
        for part in parts:
            last = merged[-1] if merged else None
            if isinstance(part, str) and isinstance(last, str):
                merged[-1] = last + part
            elif part != "" and not (part is last is Wildcard.ANY):
                merged.append(part)
        return cls(tuple(merged))

    def folded(self) -> Pattern:
        """Return the same without regard to case."""
        return Pattern(tuple(fold(part) if isinstance(part, str) else part for part in self.parts))

    def anywhere(self) -> Pattern:
        """Return the pattern of a text that holds this one."""
        return Pattern.of((Wildcard.ANY, *self.parts, Wildcard.ANY))

    def kind(self) -> tuple[str, str]:
        """Return `equals`, `startswith`, `endswith` or `contains` and the constant, or `general` and ""."""
        shape = "".join("c" if isinstance(part, str) else "*?"[part] for part in self.parts)
        constant = next((part for part in self.parts if isinstance(part, str)), "")
        kinds = {"": "equals", "c": "equals", "c*": "startswith", "*c": "endswith", "*c*": "contains"}
        kind = kinds.get(shape, "general")
        return kind, constant if kind != "general" else ""

    def constants(self) -> list[str]:
        """Return the constant parts, each of which a text that matches has to hold."""
        return [part for part in self.parts if isinstance(part, str)]

    def test(self) -> Test:
        """Return the test of a whole text."""
        kind, constant = self.kind()
        if kind == "equals":
            return constant.__eq__
        if kind == "startswith":
            return lambda text: text.startswith(constant)
        if kind == "endswith":
            return lambda text: text.endswith(constant)
        if kind == "contains":
            return lambda text: constant in text
        if Wildcard.ONE in self.parts:
            return self._test_by_expression()
        return _test_in_order(self.parts)

    def _test_by_expression(self) -> Test:
        pieces = [".*" if part is Wildcard.ANY else "." if part is Wildcard.ONE else re.escape(part) for part in self.parts]
        return compile_match("".join(pieces), re.DOTALL)


def _test_in_order(parts: Sequence[Part]) -> Test:
    constants = [part for part in parts if isinstance(part, str)]
    head = constants.pop(0) if isinstance(parts[0], str) else ""
    tail = constants.pop() if constants and isinstance(parts[-1], str) else ""

    def test(text: str) -> bool:
        end = len(text) - len(tail)
        if end < len(head) or not text.startswith(head) or not text.endswith(tail):
            return False
        place = len(head)
        for constant in constants:
            found = text.find(constant, place, end)
            if found < 0:
                return False
            place = found + len(constant)
        return True

    return test
