"""The log of people's actions: each appended once by its id, and read in the order of the commit."""

from __future__ import annotations

import apsw
import msgspec

from actors.storage.queries import StoredAction
from protocol.identity import decode_ulid
from protocol.messages import Action, ActionDone, encode

MAX_BYTES = 64 << 10  # of one action
ACTIONS_SINCE = 3  # layout of the main file

_decode_action = msgspec.msgpack.Decoder(Action).decode


def append(main: apsw.Connection, action: Action, now_ns: int, *, after: int) -> ActionDone:
    """Commit an action, unless it is there or has a fault. `after`: its sequence is greater than this. Raises apsw.Error."""
    body = encode(action)
    if fault := _fault_of(action, body):
        return ActionDone(action.id, refusal=fault)
    with main:
        main.execute(
            "insert or ignore into actions select max(coalesce(max(seq), 0), ?) + 1, ?, ?, ?, ?, ?, ? from actions",
            (after, action.id, now_ns, action.who, action.verb, action.subject, body),
        )
        sequence, time_ns, stored = main.execute("select seq, ts_ns, body from actions where id = ?", (action.id,)).get
    if _decode_action(stored) != action:
        return ActionDone(action.id, refusal=f"another action has the id {action.id}: give this one an id of its own")
    return ActionDone(action.id, sequence, time_ns)


def _fault_of(action: Action, body: bytes) -> str:
    """Return the fault of an action, "" if there is none."""
    try:
        decode_ulid(action.id)
    except ValueError as error:
        return str(error)
    for name in ("who", "door", "verb"):
        if not getattr(action, name):
            return f"{name} is empty"
    return f"it has more than {MAX_BYTES} bytes" if len(body) > MAX_BYTES else ""


def read(main: apsw.Connection, after: int, limit: int) -> list[StoredAction]:
    """Return the actions behind a sequence, oldest first."""
    rows = main.execute("select seq, ts_ns, body from actions where seq > ? order by seq limit ?", (after, limit))
    return [StoredAction(sequence, time_ns, _decode_action(body)) for sequence, time_ns, body in rows]
