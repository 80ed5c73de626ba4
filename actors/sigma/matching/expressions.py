"""Regular expressions on RE2, whose time is linear in the text: no rule and no log line can hold the daemon up. Pure.

Look-ahead, look-behind and back references, which need backtracking, are refused. There is no fallback to an engine that
has them: none of the public rules needs one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import re2

Test = Callable[[str], bool]

MAX_MEMORY_BYTES = 8 << 20  # that one compiled expression may take
_FLAGS = {re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s"}


class ExpressionError(ValueError):
    """An expression that RE2 does not take; the message says why."""


def compile_expression(text: str, flags: int = 0) -> Any:
    """Return a compiled expression; `flags` as those of `re`. Raises ExpressionError."""
    try:
        return re2.compile(_with_flags(text, flags), options=_options())
    except re2.error as error:
        reason = error.args[0]
        raise ExpressionError(reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from error


def compile_search(text: str, flags: int = 0) -> Test:
    """Return the test whether an expression matches anywhere in a text. Raises ExpressionError.

    A set of one expression only says whether it matches, which costs less than half of saying where.
    """
    return _test_of(re2.Set.SearchSet, text, flags)


def compile_match(text: str, flags: int = 0) -> Test:
    """Return the test whether an expression matches the whole of a text. Raises ExpressionError."""
    return _test_of(re2.Set.FullMatchSet, text, flags)


def _test_of(make_set: Callable[..., Any], text: str, flags: int) -> Test:
    compile_expression(text, flags)  # a set does not say what is wrong
    single = make_set(_options())
    try:
        single.Add(_with_flags(text, flags))
        single.Compile()
    except re2.error as error:
        raise ExpressionError(f"is too large: {text[:40]!r}") from error
    match = single.Match

    def test(subject: str) -> bool:
        return match(subject if subject.isascii() else subject.encode("utf-8", "replace")) is not None

    return test


def _with_flags(text: str, flags: int) -> str:
    letters = "".join(letter for flag, letter in _FLAGS.items() if flags & flag)
    return f"(?{letters}){text}" if letters else text


def _options() -> Any:
    options = re2.Options()
    options.max_mem = MAX_MEMORY_BYTES
    options.log_errors = False  # RE2 would write to standard error
    return options
