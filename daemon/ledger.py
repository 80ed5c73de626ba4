"""The ledger: proves, while the daemon runs, that nothing is lost and nothing doubled. Pure.

Two laws of conservation. For every receiver, over the life of its spool,

    received = committed + in flight + dropped (by reason)

where `committed` is counted by the recorder, in the transaction that stores the records, and everything else by the
receiver; and for every edge between two actors, since the daemon's start,

    sent = handled + lost + in flight

where `lost` went down with a process that died; what of it mattered was sent again.

The two sides of an account report at different moments, a few times a second, so at no moment need they agree. What is
checked once a second are therefore the inequalities that hold between an older report of one side and a newer one of the
other: what a receiver knew to be committed `LAG` checks ago is committed now (else records are lost), and what was
committed `LAG` checks ago is accepted now (else some are doubled). Both together pin the account down to what was in
flight in between, and to nothing once the stream rests. After a loss of power or damage a receiver may have forgotten
records that are stored: nothing is held against the store until the first record since is committed, and the store then
takes over the receiver's count. An edge is broken when a message is missing between two that
came from one living process to another: ZeroMQ promises that, and its word is held against the numbers on the messages.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from daemon.health import ChildHealth
from protocol.messages import Beat, SpoolAccount, account_name

LAG = 2  # checks, that is seconds: longer than a report is on its way


class _Moment:
    """The reports of both sides of an account at one check, and whether each is new since the check before."""

    __slots__ = ("accepted", "acknowledged", "committed", "receiver_spoke", "recorder_spoke")

    def __init__(self, accepted: int, acknowledged: int, committed: int, receiver_spoke: bool, recorder_spoke: bool) -> None:
        self.accepted = accepted
        self.acknowledged = acknowledged
        self.committed = committed
        self.receiver_spoke = receiver_spoke
        self.recorder_spoke = recorder_spoke


class SourceAccount:
    """One receiver's account with the store."""

    def __init__(self, receiver: str) -> None:
        self.receiver = receiver
        self.tag = 0
        self.accepted = self.acknowledged = self.damaged = 0
        self.committed: int | None = None  # None: the store knows nothing of this spool yet
        self.spoke = False
        self._unsure = 0  # checks for which nothing can be said
        self._moments: deque[_Moment] = deque(maxlen=LAG + 1)
        self._said = 0

    def take(self, spool: SpoolAccount) -> None:
        """Take in a receiver's beat."""
        if spool.tag != self.tag:  # its spool was deleted, and another begun
            self.tag, self.committed = spool.tag, None
            self._moments.clear()
        self.accepted, self.acknowledged, self.damaged = spool.accepted, spool.acknowledged, spool.damaged
        self.spoke = True
        if spool.is_unsure:
            self._unsure = LAG

    def check(self, recorder_spoke: bool) -> str:
        """Return a discrepancy, once for each new one; "" if there is none."""
        spoke, self.spoke = self.spoke, False
        if self._unsure:
            self._unsure -= 1
            self._moments.clear()
            return ""
        if self.committed is None:
            return ""
        self._moments.append(_Moment(self.accepted, self.acknowledged, self.committed, spoke, recorder_spoke))
        broken = self._discrepancy()
        if not broken or broken == self._said:
            return ""
        self._said = broken
        what = f"{broken} records are lost" if broken > 0 else f"{-broken} records are stored twice"
        return (
            f"{self.receiver}: {what}: accepted {self.accepted}, known to be committed {self.acknowledged}, "
            f"committed {self.committed}"
        )

    def _discrepancy(self) -> int:
        """Return how many records are lost (above 0) or doubled (below 0), as far as the reports can show."""
        if len(self._moments) <= LAG:
            return 0
        before, *since = self._moments
        now = since[-1]
        if all(moment.recorder_spoke for moment in since) and before.acknowledged > now.committed:
            return before.acknowledged - now.committed
        if all(moment.receiver_spoke for moment in since) and before.committed > now.accepted:
            return now.accepted - before.committed
        return 0

    def describe(self, dropped: Mapping[str, int]) -> dict[str, Any]:
        """Return the account; `dropped` counts records that were never accepted, by reason."""
        reasons = {reason: count for reason, count in {**dropped, "damaged": self.damaged}.items() if count}
        committed = self.acknowledged if self.committed is None else max(self.committed, self.acknowledged)
        in_flight = max(0, self.accepted - committed)
        return {
            "received": committed + in_flight + sum(reasons.values()),
            "committed": committed,
            "in_flight": in_flight,
            "dropped": reasons,
        }


