"""From query strings to queries, and from stored objects to JSON. Pure but for the reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar
from uuid import UUID

import msgspec

from actors.storage.errors import DamagedStore, NewerStore
from actors.storage.queries import AlertQuery, EventQuery, UnknownId
from actors.storage.store import ReadableStore
from protocol.clock import format_time, parse_time
from protocol.frames import alert_detail, alert_object, event_object, state_object
from protocol.identity import decode_ulid, template_name, template_number

MAX_LIMIT = 1_000
MAX_NAME = 256
MAX_INTEGER = (1 << 63) - 1  # that SQLite can compare
T = TypeVar("T")


class Problem(Exception):
    """An answer that is an error: RFC 9457 problem details."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail

    def body(self) -> bytes:
        return msgspec.json.encode(
            {"type": "about:blank", "status": self.status, "title": self.title, "detail": self.detail}
        )


class Page(msgspec.Struct):
    """The objects of one page under their name, and the cursor of the next page."""

    name: str
    objects: list[Any]
    next_cursor: int | None

    def body(self) -> bytes:
        cursor = None if self.next_cursor is None else f"c{self.next_cursor}"
        return msgspec.json.encode({self.name: self.objects, "next_cursor": cursor})


FIELD = "field."  # and the name of a field
FIELDS = "field.NAME"


class Parameters:
    """The query string of one request; every error names the parameter and the values that it takes."""

    def __init__(self, given: Mapping[str, str], known: frozenset[str]) -> None:
        for name in given:
            if name not in known and not (name.startswith(FIELD) and FIELDS in known):
                raise Problem(400, "Unknown parameter", f"{name[:40]!r} is not one of {', '.join(sorted(known))}")
        self._given = given

    def take(self, name: str, read: Callable[[str], T], takes: str) -> T | None:
        text = self._given.get(name)
        if text is None:
            return None
        try:
            return read(text)
        except (ValueError, OverflowError) as error:
            raise Problem(400, "Bad parameter", f"{name} takes {takes}, not {text[:80]!r}") from error

    def fields(self) -> tuple[tuple[str, str], ...]:
        """Return the fields that are asked for, and their values."""
        wanted = tuple((name.removeprefix(FIELD), value) for name, value in self._given.items() if name.startswith(FIELD))
        if any(not 0 < len(name) <= MAX_NAME for name, _ in wanted):
            raise Problem(400, "Bad parameter", f"{FIELDS} takes a name of 1 to {MAX_NAME} characters")
        return wanted

    def limit(self) -> int:
        return self.take("limit", _number(1, MAX_LIMIT), f"a number from 1 to {MAX_LIMIT}") or 100

    def order(self) -> Literal["asc", "desc"]:
        return self.take("order", _order, "asc or desc") or "asc"

    def cursor(self) -> int | None:
        return self.take("cursor", _cursor, "a next_cursor of the page before")

    def time(self, name: str) -> int | None:
        return self.take(name, _time, "an RFC 3339 time such as 2026-05-13T15:30:00Z")

    def since(self, read_id: Callable[[str], str]) -> tuple[int | None, str | None]:
        """Return a time or an id."""
        takes = "an RFC 3339 time such as 2026-05-13T15:30:00Z, or an id"
        since = self.take("since", lambda text: _time_or_id(text, read_id), takes)
        return since if since is not None else (None, None)


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return read


