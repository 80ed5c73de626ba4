"""The log of accepted records: append, read, acknowledge. The spool is one.

Another log (of a broker, or of a replicated store) is a class with these methods that passes the laws of
`tests/actors/spool/test_conformance.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from actors.context import Report
from protocol.messages import SpoolAccount

Batch = tuple[bytes, int]  # one msgpack array of records, and how many there are


class LogFull(Exception):
    """The log has reached its bound in bytes."""


class Entry(Protocol):
    """One batch of a log."""

    @property
    def first(self) -> int: ...
    @property
    def count(self) -> int: ...
    @property
    def last(self) -> int: ...


class RecordLog(Protocol):
    """Records that are accepted and not yet committed, by sequences that rise from 1 on, over all deaths.

    `tag` names the log for good; `acknowledged` is the last sequence that is known to be committed, `next` the one that
    the next record gets. `waiting` counts records that are not acknowledged. `cursors` says where
    a receiver stands in each of its inputs. Leaps in the sequences are allowed; a sequence is never given twice.
    Nothing here waits: what blocks is the disk alone.
    """

    tag: int
    acknowledged: int
    next: int
    cursors: dict[str, Any]

    @property
    def waiting(self) -> int: ...

    @property
    def size(self) -> int:
        """Bytes that it takes where it is kept."""
        ...

    def append(self, batches: Sequence[Batch], cursor: dict[str, Any] | None = None) -> Sequence[Entry]:
        """Accept batches, the cursor with the last: all of them, or none if it raises LogFull or OSError."""
        ...

    def entries(self) -> Sequence[Entry]:
        """Return the entries that are not acknowledged, in order."""
        ...

    def read(self, entry: Any) -> bytes:
        """Return the packed records of an entry of this log that is not acknowledged."""
        ...

    def acknowledge(self, sequence: int) -> None:
        """Forget everything up to `sequence`, for it is committed. One that is lower than before changes nothing."""
        ...

    def set_cursors(self, cursors: dict[str, Any]) -> None:
        """Put these cursors in the place of all others, to be there after a death too."""
        ...

    def ordinal(self, sequence: int) -> int:
        """Return how many records were ever accepted before the one of this sequence."""
        ...

    def account(self) -> SpoolAccount:
        """Return its side of the account with the store."""
        ...

    def has_room(self) -> bool:
        """Tell whether it would take an entry now."""
        ...

    async def keep(self, report: Report) -> None:
        """Do what the log has to do beside, and report it, until cancelled."""
        ...

    def close(self) -> None:
        """Let go of it; nothing more is appended."""
        ...
