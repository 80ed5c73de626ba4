"""The interface of a detector: columns in, scores out; time comes with the batch or with a tick; state goes into a snapshot.

Adding a detector is one file with a subclass and one line in `actors/detectors/registry.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from protocol.columns import Columns, Scores
from protocol.findings import Finding


class Detector(ABC):
    """A pure online detector. All its state is keyed by source, bounded, and survives in `snapshot`."""

    name: ClassVar[str]
    version: ClassVar[int]  # of the snapshot's layout; another version is a cold start
    unit: ClassVar[str]  # of `expected` and `seen`, for people
    seed: ClassVar[int] = 1  # of everything random, so that equal inputs give equal scores

    @abstractmethod
    def score(self, batch: Columns, *, learn: bool = True) -> Scores:
        """Score each event against what was learned before it, then learn the batch (unless it was learned already)."""

    def tick(self, now_ns: int) -> list[Finding]:
        """Close what time alone closes. `now_ns` is the wall clock; called about once a second, events or none."""
        return []

    def jump(self, by_ns: int, now_ns: int) -> None:  # noqa: B027  most keep no time
        """Go with a wall clock that was set by `by_ns` and shows `now_ns`: no time has passed. Called before what comes next."""

    @abstractmethod
    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as plain data that msgpack can carry (arrays as bytes)."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of `snapshot`. Raises ValueError if it cannot be of this version."""

    def check_version(self, state: dict[str, Any]) -> None:
        """Raise ValueError unless the state is of this class's version."""
        if state.get("version") != self.version:
            raise ValueError(f"{self.name}: snapshot of version {state.get('version')}, this is {self.version}")

    @abstractmethod
    def statistics(self) -> dict[str, int]:
        """Return sizes of the state by name, for health and metrics: what is bounded, and how full it is."""

    @abstractmethod
    def is_warm(self) -> bool:
        """Tell whether any source has been learned well enough to be scored."""
