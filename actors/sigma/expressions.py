"""Regular expressions on RE2, whose time is linear in the text: no rule and no log line can hold the daemon up. Pure.

Look-ahead, look-behind and back references, which need backtracking, are refused. There is no fallback to an engine that
has them: none of the public rules needs one.
"""

from __future__ import annotations

import re
from typing import Any

import re2
from sigma.policy import SigmaPolicy
from sigma.policy.regex_engine import RegexEngine

MAX_MEMORY_BYTES = 8 << 20  # that one compiled expression may take
_FLAGS = {re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s"}


class ExpressionError(ValueError):
    """An expression that RE2 does not take; the message says why."""


def compile_expression(text: str, flags: int = 0) -> Any:
    """Return a compiled expression; `flags` as those of `re`. Raises ExpressionError."""
    options = re2.Options()
    options.max_mem = MAX_MEMORY_BYTES
    options.log_errors = False  # RE2 would write to standard error
    letters = "".join(letter for flag, letter in _FLAGS.items() if flags & flag)
    try:
        return re2.compile(f"(?{letters}){text}" if letters else text, options=options)
    except re2.error as error:
        reason = error.args[0]
        raise ExpressionError(reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from error


class _Engine(RegexEngine):
    """What pySigma looks at expressions with when it reads a rule."""

    def compile(self, pattern: str, flags: int = 0) -> Any:
        return compile_expression(pattern, flags)

    @property
    def error(self) -> type[Exception]:
        return ExpressionError


POLICY = SigmaPolicy(regex_engine=_Engine())
