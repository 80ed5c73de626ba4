from __future__ import annotations

from protocol.findings import Alert
from protocol.identity import encode_ulid, entity_uuid, event_number
from protocol.messages import BatchKey, JudgedEvent
from protocol.records import Entity, Event

DAY_NS = 86_400 * 1_000_000_000
NOON_NS = 1_778_673_600 * 1_000_000_000  # 2026-05-13T12:00:00Z


def make_event(tag: int, sequence: int, *, message: str = "", source: str = "syslog", **fields: object) -> JudgedEvent:
    event_ns = NOON_NS + sequence * 1_000_000
    user = f"user{sequence % 3}"
    event = Event(
        encode_ulid(event_number(event_ns // 1_000_000, tag, sequence)), event_ns, event_ns, source, 1 + sequence % 24,
        message or f"request {sequence} of {tag}", 1 + sequence % 5, "request <*> of <*>",
        [Entity("user", user, entity_uuid("user", user))], {"host": f"web{sequence % 2}", "app": "nginx", **fields},
    )  # fmt: skip
    return JudgedEvent(event, (sequence % 10) / 10, 0.5, None)


def make_batch(
    tag: int, first: int, count: int, *, base: int = 0, before: int | None = None
) -> tuple[BatchKey, list[JudgedEvent]]:
    events = [make_event(tag, sequence) for sequence in range(first, first + count)]
    return BatchKey("syslog", tag, base, first, count, 0, first - 1 if before is None else before), events


def make_alert(number: int) -> Alert:
    user = Entity("user", "root", entity_uuid("user", "root"))
    return Alert(f"alr_{number}", NOON_NS + number, "rule", "sigma", "high", "title", [user], None, f"sigma:rule:{number}")
