"""Records, which receivers accept, and events, which the parser makes of them."""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

EntityType = Literal["user", "ipv4", "ipv6", "host", "domain", "url", "file", "process", "hash", "email"]
ENTITY_TYPES: tuple[str, ...] = get_args(EntityType)

Form = Literal["syslog", "line", "otlp", "journal"]

FOLDED = "message repeated "  # `3 times: [`, the message and `]`, as rsyslog writes it
MAX_WEIGHT = 1_000  # messages that one event can stand for


class Record(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """Raw bytes accepted by a receiver, before anybody has read them."""

    observed_ns: int
    source: str  # the receiver's kind, or the name that the configuration gives that input
    form: Form  # how `body` is to be read: one syslog message, one line, one packed OtlpRecord or JournalRecord
    origin: str  # where it came from: path of the file, or peer address (and a space and the name in its certificate)
    body: bytes
    cut: bool = False  # the body was longer than its receiver takes and its end is missing


class OtlpRecord(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """One OTLP LogRecord with the resource and scope that it came under (opentelemetry-proto, logs/v1)."""

    body: Any  # the AnyValue as plain data; bytes stay bytes
    time_ns: int  # 0: unknown
    observed_ns: int  # 0: unknown
    severity: int  # SeverityNumber, 0 to 24; 0: unspecified
    severity_text: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope: dict[str, Any]  # name, version and attributes
    trace_id: str  # hexadecimal, "" if absent
    span_id: str
    event_name: str = ""


class JournalRecord(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """One entry of the systemd journal (systemd.journal-fields(7))."""

    fields: list[tuple[str, bytes]]  # in the journal's order; a name may come several times
    cut: list[str]  # names of the fields whose value is not all there


class Entity(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A thing or person that an event names. `value` is canonical: the same thing always has the same spelling."""

    type: EntityType
    value: str
    uuid: str


class Event(msgspec.Struct, array_like=True, gc=False):
    """A record that has been read. Times are nanoseconds since the epoch."""

    id: str  # ULID
    observed_ns: int
    event_ns: int
    source: str
    severity: int  # OpenTelemetry SeverityNumber, 1 to 24
    message: str
    template_id: int  # for life; frames show `drain_` and at least four digits
    template: str  # as it read when this event was parsed
    entities: list[Entity]
    fields: dict[str, Any]  # header and message fields by name, plain data


def weight_of(event: Event) -> int:
    """Return how many messages an event stands for: 1, but for what a syslog daemon has folded.

    The parser notes it as `repeated`; a field of that name in any other message is its writer's own.
    """
    if not event.message.startswith(FOLDED):
        return 1
    repeated = event.fields.get("repeated")
    return max(1, min(repeated, MAX_WEIGHT)) if type(repeated) is int else 1


class Attack(msgspec.Struct, gc=False, frozen=True):
    """The place of an event or alert in MITRE ATT&CK."""

    tactic: str  # `credential-access`
    technique: str  # `T1110.001`
