"""What every log of records promises, whatever keeps it. A log passes if `conform` returns for any story that it is told.

A story is a list of steps: batches that come, with and without a cursor; acknowledgements, late ones and known ones; cursors
that are replaced; ends, expected and not. After each step the log holds what the rules of the seam say (`Model`).
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from hypothesis import strategies as st

from actors.record_log import LogFull, RecordLog


class Opened(Protocol):
    """A log under test, which is small: it is full after about a thousand bytes."""

    log: RecordLog

    def restart(self, *, killed: bool) -> None:
        """Open it again, closed before or killed."""
        ...


class Append(msgspec.Struct, frozen=True):
    batches: tuple[tuple[bytes, int], ...]
    cursor: dict[str, int] | None


class Acknowledge(msgspec.Struct, frozen=True):
    entries: int  # of those that wait; 0: what is acknowledged already, once more


class SetCursors(msgspec.Struct, frozen=True):
    cursors: dict[str, int]


class Restart(msgspec.Struct, frozen=True):
    killed: bool


Step = Append | Acknowledge | SetCursors | Restart
CURSORS = st.dictionaries(st.sampled_from("ab"), st.integers(0, 99), max_size=2)
STORIES = st.lists(
    st.builds(
        Append,
        st.lists(st.tuples(st.binary(min_size=1, max_size=80), st.integers(1, 5)), min_size=1, max_size=3).map(tuple),
        st.none() | CURSORS,
    )
    | st.builds(Acknowledge, st.integers(0, 4))
    | st.builds(SetCursors, CURSORS)
    | st.builds(Restart, st.booleans()),
    min_size=1,
    max_size=14,
)


class Model:
    """What the log has to hold, by the rules of the seam."""

    def __init__(self, tag: int) -> None:
        self.tag = tag
        self.entries: list[tuple[int, int, bytes]] = []  # first sequence, count and records of what is not acknowledged
        self.accepted = 0  # records, ever
        self.highest = 0  # sequence that was given
        self.cursors: dict[str, Any] = {}

    @property
    def waiting(self) -> int:
        return sum(count for _, count, _ in self.entries)

    @property
    def acknowledged(self) -> int:
        return self.entries[0][0] - 1 if self.entries else self.highest


def conform(opened: Opened, story: list[Step]) -> None:
    """Tell a log a story. Raises AssertionError where it breaks what it promises."""
    model = Model(opened.log.tag)
    check(opened.log, model)
    for step in story:
        match step:
            case Append():
                _append(opened.log, model, step)
            case Acknowledge(entries):
                _acknowledge(opened.log, model, entries)
            case SetCursors(cursors):
                opened.log.set_cursors(dict(cursors))
                model.cursors = dict(cursors)
            case Restart(killed):
                opened.restart(killed=killed)
                opened.log.acknowledge(model.acknowledged)  # the store knows it, should the log have forgotten
        check(opened.log, model)


def _append(log: RecordLog, model: Model, step: Append) -> None:
    try:
        entries = log.append(step.batches, step.cursor)
    except LogFull:
        assert model.entries, "a log that holds nothing takes what comes"
        return
    assert [entry.count for entry in entries] == [count for _, count in step.batches], "an entry for each batch"
    for entry, (records, count) in zip(entries, step.batches, strict=True):
        assert entry.first > model.highest and entry.last == entry.first + count - 1, "no sequence is given twice"
        assert log.read(entry) == records
        model.entries.append((entry.first, count, records))
        model.highest = entry.last
        model.accepted += count
    model.cursors |= step.cursor or {}


def _acknowledge(log: RecordLog, model: Model, count: int) -> None:
    gone, model.entries = model.entries[:count], model.entries[count:]
    if gone:
        log.acknowledge(gone[-1][0] + gone[-1][1] - 1)
    else:
        log.acknowledge(0)


def check(log: RecordLog, model: Model) -> None:
    """Hold everything that a log says of itself against the model."""
    entries = log.entries()
    assert [(entry.first, entry.count, log.read(entry)) for entry in entries] == model.entries
    assert log.waiting == model.waiting and log.cursors == model.cursors and log.tag == model.tag
    assert log.next > model.highest and log.acknowledged < (entries[0].first if entries else log.next)
    assert log.size >= sum(len(records) for _, _, records in model.entries)
    ordinal = model.accepted - model.waiting
    for entry in entries:
        assert log.ordinal(entry.first) == ordinal, "records before this one were counted once each"
        ordinal += entry.count
    assert log.ordinal(log.next) == model.accepted
    account = log.account()
    assert (account.tag, account.accepted, account.damaged) == (model.tag, model.accepted, 0)
    assert account.acknowledged == model.accepted - model.waiting
    assert log.has_room()
