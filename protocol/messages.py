"""Every message that crosses an edge between two actors.

On the wire a message is multipart: one small header (a msgpack map with its `type`) and, for batches, raw frames after
it: the events as one msgpack array that is passed on undecoded, and numeric columns. `docs/architecture.md` lists who
sends what to whom.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, get_args

import msgspec

from protocol.edges import Outputs
from protocol.findings import Alert, Finding, Folded
from protocol.records import Attack, Event, Record

Frame: TypeAlias = bytes | memoryview


LEAP = 1 << 24  # sequences that a spool passes over after a loss: more than were ever handed on and not on disk; of 1 << 48


class BatchKey(msgspec.Struct, frozen=True, array_like=True):
    """Names a batch: which receiver's spool, which sequences, and the how-manieth time it is sent."""

    receiver: str
    tag: int  # of the receiver's spool
    base: int  # sequence that the receiver knows to be committed
    first: int  # sequence of the first record
    count: int
    attempt: int = 0
    before: int = 0  # records that the spool ever accepted before the first of these

    @property
    def last(self) -> int:
        return self.first + self.count - 1


def account_name(receiver: str, tag: int) -> str:
    """Return the name of a spool in the recorder's account: a receiver whose spool was deleted has begun another."""
    return f"{receiver}:{tag}"


class Header(msgspec.Struct, tag_field="type"):
    """The first part of every message."""


class Records(Header, tag="records"):
    """Receiver to parser. Frames: one msgpack array of `Record`."""

    key: BatchKey


class Events(Header, tag="events"):
    """Parser to detectors. Frames: the columns; for sigma, then one msgpack array of `Event`."""

    key: BatchKey
    sources: tuple[str, ...]


class Parsed(Header, tag="parsed"):
    """Parser to scorer. Frames: the columns, then one msgpack array of `Event`."""

    key: BatchKey
    sources: tuple[str, ...]
    detectors: tuple[str, ...]  # those that were given this batch: the scorer waits for their answers


class Scored(Header, tag="scored"):
    """Detector to scorer. Frames: raw, expected, seen (float32 each)."""

    key: BatchKey
    detector: str
    unit: str
    warm: bool


class Findings(Header, tag="findings"):
    """Detector to scorer: findings of its clock."""

    findings: tuple[Finding, ...]


class Matched(Header, tag="matched"):
    """Sigma to scorer: matches and alerts of rules and correlations for a batch."""

    key: BatchKey
    alerts: tuple[Alert, ...] = ()
    attacks: dict[int, Attack] = {}  # index of the event in the batch to its place in ATT&CK


class Drafted(Header, tag="drafted"):
    """Anyone who rings to alerts: drafts that belong to no batch, or that missed theirs. They may come more than once."""

    alerts: tuple[Alert, ...]


class Judged(Header, tag="judged"):
    """Scorer to alerts to recorder. Frames, if it has a key: events, score and threshold (float32 each)."""

    key: BatchKey | None
    alerts: tuple[Alert, ...] = ()
    attacks: dict[int, Attack] = {}  # index of the event in the batch to its place in ATT&CK
    folded: tuple[Folded, ...] = ()  # drafts that the alerts actor took for repetitions


class Committed(Header, tag="committed"):
    """Recorder to broadcaster to front end. Frames: one msgpack array of `JudgedEvent`."""

    first: int  # commit sequence of the first event; the others follow without a gap
    count: int
    alerts: tuple[Alert, ...] = ()
    last_alert: int = 0  # commit sequence of the newest alert, which is the last of `alerts` if there are any


class Acknowledged(Header, tag="acknowledged"):
    """Recorder to receiver: everything of this spool up to the sequence is committed."""

    tag: int
    sequence: int


class Action(Header, tag="action"):
    """Front end to recorder: an action of a person. It is committed once, however often it is sent."""

    id: str  # ULID; the same for every attempt
    who: str
    door: str  # through which it came: `rest`
    verb: str
    subject: str  # id of what it is done to, "" if of nothing
    arguments: dict[str, Any] = {}  # plain data


class ActionDone(Header, tag="action_done"):
    """Recorder to front end: an action is committed, or refused."""

    id: str  # of the action
    sequence: int = 0  # in the log of actions; 0: refused
    time_ns: int = 0  # when it was committed, at the first attempt
    refusal: str = ""  # why, for people


class Notice(Header, tag="notice"):
    """Any actor to the internal receiver: an observation of the daemon itself, to be an event of the stream."""

    kind: str  # `udp_drops`, `actor_died`: a word that rules can name
    text: str  # for people, without hostile text
    time_ns: int  # nanoseconds since the epoch
    severity: int = 13  # SeverityNumber
    fields: dict[str, Any] = {}


class Status(Header, tag="status"):
    """Supervisor to broadcaster to front end: the heartbeat frame, and the health of every actor behind it."""

    ts_ns: int
    throughput_eps: int
    queue_depth: int
    queue_max: int
    receivers: dict[str, str]
    detectors: dict[str, str]
    health: dict[str, Any]