class EdgeAccount:
    """The messages from one actor to another, over all their incarnations."""

    def __init__(self) -> None:
        self._sent_before = 0  # by incarnations of the sender that are gone
        self._sender, self._sent = 0, 0  # the present incarnation, and what it has sent
        self._handled_before = self._gaps_before = 0
        self._receiver, self._handled, self._gaps = 0, 0, 0
        self._seen = (0, 0)  # the sender's incarnation and the number of the last message that came

    def take_sent(self, incarnation: int, sent: int) -> None:
        if incarnation > self._sender:
            self._sent_before += self._sent_now()
            self._sender, self._sent = incarnation, 0
        if incarnation == self._sender:
            self._sent = max(self._sent, sent)

    def take_passed(self, incarnation: int, seen: tuple[int, int], handled: int, gaps: int) -> None:
        if incarnation > self._receiver:
            self._handled_before += self._handled
            self._gaps_before += self._gaps
            self._receiver, self._handled, self._gaps = incarnation, 0, 0
        if incarnation == self._receiver:
            self._handled, self._gaps, self._seen = handled, gaps, seen

    def _sent_now(self) -> int:
        """Return the count that the present incarnation has sent; the other end may have seen more than it could report."""
        incarnation, number = self._seen
        return max(self._sent, number) if incarnation == self._sender else self._sent

    @property
    def gaps(self) -> int:
        return self._gaps_before + self._gaps

    def describe(self) -> dict[str, int]:
        incarnation, number = self._seen
        in_flight = self._sent_now() - (number if incarnation == self._sender else 0)
        handled = self._handled_before + self._handled
        lost = max(0, self._sent_before + self._sent_now() - handled - in_flight)
        return {"sent": handled + lost + in_flight, "handled": handled, "lost": lost, "in_flight": in_flight}


class Ledger:
    """All accounts of a running daemon. State: one account a receiver, one an edge."""

    def __init__(self) -> None:
        self.sources: dict[str, SourceAccount] = {}
        self.edges: dict[tuple[str, str], EdgeAccount] = {}
        self.breaks = 0
        self._store: Mapping[str, int] = {}
        self._recorder_spoke = False
        self._gaps_said: dict[tuple[str, str], int] = {}

    def take_beat(self, beat: Beat) -> None:
        """Take in an actor's report."""
        for actor, edge in beat.edges.items():
            self._edge(beat.actor, actor).take_sent(beat.incarnation, edge.messages)
        for actor, passed in beat.passed.items():
            seen = (passed.incarnation, passed.number)
            self._edge(actor, beat.actor).take_passed(beat.incarnation, seen, passed.handled, passed.gaps)
        if beat.spool is not None:
            self.sources.setdefault(beat.actor, SourceAccount(beat.actor)).take(beat.spool)
        elif beat.committed:
            self._store, self._recorder_spoke = beat.committed, True

    def _edge(self, sender: str, receiver: str) -> EdgeAccount:
        edge = self.edges.get((sender, receiver))
        if edge is None:
            edge = self.edges[sender, receiver] = EdgeAccount()
        return edge

    def check(self) -> list[str]:
        """Return new discrepancies, in words. Call it once a second."""
        broken = []
        for name, account in self.sources.items():
            account.committed = self._store.get(account_name(name, account.tag), account.committed)
            if text := account.check(self._recorder_spoke):
                broken.append(text)
        self._recorder_spoke = False
        for (sender, receiver), edge in self.edges.items():
            if missing := edge.gaps - self._gaps_said.get((sender, receiver), 0):
                self._gaps_said[sender, receiver] = edge.gaps
                broken.append(f"{missing} messages from {sender} to {receiver} are missing, and both are alive")
        self.breaks += len(broken)
        return broken

    def describe(self, children: Iterable[ChildHealth]) -> dict[str, Any]:
        """Return the ledger for health."""
        children = list(children)
        dropped = {child.spec.name: drops_of(child) for child in children}
        return {
            "sources": {name: account.describe(dropped.get(name, {})) for name, account in self.sources.items()},
            "edges": [
                {"from": sender, "to": receiver} | edge.describe() for (sender, receiver), edge in sorted(self.edges.items())
            ],
            "breaks": self.breaks + sum(child.counters.get("ledger_breaks", 0) for child in children),
        }


def drops_of(child: ChildHealth) -> dict[str, int]:
    """Return an actor's drops since the daemon's start, by reason."""
    return {
        name.removeprefix("dropped_"): count for name, count in child.counters.items() if name.startswith("dropped_")
    }