def _ratio(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError
    return value


def _order(text: str) -> Literal["asc", "desc"]:
    if text == "asc":
        return "asc"
    if text == "desc":
        return "desc"
    raise ValueError


def _cursor(text: str) -> int:
    if not text.startswith("c"):
        raise ValueError
    return _number(0, 1 << 62)(text[1:])


def _time(text: str) -> int:
    time_ns = parse_time(text.replace(" ", "+"))  # a plus sign that nobody escaped
    return min(max(time_ns, -MAX_INTEGER), MAX_INTEGER)


def _template(text: str) -> int:
    return min(template_number(text), MAX_INTEGER)


def _time_or_id(text: str, read_id: Callable[[str], str]) -> tuple[int | None, str | None]:
    try:
        return None, read_id(text)
    except ValueError:
        return _time(text), None


def _event_id(text: str) -> str:
    decode_ulid(text)
    return text


def _alert_id(text: str) -> str:
    if not text.startswith("alr_"):
        raise ValueError
    decode_ulid(text.removeprefix("alr_"))
    return text


def _uuid(text: str) -> str:
    return str(UUID(text))


EVENT_PARAMETERS = frozenset(
    {"since", "until", "source", "severity", "template", "entity", "min_score", "text", FIELDS, "cursor", "order", "limit"}
)
ALERT_PARAMETERS = frozenset({"since", "until", "source", "entity", "cursor", "order", "limit"})
TEMPLATE_PARAMETERS = frozenset({"cursor", "limit"})


def get_events(reader: ReadableStore, given: Mapping[str, str]) -> Page:
    parameters = Parameters(given, EVENT_PARAMETERS)
    since_ns, after_id = parameters.since(_event_id)
    query = EventQuery(
        since_ns=since_ns,
        after_id=after_id,
        until_ns=parameters.time("until"),
        source=parameters.take("source", str, "a name"),
        severity=parameters.take("severity", _number(1, 24), "a SeverityNumber from 1 to 24"),
        template_id=parameters.take("template", _template, "a template id such as drain_0042"),
        entity=parameters.take("entity", _uuid, "a UUID"),
        min_score=parameters.take("min_score", _ratio, "a number from 0 to 1"),
        text=parameters.take("text", str, "words"),
        fields=parameters.fields(),
        cursor=parameters.cursor(),
        order=parameters.order(),
        limit=parameters.limit(),
    )
    events, cursor = _found(lambda: reader.events(query))
    return Page("events", [event_object(event) for event in events], cursor)


def get_event(reader: ReadableStore, event_id: str) -> bytes:
    """Return an event with its fields and the receiver that took it in."""
    try:
        _event_id(event_id)
    except ValueError as error:
        raise Problem(400, "Bad parameter", f"{event_id[:80]!r} is not the id of an event") from error
    judged = _found(lambda: reader.event(event_id))
    more = {"receiver": _found(lambda: reader.receiver(event_id)), "fields": judged.event.fields}
    return msgspec.json.encode(msgspec.structs.asdict(event_object(judged)) | more)


def get_alerts(reader: ReadableStore, given: Mapping[str, str]) -> Page:
    parameters = Parameters(given, ALERT_PARAMETERS)
    since_ns, after_id = parameters.since(_alert_id)
    query = AlertQuery(
        since_ns=since_ns,
        after_id=after_id,
        until_ns=parameters.time("until"),
        source=parameters.take("source", str, "a name"),
        entity=parameters.take("entity", _uuid, "a UUID"),
        cursor=parameters.cursor(),
        order=parameters.order(),
        limit=parameters.limit(),
    )
    alerts, cursor = _found(lambda: reader.alerts(query))
    return Page("alerts", [alert_object(alert) for alert in alerts], cursor)


def get_alert(reader: ReadableStore, alert_id: str) -> bytes:
    """Return an alert with its explanation and its state."""
    alert = _found(lambda: reader.alert(alert_id))
    state = _found(lambda: reader.alert_states([alert]))[alert_id]
    return msgspec.json.encode(alert_detail(alert) | {"state": state_object(state)})


def get_entity(reader: ReadableStore, uuid: str) -> bytes:
    """Return an entity with its newest events and alerts."""
    try:
        canonical = _uuid(uuid)
    except ValueError as error:
        raise Problem(400, "Bad parameter", f"{uuid[:80]!r} is not a UUID") from error
    known = _found(lambda: reader.entity(canonical))
    events, _ = _found(lambda: reader.events(EventQuery(entity=canonical, order="desc", limit=50)))
    alerts, _ = _found(lambda: reader.alerts(AlertQuery(entity=canonical, order="desc", limit=50)))
    return msgspec.json.encode(
        {
            "uuid": canonical,
            "type": known["entity"].type,
            "value": known["entity"].value,
            "event_count": known["events"],
            "first_seen": format_time(known["first"]),
            "last_seen": format_time(known["last"]),
            "events": [event_object(event) for event in events],
            "alerts": [alert_object(alert) for alert in alerts],
        }
    )


def get_templates(reader: ReadableStore, given: Mapping[str, str]) -> Page:
    parameters = Parameters(given, TEMPLATE_PARAMETERS)
    rows, cursor = _found(lambda: reader.templates(cursor=parameters.cursor(), limit=parameters.limit()))
    objects = [
        {
            "id": template_name(number),
            "template": template,
            "event_count": events,
            "first_seen": format_time(first_ns),
            "last_seen": format_time(last_ns),
        }
        for number, template, events, first_ns, last_ns in rows
    ]
    return Page("templates", objects, cursor)


def check_layout(reader: ReadableStore) -> None:
    """Raise Problem if a newer program wrote the store."""
    _found(reader.check_layout)


def _found(read: Callable[[], T]) -> T:
    try:
        return read()
    except UnknownId as error:
        raise Problem(404, "Not found", f"nothing is stored under {str(error)[:80]!r}") from error
    except NewerStore as error:
        raise Problem(503, "Newer store", f"the history cannot be read: {error}") from error
    except DamagedStore as error:
        raise Problem(503, "Damaged", f"alerts and templates cannot be read now: {error}") from error
