"""The interface of a follower: committed events or alerts in, drafts of alerts out; its state is a function of the commits.

A follower judges over entities and time, so nothing waits for it (`docs/architecture.md`, Followers). Adding one is a file
with a subclass and a line in `actors/following/registry.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from protocol.findings import Alert, RuleKind
from protocol.messages import JudgedEvent


class Follower(ABC):
    """A pure follower. Override one of `take_events` and `take_alerts`, or both.

    Both are called in commit order, each event and alert once over the life of the state. The id of a draft must be made
    of its cause (`protocol.identity.alert_id`): after a kill the same is drafted again.
    """

    name: ClassVar[str]
    version: ClassVar[int]  # of the snapshot's layout; another version is a cold start
    rule_kind: ClassVar[RuleKind]  # of its alerts; alerts of this kind are not given to it

    def take_events(self, events: Sequence[JudgedEvent]) -> Sequence[Alert]:
        """Take in events; return drafts."""
        return ()

    def take_alerts(self, alerts: Sequence[Alert]) -> Sequence[Alert]:
        """Take in alerts of other kinds; return drafts."""
        return ()

    @abstractmethod
    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as plain data that msgpack can carry."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Take up the state of `snapshot`. Raises ValueError, KeyError or TypeError if it cannot be one."""

    @abstractmethod
    def statistics(self) -> dict[str, int]:
        """Return sizes of the state by name, for health and metrics: what is bounded, and how full it is."""
