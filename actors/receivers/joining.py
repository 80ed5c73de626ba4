"""Records that are written in several lines of a file, put together again where they are read. Pure.

Three kinds: what a container engine has cut (Kubernetes CRI marks the parts `P` and the last one `F`; docker's json-file
leaves out the line end), stack traces and other records that go on in further lines (indented, `Caused by:`, `Traceback`,
goroutines, closing brackets), and whatever does not match a pattern of one's own for the first line of a record.

A record of several lines has line ends in it: the first is its head, the parser keeps the others as the field `trace`.
Lines of the two streams of a container are told apart. What is open at the end of what is there waits for its next line
`LINGER_S`, one that has gone on already `LINGER_JOINED_S`; a record has at most `MAX_LINES` lines and `MAX_BYTES`, and what is
beyond begins another one. No line is dropped.

State: at most one open record for each stream; `held` says from where a file has to be read again if it is lost. A record may
begin in one file and end in the next one under the same path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from actors.receivers.tailing import MAX_LINE_BYTES, Line

MAX_LINES = 512
MAX_BYTES = MAX_LINE_BYTES
LINGER_S = 0.3
LINGER_JOINED_S = 1.0

_CRI = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]{8,18}(?:Z|[+-]\d\d:\d\d) (stdout|stderr) ([FP])(?::\S{0,32})? ?")
_DOCKER = re.compile(
    rb'\{"log":"((?:[^"\\]|\\.)*)","stream":"(stdout|stderr)"(?:,"attrs":\{[^{}]*\})?,"time":"[^"]{10,40}"\}$'
)
_ENDED = b"\\n"  # the escape, within the object

# How a line begins that goes on what the line before has begun, whatever writes it.
_GOES_ON = re.compile(
    rb"[ \t]+(?!(?:19|20)\d\d[-/.]|\d\d?[-/:.]\d\d)\S|[ \t]*[}\])]+[,;]?$"
    rb"|Caused by: |Suppressed: |Traceback \(most recent call last\):|During handling of the above exception|"
    rb"The above exception was the direct cause| ?---> |--- End of |Stack trace:|stack backtrace:|note: run with `RUST_BACKTRACE|"
    rb"goroutine \d+ |created by |\[signal |exit status \d|#\d{1,4} |\.\.\. \d+ (?:more|common frames)"
)
# Lines that go on only behind a line that is neither: the class of an exception, and the frame of a goroutine.
_EXCEPTION = re.compile(
    rb"(?:[A-Za-z_$][\w$]{0,63}\.){0,16}[A-Za-z_][\w$]{0,95}?"
    rb"(?:Exception|Error|Throwable|Warning|Interrupt|Exit|Failure)(?:$|:(?: |$)|\()"
)
_GO_FRAME = re.compile(rb"[\w./*()\[\]-]+\.[\w.*()\[\]-]+\(.{0,256}\)$")


class Joined(msgspec.Struct, frozen=True):
    """A record, and of how many lines it was made."""

    body: bytes
    cut: bool
    lines: int


class _Open:
    """A record that may go on."""

    def __init__(self, line: Line, payload: bytes, key: str) -> None:
        self.key = key
        self.head = line.body
        self.parts: list[bytes] = []
        self.payload = payload  # of the last line, without what a container engine writes before it
        self.start = line.start
        self.cut = line.cut
        self.size = len(line.body)
        self.lines = 1
        self.pieces = 1  # lines of the file
        self.is_of_go = payload.startswith((b"panic: ", b"fatal error: ", b"goroutine "))
        self.is_partial = False  # the engine has cut the last line

    def joined(self) -> Joined:
        return Joined(b"\n".join([self.head, *self.parts]), self.cut, self.pieces)


class Joiner:
    """Joins the lines of one file. `first` matches the first line of a record, where the administrator says how it looks."""

    def __init__(self, first: Any = None) -> None:
        self._first = first
        self._open: dict[bytes, _Open] = {}

    def __len__(self) -> int:
        """Return how many records wait for their next line."""
        return len(self._open)

    def held(self) -> dict[str, int]:
        """Return the offset of the first line that is not handed on, for each file that has one."""
        starts: dict[str, int] = {}
        for each in self._open.values():
            starts[each.key] = min(each.start, starts.get(each.key, each.start))
        return starts

    @property
    def linger_s(self) -> float:
        """Return for how long what is open may wait for its next line."""
        going_on = any(each.pieces > 1 or each.is_partial for each in self._open.values())
        return LINGER_JOINED_S if going_on else LINGER_S

    def goes_on_with(self, rest: bytes) -> bool:
        """Tell whether a line of which this is the beginning belongs to what is open."""
        stream, payload, _ = _unwrap(rest)
        open_ = self._open.get(stream)
        return bool(rest) and open_ is not None and (open_.is_partial or self._goes_on(open_, payload))

    def feed(self, lines: Sequence[Line], key: str) -> list[Joined]:
        """Take lines of a file; return the records that are complete with them, in order."""
        return [record for line in lines for record in self._take(line, key)]

    def flush(self) -> list[Joined]:
        """Return what is open as it is."""
        records = [each.joined() for each in self._open.values()]
        self._open.clear()
        return records

    def _take(self, line: Line, key: str) -> Iterator[Joined]:
        stream, payload, is_partial = _unwrap(line.body)
        open_ = self._open.get(stream)
        if open_ is not None and open_.size + len(line.body) <= MAX_BYTES and open_.lines < MAX_LINES:
            if open_.is_partial:
                _append_part(open_, line, payload, is_partial)
                return
            if self._goes_on(open_, payload):
                open_.parts.append(payload)
                open_.payload, open_.is_partial = payload, is_partial
                open_.size += len(payload) + 1
                open_.lines += 1
                open_.pieces += 1
                open_.cut |= line.cut
                return
        if open_ is not None:
            yield open_.joined()
        new = self._open[stream] = _Open(line, payload, key)
        new.is_partial = is_partial

    def _goes_on(self, open_: _Open, payload: bytes) -> bool:
        if self._first is not None:
            return not self._first.search(payload)
        if _GOES_ON.match(payload):
            return True
        if _EXCEPTION.match(payload):
            return open_.lines == 1 or open_.payload[:1] in (b" ", b"\t")
        return open_.lines > 1 and open_.is_of_go and _GO_FRAME.match(payload) is not None


class Joiners:
    """The joiners of all files of a receiver, by the keys of the files."""

    def __init__(self, first: Any = None, *, joins: bool = True) -> None:
        """`joins`: False hands on each line as a record."""
        self._first, self._joins = first, joins
        self._of: dict[str, Joiner] = {}

    def __len__(self) -> int:
        """Return how many records wait for their next line."""
        return sum(map(len, self._of.values()))

    def join(self, lines: Sequence[Line], key: str, *, is_last: bool) -> tuple[list[Joined], set[str]]:
        """Return the records that lines of a file complete, and the files of which more is handed on by them.

        `is_last`: nothing that comes belongs to them.
        """
        if not self._joins:
            return [Joined(line.body, line.cut, 1) for line in lines], {key}
        joiner = self._of.get(key)
        if joiner is None:
            joiner = self._of[key] = Joiner(self._first)
        before = joiner.held()
        records = joiner.feed(lines, key)
        if is_last:
            records += joiner.flush()
        return records, {key, *before, *joiner.held()}

    def held(self) -> dict[str, int]:
        """Return the offset of the first line that is not handed on, for each file that has one."""
        return {key: start for joiner in self._of.values() for key, start in joiner.held().items()}

    def linger_s(self, key: str, rest: bytes) -> float | None:
        """Return how long what is open of a file may wait; None if nothing is, or if the line that has begun goes on with it."""
        joiner = self._of.get(key)
        return joiner.linger_s if joiner and not joiner.goes_on_with(rest) else None

    def go_on(self, old: str, new: str) -> None:
        """Let a record go on in the file that has taken the place of its own."""
        if old in self._of:
            self._of[new] = self._of.pop(old)

    def forget(self, key: str) -> None:
        self._of.pop(key, None)


def _unwrap(body: bytes) -> tuple[bytes, bytes, bool]:
    """Return stream, payload and whether a container engine has cut the line; a plain line is of the stream ""."""
    if body[:2] == b"20" and (cri := _CRI.match(body)):
        return cri[1], body[cri.end() :], cri[2] == b"P"
    if body.startswith(b'{"log":"') and (docker := _DOCKER.match(body)):
        text: bytes = docker[1]
        ended = text.endswith(_ENDED)
        payload = text.removesuffix(_ENDED)
        return docker[2], payload.replace(b"\\t", b"\t").replace(b'\\"', b'"'), not ended
    return b"", body, False


def _append_part(open_: _Open, line: Line, payload: bytes, is_partial: bool) -> None:
    """Put the next part of a line that a container engine has cut behind the one before, inside its object if it has one."""
    docker = _DOCKER.match(open_.head) if open_.head.startswith(b"{") and not open_.parts else None
    following = _DOCKER.match(line.body) if docker else None
    if docker and following:
        open_.head = open_.head[: docker.end(1)] + following[1] + open_.head[docker.end(1) :]
    elif open_.parts:
        open_.parts[-1] += payload
    else:
        open_.head += payload
    if not is_partial and not open_.parts and (cri := _CRI.match(open_.head)):
        open_.head = open_.head[: cri.start(2)] + b"F" + open_.head[cri.end(2) :]
    open_.is_partial = is_partial
    open_.payload += payload
    open_.size += len(payload)
    open_.cut |= line.cut
    open_.pieces += 1