class Passed(msgspec.Struct, array_like=True, frozen=True):
    """The receiving end's count of one sender."""

    incarnation: int  # of the sender
    number: int  # of the last message that came from this incarnation; each numbers its messages from 1 on
    handled: int  # messages that came from this sender, of whatever incarnation
    gaps: int  # messages that are missing between two that came, from one living process to another


class SpoolAccount(msgspec.Struct, array_like=True, frozen=True):
    """A receiver's side of its account with the store, in records over the life of its spool (`daemon/ledger.py`)."""

    tag: int  # of the spool
    accepted: int
    acknowledged: int
    damaged: int = 0  # accepted, and then lost on disk
    is_unsure: bool = False  # the store may hold records that the spool has forgotten


class EdgeCounts(msgspec.Struct, array_like=True, frozen=True):
    """The counts of one incarnation along one edge."""

    messages: int
    waits: int  # sends that found the edge full and waited
    dropped: int  # messages that found it full and were not sent


class Beat(Header, tag="beat"):
    """Actor to supervisor, several times a second, from the actor's own loop."""

    actor: str
    incarnation: int
    state: str  # starting, ok, degraded, drained
    note: str
    counters: dict[str, int]
    gauges: dict[str, int]
    spool: SpoolAccount | None = None  # of a receiver
    committed: dict[str, int] = {}  # of the recorder: {account of a spool: records stored}
    edges: dict[str, EdgeCounts] = {}  # {actor: what was sent to it by this incarnation}
    passed: dict[str, Passed] = {}  # {actor: what came from it}


class Command(Header, tag="command"):
    """Supervisor to actor: `drain` (finish and exit), `resend` (something downstream was lost)."""

    verb: str


class Rewire(Header, tag="rewire"):
    """Supervisor to actor: the edges that lead out of it from now on; another configuration has other actors."""

    outputs: Outputs


class Isolate(Header, tag="isolate"):
    """Supervisor to receiver: an actor died of one of these records; send each in a batch of its own."""

    tag: int
    first: int
    last: int


class Quarantine(Header, tag="quarantine"):
    """Supervisor to receiver: an actor died of these records more than once; put them aside, and a word in their place."""

    tag: int
    first: int
    last: int
    actor: str
    reason: str  # how it died, with its traceback if it left one


class Request(Header, tag="request"):
    """Command line to supervisor: `restart ACTOR`, `retry RECORD` (of the quarantine), `reload`."""

    verb: str
    name: str  # of the actor or the record, "" if the verb takes none
    reply_to: str


class Reply(Header, tag="reply"):
    """Supervisor to command line."""

    ok: bool
    text: str


Message: TypeAlias = (
    Records
    | Events
    | Parsed
    | Scored
    | Findings
    | Matched
    | Drafted
    | Judged
    | Committed
    | Acknowledged
    | Action
    | ActionDone
    | Notice
    | Status
    | Beat
    | Command
    | Rewire
    | Isolate
    | Quarantine
    | Request
    | Reply
)


class JudgedEvent(msgspec.Struct, array_like=True, gc=False):
    """An event as it is stored and shown."""

    event: Event
    score: float  # [0, 1]
    threshold: float  # [0, 1]
    attack: Attack | None


_encoder = msgspec.msgpack.Encoder()
_headers: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_records = msgspec.msgpack.Decoder(list[Record])
_events = msgspec.msgpack.Decoder(list[Event])
_judged = msgspec.msgpack.Decoder(list[JudgedEvent])
_judged_one = msgspec.msgpack.Decoder(JudgedEvent)

encode = _encoder.encode
MESSAGES: dict[str, type[Header]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Message)}  # {type: class}


def type_name(kind: type[Header]) -> str:
    """Return the `type` in the header of such a message."""
    return str(kind.__struct_config__.tag)


decode_records = _records.decode
decode_events = _events.decode
decode_judged = _judged.decode
decode_judged_one = _judged_one.decode


def encode_message(header: Header, frames: Sequence[Frame] = ()) -> list[Frame]:
    """Return the parts of a multipart message."""
    return [_encoder.encode(header), *frames]


def decode_message(parts: Sequence[Frame]) -> tuple[Message, Sequence[Frame]]:
    """Return the header and the frames behind it. Raises msgspec.DecodeError or ValidationError."""
    return _headers.decode(parts[0]), parts[1:]


def join_array(packed: Sequence[bytes]) -> bytes:
    """Return one msgpack array of items that are packed already (MessagePack specification, array format family)."""
    n = len(packed)
    if n < 16:
        head = bytes([0x90 | n])
    elif n < 1 << 16:
        head = b"\xdc" + n.to_bytes(2, "big")
    else:
        head = b"\xdd" + n.to_bytes(4, "big")
    return head + b"".join(packed)
