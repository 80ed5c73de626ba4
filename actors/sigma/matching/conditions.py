"""A rule's condition as plain data, with every modifier applied. It is compiled, searched for words, explained and cached.

A condition is a tree of `AllOf`, `AnyOf` and `Not`; its leaves compare one field with one value. A leaf whose field is
`MESSAGE` is a keyword: it speaks of the whole message. Texts and patterns that regard no case are folded.
(Sigma rules specification 2.1; modifiers appendix 2.1.)
"""

from __future__ import annotations

from typing import Literal

import msgspec

from actors.sigma.matching.patterns import Pattern

MESSAGE = ""  # the field of keywords

Comparison = Literal["eq", "ne", "lt", "lte", "gt", "gte"]
TimePart = Literal["minute", "hour", "day", "week", "month", "year"]


class AllOf(msgspec.Struct, frozen=True, array_like=True, tag="all"):
    parts: tuple[Condition, ...]


class AnyOf(msgspec.Struct, frozen=True, array_like=True, tag="any"):
    parts: tuple[Condition, ...]


class Not(msgspec.Struct, frozen=True, array_like=True, tag="not"):
    part: Condition


class Text(msgspec.Struct, frozen=True, array_like=True, tag="text"):
    field: str
    pattern: Pattern
    cased: bool = False


class Number(msgspec.Struct, frozen=True, array_like=True, tag="number"):
    field: str
    comparison: Comparison
    value: float


class Moment(msgspec.Struct, frozen=True, array_like=True, tag="moment"):
    """A part of a time, as `hour`."""

    field: str
    part: TimePart
    value: int


class Exists(msgspec.Struct, frozen=True, array_like=True, tag="exists"):
    field: str
    wanted: bool


class Null(msgspec.Struct, frozen=True, array_like=True, tag="null"):
    field: str


class Expression(msgspec.Struct, frozen=True, array_like=True, tag="re"):
    field: str
    text: str
    flags: int = 0  # as those of `re`


class Network(msgspec.Struct, frozen=True, array_like=True, tag="cidr"):
    field: str
    network: str


class SameAs(msgspec.Struct, frozen=True, array_like=True, tag="fieldref"):
    """Compared with what another field of the same event holds, without regard to case."""

    field: str
    other: str
    how: Literal["equals", "startswith", "endswith", "contains"]


Condition = AllOf | AnyOf | Not | Text | Number | Moment | Exists | Null | Expression | Network | SameAs
Leaf = Text | Number | Moment | Exists | Null | Expression | Network | SameAs
