"""The REST interface described by itself (OpenAPI 3.1)."""

from __future__ import annotations

from typing import Any

from actors.frontend.rest import MAX_LIMIT

_TIME = {"type": "string", "format": "date-time"}
_TEXT = {"type": "string"}


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


_CURSOR = _parameter("cursor", _TEXT, "next_cursor of the page before")
_LIMIT = _parameter("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 100}, "objects a page")
_PAGED = [
    _parameter("since", _TEXT, "an RFC 3339 time (at or after it), or an id (committed after it)"),
    _parameter("until", _TIME, "before this time"),
    _parameter("source", _TEXT, "name of the source"),
    _parameter("entity", {"type": "string", "format": "uuid"}, "UUID of an entity"),
    _parameter("order", {"enum": ["asc", "desc"], "default": "asc"}, "commit order, or newest first"),
    _CURSOR,
    _LIMIT,
]
_EVENT_FILTERS = [
    _parameter("severity", {"type": "integer", "minimum": 1, "maximum": 24}, "SeverityNumber, at least"),
    _parameter("template", _TEXT, "template id, as in drain_0042"),
    _parameter("min_score", {"type": "number", "minimum": 0, "maximum": 1}, "anomaly_score, at least"),
    _parameter("text", _TEXT, "words that are all in the message"),
    _parameter("field.NAME", _TEXT, "value of the field NAME, dotted where it is nested: field.user=root, field.user.name=ann"),
]


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer(schema: dict[str, Any], kind: str = "application/json") -> dict[str, Any]:
    problem = {"description": "problem", "content": {"application/problem+json": {"schema": _ref("Problem")}}}
    return {"200": {"description": "ok", "content": {kind: {"schema": schema}}}, "default": problem}


def _get(summary: str, schema: dict[str, Any], parameters: list[Any] | None = None, kind: str = "application/json") -> Any:
    return {"get": {"summary": summary, "parameters": parameters or [], "responses": _answer(schema, kind)}}


def _page(name: str, schema: str) -> dict[str, Any]:
    return _object({name: {"type": "array", "items": _ref(schema)}, "next_cursor": {"type": ["string", "null"]}})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _path_parameter(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _TEXT, "description": description}


def _schemas() -> dict[str, Any]:
    attack = {"oneOf": [_object({"tactic": _TEXT, "technique": _TEXT}), {"type": "null"}]}
    entities = {"type": "array", "items": _ref("Entity")}
    score = {"type": "number", "minimum": 0, "maximum": 1}
    return {
        "Entity": _object({"type": _TEXT, "value": _TEXT, "uuid": {"type": "string", "format": "uuid"}}),
        "Event": _object(
            {
                "id": _TEXT,
                "observed_ts": _TIME,
                "event_ts": _TIME,
                "source": _TEXT,
                "severity": {"type": "integer", "minimum": 1, "maximum": 24},
                "message": _TEXT,
                "template_id": _TEXT,
                "template": _TEXT,
                "entities": entities,
                "anomaly_score": score,
                "anomaly_threshold": score,
                "attack": attack,
            }
        ),
        "Alert": _object(
            {
                "id": _TEXT,
                "ts": _TIME,
                "rule_id": _TEXT,
                "rule_kind": {"enum": ["sigma", "blended", "kill_chain", "ueba", "threat_intel", "risk"]},
                "severity": {"enum": ["informational", "low", "medium", "high", "critical"]},
                "title": _TEXT,
                "entities": entities,
                "attack": attack,
                "dedup_key": _TEXT,
            }
        ),
        "Template": _object(
            {"id": _TEXT, "template": _TEXT, "event_count": {"type": "integer"}, "first_seen": _TIME, "last_seen": _TIME}
        ),
        "Rule": _object(
            {
                "id": _TEXT,
                "uuid": _TEXT,
                "title": _TEXT,
                "level": {"enum": ["informational", "low", "medium", "high", "critical"]},
                "kind": {"enum": ["rule", "correlation"]},
                "logsource": _TEXT,
                "tags": {"type": "array", "items": _TEXT},
                "description": _TEXT,
                "falsepositives": {"type": "array", "items": _TEXT},
                "path": _TEXT,
                "line": {"type": "integer"},
                "own": {"type": "boolean"},
                "state": {"enum": ["in force", "switched off", "refused"]},
                "silent": {"type": "boolean"},
                "matched": {"type": ["integer", "null"]},
                "last_matched": {"type": ["string", "null"]},
            }
        ),
        "Refusal": _object({"path": _TEXT, "line": {"type": "integer"}, "reason": _TEXT}),
        "Problem": _object({"type": _TEXT, "status": {"type": "integer"}, "title": _TEXT, "detail": _TEXT}),
    }


def _trials() -> dict[str, Any]:
    """Return the routes of rules, and of lines that are tried."""
    anything = {"type": "object"}
    lists = {"rules": {"type": "array", "items": _ref("Rule")}, "refused": {"type": "array", "items": _ref("Refusal")}}
    lines = {"required": True, "content": {"text/plain": {"schema": _TEXT}}}
    test = {"summary": "what a rule says of log lines", "requestBody": lines, "responses": _answer(anything)}
    event = {**_parameter("event", _TEXT, "id of an event"), "required": True}
    span = [_parameter("since", _TIME, "at or after this time"), _parameter("until", _TIME, "before this time")]
    routes = {
        "/{id}": _get("one rule or correlation", _ref("Rule")),
        "/{id}/test": {"post": test},
        "/{id}/why": _get("why a rule matches a stored event or not, clause by clause", anything, [event]),
        "/{id}/backtest": _get("what a rule would have done with what is stored", anything, span),
    }
    of_rule = {"parameters": [_path_parameter("id", "id or UUID of a rule or correlation")]}
    parse = {
        "summary": "how log lines are read, step by step", "requestBody": lines, "responses": _answer(anything),
        "parameters": [_parameter("source", _TEXT, "read them as this source, in its time zone and by its formats")],
    }  # fmt: skip
    return {
        "/api/v1/parse": {"post": parse},
        "/api/v1/rules": _get("rules and correlations, and what is refused", _object(lists)),
        "/api/v1/rules/coverage": _get("the rules in force as a layer of the ATT&CK Navigator", anything),
        "/api/v1/rules/never": _get("which rules can never match what came", anything),
        **{f"/api/v1/rules{path}": route | of_rule for path, route in routes.items()},
    }


def openapi() -> dict[str, Any]:
    """Return the description."""
    anything = {"type": "object"}
    alert = {**_get("one alert, with what explains it", _ref("Alert"))["get"]}
    event = {**_get("one event, with its fields and its receiver", _ref("Event"))["get"]}
    entity = {**_get("an entity with its newest events and alerts", anything)["get"]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tocsin",
            "version": "1",
            "description": "History over REST; events, alerts and heartbeats live over the WebSocket at /api/v1/ws.",
        },
        "paths": {
            "/api/v1/events": _get("events in commit order", _page("events", "Event"), [*_PAGED, *_EVENT_FILTERS]),
            "/api/v1/events/{id}": {"get": event, "parameters": [_path_parameter("id", "ULID")]},
            "/api/v1/alerts": _get("alerts in commit order", _page("alerts", "Alert"), _PAGED),
            "/api/v1/alerts/{id}": {"get": alert, "parameters": [_path_parameter("id", "alr_ and a ULID")]},
            "/api/v1/entities/{uuid}": {"get": entity, "parameters": [_path_parameter("uuid", "UUID of an entity")]},
            "/api/v1/templates": _get("templates by id", _page("templates", "Template"), [_CURSOR, _LIMIT]),
            **_trials(),
            "/api/v1/health": _get("how the daemon and each actor is", anything),
            "/metrics": _get("Prometheus text", _TEXT, kind="text/plain"),
            "/api/v1/metrics": _get("Prometheus text", _TEXT, kind="text/plain"),
            "/api/v1/openapi.json": _get("this description", anything),
        },
        "components": {"schemas": _schemas()},
    }
