"""The quarantine: records that an actor died of more than once, each in a file of its own, until a person decides.

A record stays here as it was accepted, with the name of who died of it and how. In the stream a word stands in its place
under the same event id, so that nothing is missing without a trace. It can be looked at, sent again (then it is a new
record, with a new id) or thrown away: `tocsin quarantine`.

Bound: `MAX_FILES`; beyond it the oldest goes, which is said in the log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from actors.files import write_whole
from protocol.records import Record

MAX_FILES = 1_000

log = logging.getLogger(__name__)


class QuarantinedRecord(msgspec.Struct, frozen=True):
    """One record of the quarantine."""

    receiver: str
    tag: int  # of the receiver's spool
    sequence: int
    actor: str  # who died of it
    reason: str  # how, with the traceback if there was one
    put_ns: int  # nanoseconds since the epoch
    record: Record

    @property
    def name(self) -> str:
        return f"{self.receiver}-{self.tag}-{self.sequence}"

    def stand_in(self) -> Record:
        """Return the record that takes its place in the stream."""
        record = self.record
        text = f"a record of {len(record.body)} bytes was put aside: {self.actor} died of it (tocsin quarantine show {self.name})"
        return Record(record.observed_ns, record.source, "line", record.origin, text.encode())


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(QuarantinedRecord).decode


class QuarantineFolder:
    """The folder of the quarantine."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "quarantine"

    def put(self, receiver: str, tag: int, sequence: int, actor: str, reason: str, record: Record) -> QuarantinedRecord:
        """Put a record aside. Raises OSError as the disk does."""
        aside = QuarantinedRecord(receiver, tag, sequence, actor, reason, time.time_ns(), record)
        write_whole(self._folder / f"{aside.name}.msgpack", _encode(aside))
        files = sorted(self._folder.glob("*.msgpack"), key=lambda path: path.stat().st_mtime_ns)
        for oldest in files[: max(0, len(files) - MAX_FILES)]:
            log.error("the quarantine is full: %s is deleted", oldest)
            oldest.unlink(missing_ok=True)
        return aside

    def names(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob("*.msgpack"))

    def get(self, name: str) -> QuarantinedRecord:
        """Return one record. Raises LookupError if it is not there or cannot be read."""
        if name in self.names():  # a name is never a path
            with suppress(OSError, msgspec.MsgspecError):
                return _decode((self._folder / f"{name}.msgpack").read_bytes())
        raise LookupError(f"{name[:80]!r} is not in the quarantine, or cannot be read")

    def all(self) -> Iterator[QuarantinedRecord]:
        """Yield the records that can be read."""
        for name in self.names():
            with suppress(LookupError):
                yield self.get(name)

    def of_spool(self, tag: int) -> dict[int, QuarantinedRecord]:
        """Return the quarantined records of a spool, by sequence."""
        return {aside.sequence: aside for aside in self.all() if aside.tag == tag}

    def delete(self, name: str) -> None:
        """Throw a record away. Raises LookupError."""
        self.get(name)
        (self._folder / f"{name}.msgpack").unlink(missing_ok=True)
