"""The traces of a dead actor: the batch that it was handling, and its traceback if it had one.

The batch is written into a small file before it is handled, in the private runtime directory, and is there whatever ends
the process: an exception, a crash in a library, or the supervisor because it hung. One write of some fifty bytes into
the page cache a batch, about 2 µs; nothing is forced to disk, for what ends the machine is nobody's poison.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from protocol.messages import BatchKey

MAX_FAILURE_CHARACTERS = 16_384  # of a traceback; its end says more than its beginning

_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], BatchKey | None] = msgspec.msgpack.Decoder(BatchKey | None).decode


class Trace:
    """The trace of one actor, written by itself."""

    def __init__(self, runtime_dir: Path, actor: str) -> None:
        self._fd = os.open(_trace_path(runtime_dir, actor), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.write(None)

    def write(self, key: BatchKey | None) -> None:
        """Write down the batch that is being handled now; a disk that refuses is ignored."""
        packed = _encode(key)
        with suppress(OSError):
            os.pwrite(self._fd, len(packed).to_bytes(2) + packed, 0)


def _trace_path(runtime_dir: Path, actor: str) -> Path:
    return runtime_dir / f"{actor}.trace"


def _failure_path(runtime_dir: Path, actor: str) -> Path:
    return runtime_dir / f"{actor}.failure"


def take_trace(runtime_dir: Path, actor: str) -> BatchKey | None:
    """Return the batch that an actor was handling when it died, if any; the next that dies may not come to write its own."""
    with suppress(OSError, msgspec.MsgspecError):
        raw = _trace_path(runtime_dir, actor).read_bytes()
        _trace_path(runtime_dir, actor).unlink()
        return _decode(raw[2 : 2 + int.from_bytes(raw[:2])])
    return None


def write_failure(runtime_dir: Path, actor: str, failure: str) -> None:
    """Leave a traceback for the supervisor."""
    with suppress(OSError):
        _failure_path(runtime_dir, actor).write_text(failure[-MAX_FAILURE_CHARACTERS:], "utf-8", "backslashreplace")


def take_failure(runtime_dir: Path, actor: str) -> str:
    """Return the traceback that an actor left, if any; it is read once."""
    with suppress(OSError):
        failure = _failure_path(runtime_dir, actor).read_text("utf-8", "replace")
        _failure_path(runtime_dir, actor).unlink()
        return failure
    return ""
