"""When a child that died is started again: intensity, period and back-off (Erlang/OTP design principles, supervisor).

Pure: time comes in, a decision comes out.
"""

from __future__ import annotations

import random
from collections import deque

import msgspec


class RestartPolicy(msgspec.Struct, frozen=True):
    """At most `intensity` restarts within `period_s`; between them an exponential back-off with jitter."""

    intensity: int = 8
    period_s: float = 60.0
    first_delay_s: float = 0.05
    max_delay_s: float = 5.0
    slow_delay_s: float = 30.0  # beyond the budget, for a child that the daemon can live without
    escalates: bool = True  # beyond the budget: give up the whole daemon

    @property
    def steady_s(self) -> float:
        """A life this long is no part of a crash loop: at this pace the budget would never be spent."""
        return self.period_s / self.intensity


class Decision(msgspec.Struct, frozen=True):
    """The reaction to the death of a child."""

    delay_s: float
    down: bool  # beyond the budget, retried slowly
    escalate: bool


class RestartHistory:
    """The deaths of one child within the period."""

    def __init__(self, policy: RestartPolicy, seed: int | None = None) -> None:
        self._policy = policy
        self._deaths: deque[float] = deque(maxlen=policy.intensity + 1)
        self._random = random.Random(seed)

    def decide(self, now_s: float, lived_s: float = 0.0) -> Decision:
        """Note a death at `now_s` (any monotonic clock) after a life of `lived_s`; return the decision.

        A death after a steady life is answered at once and costs nothing of the budget: OTP counts every death, and
        then unrelated ones that happen to fall together (someone kills at random) look like a loop.
        """
        policy = self._policy
        if lived_s >= policy.steady_s:
            return Decision(0.0, False, False)
        self._deaths.append(now_s)
        while self._deaths[0] <= now_s - policy.period_s:
            self._deaths.popleft()
        recent = len(self._deaths)
        if recent > policy.intensity:
            return Decision(policy.slow_delay_s, not policy.escalates, policy.escalates)
        if recent == 1:
            return Decision(0.0, False, False)
        delay_s = min(policy.first_delay_s * 2.0 ** (recent - 2), policy.max_delay_s)
        return Decision(delay_s * self._random.uniform(0.75, 1.25), False, False)
