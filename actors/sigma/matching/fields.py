"""An event's fields by the names that rules use. Pure.

What the parser found stands under its own names. Besides:
- nested data (bodies and attributes of OTLP, structured data, JSON lines) under dotted and under plain names, events of
  Windows under the names of their data; where two say the same name, the outer one is believed;
- the names of Sigma's taxonomy for requests, audit records, Sysmon for Linux, queries of names, packets and commands
  (taxonomy appendix 2.1), each worked out only where its sign is there;
- of every event, where the message says so: `user`, `src_ip` (or `src_host`), `src_port`, `action` and `outcome`, so that
  one rule holds for all services.

State: a cache of names. Cost: about 5 us for a line of syslog, 10 to 15 us for requests and audit records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from actors.sigma.matching.mapping.access import add_access, add_request, add_status_outcome
from actors.sigma.matching.mapping.audit import add_audit, add_laurel
from actors.sigma.matching.mapping.commands import COMMAND_APPS, add_command
from actors.sigma.matching.mapping.names import add_known_names
from actors.sigma.matching.mapping.nested import flat_windows, leaves_of, windows_event
from actors.sigma.matching.mapping.network import NAME_SERVERS, add_asa, add_filterlog, add_packet, add_query
from actors.sigma.matching.mapping.origin import add_origin
from actors.sigma.matching.mapping.outcome import outcome_of
from actors.sigma.matching.mapping.sysmon import add_event
from protocol.records import FOLDED, Event

MAX_REASON = 256
_REASONS = (
    "error", "err", "reason", "error_message", "errorMessage", "failure_reason", "action", "event", "event_type", "eventType",
    "event.action", "type",
)  # fmt: skip
# What an event of Windows says by its number (Microsoft, security auditing).
_WINDOWS = {"4624": ("login", "success"), "4625": ("login", "failure"), "4771": ("login", "failure")}
_STATED = {"false": "failure", "no": "failure", "0": "failure", "true": "success", "yes": "success", "1": "success"}
MAX_FIELDS = 512  # of one event that rules see
_PLAIN_APPS = frozenset(("sshd", "sshd-session", "systemd", "systemd-logind", "su", "login", "passwd", "useradd"))
_BY_APP: dict[Any, Callable[[dict[str, Any], str], None]] = {
    **dict.fromkeys(NAME_SERVERS, add_query),
    **dict.fromkeys(COMMAND_APPS, add_command),
    "filterlog": add_filterlog,
}


def fields_of(event: Event) -> dict[str, Any]:
    """Return what rules see of an event."""
    fields = event.fields.copy()
    if dict in map(type, fields.values()):
        fields = {name: value for name, value in fields.items() if type(value) is not dict}
        _add_nested(fields, event.fields)
    message = event.message
    if "repeated" in fields and message.startswith(FOLDED):
        message = message.partition("[")[2].strip(" ]")
    fields.setdefault("message", message)
    if "EventID" in fields and "Channel" in fields:  # Windows says in fields what others say in words
        add_known_names(fields)
        _state_outcome(fields, *_WINDOWS.get(str(fields["EventID"]), ("", "")))
        return fields
    words = _add_kind(fields, message)
    add_origin(fields, message, event.entities)
    if words is not message or "outcome" not in fields:
        _state_outcome(fields, *outcome_of(_with_reason(fields, words)))
    return fields


def _add_nested(fields: dict[str, Any], nested: Mapping[str, Any]) -> None:
    for name, value in nested.items():
        if type(value) is dict:
            for path, leaf in leaves_of(name, value):
                if len(fields) >= MAX_FIELDS:
                    return
                fields.setdefault(path, leaf)
    if (windows := windows_event(nested)) is not None:
        for path, leaf in flat_windows(windows):
            fields.setdefault(path, leaf)
    syscall, execve = nested.get("SYSCALL"), nested.get("EXECVE")
    if isinstance(syscall, Mapping) and isinstance(execve, Mapping):
        add_laurel(fields, execve, syscall)


def _add_kind(fields: dict[str, Any], message: str) -> str:
    """Add what the kind of log of an event says in other words; return the words in which its outcome is to be looked for."""
    if type(fields.get("audit_id")) is int and "src_ip" not in fields:  # else an object that has such names of its own
        add_audit(fields, message)
        return message
    if "EXECVE.ARGV" in fields:  # laurel
        return message
    app = fields.get("app")
    if not isinstance(app, str):
        app = ""
    if app in _PLAIN_APPS:
        add_known_names(fields)
        return message
    if (add := _BY_APP.get(app)) is not None:
        add(fields, message)
    elif "SRC" in fields and "DST" in fields:
        add_packet(fields, message)
    elif "%ASA" in message or app.startswith("%ASA"):
        add_asa(fields, message)
    elif message.startswith("<Event"):
        add_event(fields, message)
    add_known_names(fields)
    if "cs-uri" not in fields and ("GET " in message or "POST " in message or " HTTP/" in message):
        rest = add_request(fields, message)
        if rest is not message:
            add_access(fields)
            return rest  # a failure that it speaks of is one, whatever became of the request
    if "cs-uri" in fields and ("cs-method" in fields or "sc-status" in fields):
        add_access(fields)
    elif "request" in fields and "status" in fields:
        add_status_outcome(fields)
    return message


def _with_reason(fields: Mapping[str, Any], message: str) -> str:
    """Return the message, and why it came to that where a field of its own says it."""
    for name in _REASONS:
        reason = fields.get(name)
        if type(reason) is str and reason not in message:
            message = f"{message} {reason[:MAX_REASON]}"
    return message


def _state_outcome(fields: dict[str, Any], action: str, outcome: str) -> None:
    if not outcome and "success" in fields:
        outcome = _STATED.get(str(fields["success"]).lower(), "")
    if outcome and ("outcome" not in fields or outcome == "failure"):
        fields["outcome"] = outcome
        if action == "login":
            fields["action"] = action  # whatever the program calls it
        else:
            fields.setdefault("action", action)
