"""The batch that kills an actor, and the verdict on it. Pure.

A batch that was being handled when an actor died of itself (an exception, a crash in a library, a hang; not a SIGKILL
from outside, which says nothing of the batch) is suspect. Those of the spine come again, because nothing of them is
committed:

    first death     the receiver sends each record of the batch alone
    second death    of a record that came alone: it is the culprit, and is put aside
    `PATIENCE`      deaths of a batch of which no single record kills: the whole of it is put aside

A detector gets a batch once and again when it catches up. What it died of twice is poison to it alone: it passes over it,
and the events, which are stored, have no score of its.

A death that was a batch's doing is no fault of the actor and costs nothing of its restart budget, but only `BUDGET` times
within `PERIOD_S`: an actor that dies of everything is broken itself, and would put everything aside.

State: at most `MAX_SUSPECTS` batches, the oldest given up.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Literal

import msgspec

from protocol.messages import BatchKey

MAX_SUSPECTS = 256
PATIENCE = 4
TWICE = 2
BUDGET = 40  # deaths
PERIOD_S = 600.0

Verdict = Literal["isolate", "quarantine", "pass over"]


class Suspect(msgspec.Struct):
    """Records of a spool, and how often an actor has died of them."""

    tag: int
    first: int
    last: int
    deaths: int

    def holds(self, key: BatchKey) -> bool:
        return self.tag == key.tag and self.first <= key.last and key.first <= self.last


class Suspects:
    def __init__(self) -> None:
        self._suspects: OrderedDict[tuple[str, int, int], Suspect] = OrderedDict()  # {(actor, tag, first): suspect}
        self._forgiven: deque[float] = deque(maxlen=BUDGET)  # when, on the clock of `now_s`

    def judge(self, actor: str, key: BatchKey, *, is_detector: bool) -> Verdict | None:
        """Note that `actor` died of the batch `key`; return the verdict, if there is one."""
        deaths = 1 + max((suspect.deaths for suspect in self._of(actor) if suspect.holds(key)), default=0)
        self._note(actor, Suspect(key.tag, key.first, key.last, deaths))
        if is_detector:
            return "pass over" if deaths >= TWICE else None
        if deaths >= PATIENCE or (deaths >= TWICE and key.count == 1):
            return "quarantine"
        return "isolate"

    def forgives(self, now_s: float) -> bool:
        """Tell whether a death that was a batch's doing is forgiven to the actor; if so, it counts towards the budget."""
        if len(self._forgiven) == BUDGET and now_s - self._forgiven[0] < PERIOD_S:
            return False
        self._forgiven.append(now_s)
        return True

    def poison(self, actor: str) -> tuple[tuple[int, int, int], ...]:
        """Return tag, first and last sequence of everything that an actor died of more than once."""
        return tuple((each.tag, each.first, each.last) for each in self._of(actor) if each.deaths >= TWICE)

    def _of(self, actor: str) -> list[Suspect]:
        return [suspect for (name, _, _), suspect in self._suspects.items() if name == actor]

    def _note(self, actor: str, suspect: Suspect) -> None:
        name = (actor, suspect.tag, suspect.first)
        self._suspects[name] = suspect
        self._suspects.move_to_end(name)
        while len(self._suspects) > MAX_SUSPECTS:
            self._suspects.popitem(last=False)
