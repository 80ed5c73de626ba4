"""The answers that an actor gave to batches which may be sent again: the same records get the same answer, to the last bit.

An actor that learns judges a batch against the past before it. After a loss downstream the receiver sends the batch
again, and the past holds it by then: judged anew it would be nothing new. So the first answer is kept until the
receiver knows the batch to be committed. A batch comes again as it was, or in parts (records of which an actor died are
sent one by one), so an answer can be cut.

State: the answers to what is in flight, which the windows of credit bound; beyond `MAX_RECORDS` of a spool, or
`MAX_SPOOLS` spools, the oldest are given up and counted. A record that stands in for one in quarantine has the answer of
that one. Cost: two look-ups a batch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from protocol.messages import BatchKey

MAX_RECORDS = 1 << 17  # of a spool; a window has 10,000 by default
MAX_SPOOLS = 64

A = TypeVar("A")
Cut = Callable[[A, int, int], A]  # answer, index of the first record, index behind the last: the answer to those alone


class _Spool(Generic[A]):
    """The answers to batches of one spool, in the order of their sequences."""

    def __init__(self) -> None:
        self.kept: OrderedDict[int, tuple[int, A]] = OrderedDict()  # {first sequence: (count, answer)}
        self.records = 0

    def add(self, first: int, count: int, answer: A) -> None:
        if first in self.kept:
            self.records -= self.kept.pop(first)[0]
        self.kept[first] = (count, answer)
        self.records += count

    def drop_oldest(self) -> None:
        _, (count, _) = self.kept.popitem(last=False)
        self.records -= count

    def forget(self, base: int) -> None:
        """Forget what is committed: everything up to a sequence."""
        while self.kept:
            first = next(iter(self.kept))
            if first + self.kept[first][0] - 1 > base:
                return
            self.drop_oldest()


class Answers(Generic[A]):
    """See the module."""

    def __init__(self, cut: Cut[A]) -> None:
        self._cut = cut
        self._spools: OrderedDict[int, _Spool[A]] = OrderedDict()  # {tag: answers}
        self.given_up = 0  # answers that were forgotten before their batch was known to be committed

    def __len__(self) -> int:
        """Return the number of records whose answers are kept."""
        return sum(spool.records for spool in self._spools.values())

    def keep(self, key: BatchKey, answer: A) -> None:
        """Keep an answer, and forget those to batches that the receiver knows to be committed."""
        spool = self._spool(key.tag)
        spool.forget(key.base)
        spool.add(key.first, key.count, answer)
        while spool.records > MAX_RECORDS and len(spool.kept) > 1:
            spool.drop_oldest()
            self.given_up += 1

    def _spool(self, tag: int) -> _Spool[A]:
        spool = self._spools.setdefault(tag, _Spool())
        self._spools.move_to_end(tag)
        while len(self._spools) > MAX_SPOOLS:
            self.given_up += len(self._spools.popitem(last=False)[1].kept)
        return spool

    def recall(self, key: BatchKey) -> A | None:
        """Return the answer that was given to these records, alone or among others; None if none is kept."""
        spool = self._spools.get(key.tag)
        if spool is None:
            return None
        whole = spool.kept.get(key.first)
        if whole is not None and whole[0] == key.count:
            return whole[1]
        for first, (count, answer) in spool.kept.items():
            if first <= key.first and key.last < first + count:
                return self._cut(answer, key.first - first, key.first - first + key.count)
        return None

    def snapshot(self, pack: Callable[[A], Any]) -> list[Any]:
        """Return the state as plain data; `pack` makes plain data of an answer."""
        return [
            [tag, first, count, pack(answer)]
            for tag, spool in self._spools.items()
            for first, (count, answer) in spool.kept.items()
        ]

    def restore(self, state: Iterable[Any], unpack: Callable[[Any], A]) -> None:
        """Take up the state of `snapshot`."""
        self._spools.clear()
        for tag, first, count, packed in state:
            self._spool(tag).add(first, count, unpack(packed))
