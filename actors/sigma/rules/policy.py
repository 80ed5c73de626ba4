"""Settings of pySigma: regular expressions are checked with RE2, which runs them."""

from __future__ import annotations

from typing import Any

from sigma.policy import SigmaPolicy
from sigma.policy.regex_engine import RegexEngine

from actors.sigma.matching.expressions import ExpressionError, compile_expression


class _Engine(RegexEngine):
    def compile(self, pattern: str, flags: int = 0) -> Any:
        return compile_expression(pattern, flags)

    @property
    def error(self) -> type[Exception]:
        return ExpressionError


POLICY = SigmaPolicy(regex_engine=_Engine())
