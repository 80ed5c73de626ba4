"""The front door as a Quart application: the stream, history over REST, health, metrics and the page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import trio
from quart import Quart, Response, Websocket, request, websocket
from quart_trio import QuartTrio

from actors.frontend import rest
from actors.frontend.guard import Guard, Refusal
from actors.frontend.heavy import Heavy
from actors.frontend.hub import MAX_CLIENTS, Client, Hub
from actors.frontend.lines import read_lines
from actors.frontend.metrics import expose
from actors.frontend.openapi import openapi
from actors.frontend.rest import Page, Problem
from actors.frontend.rules import RuleDesk, View
from actors.http.server import Connection, current_connection
from actors.sigma.settings import ACTOR as SIGMA
from actors.storage.store import ReadableStore
from protocol.messages import Status

T = TypeVar("T")

STATIC = Path(__file__).parent / "static"
COOKIE = "tocsin_token"
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
MAX_BODY_BYTES = 64 << 10
MAX_QUERIES = 4  # at once, each in a thread of its own


class Door:
    """The state that the routes share."""

    def __init__(self, guard: Guard, reader: ReadableStore, state_dir: Path) -> None:
        self.guard = guard
        self.reader = reader
        self.state_dir = state_dir
        self.heavy = Heavy()
        self.rules = RuleDesk(state_dir, self.heavy)
        self.hub = Hub()
        self.status: Status | None = None
        self._queries = trio.CapacityLimiter(MAX_QUERIES)

    async def read(self, query: Callable[[], T]) -> T:
        """Run a query of the store in a thread.

        A client that goes away does not wait for its query: that goes on to its end, holds its place among `MAX_QUERIES`
        until then, and is thrown away. So a slow query keeps neither a connection nor a stop waiting.
        """
        return await trio.to_thread.run_sync(query, limiter=self._queries, abandon_on_cancel=True)


def _tokens() -> Iterable[str]:
    asked = websocket if websocket else request
    yield asked.headers.get("Authorization", "").removeprefix("Bearer ")
    yield asked.args.get("token", "")
    yield asked.cookies.get(COOKIE, "")


def _json(body: bytes, status: int = 200, kind: str = "application/json") -> Response:
    return Response(body, status, content_type=kind)


def _problem(problem: Problem) -> Response:
    return _json(problem.body(), problem.status, "application/problem+json")


def make_app(door: Door) -> QuartTrio:
    """Return the ASGI application."""
    app = QuartTrio("tocsin", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY_BYTES, PROPAGATE_EXCEPTIONS=False)
    _add_guard(app, door)
    _add_stream(app, door)
    _add_history(app, door)
    _add_parsing(app, door)
    _add_rules(app, door)
    _add_health(app, door)
    _add_page(app)
    return app


def _add_guard(app: Quart, door: Door) -> None:
    async def check() -> Response | None:
        asked: Any = websocket if websocket else request
        try:
            door.guard.check(
                host=asked.headers.get("Host", ""), origin=asked.headers.get("Origin"), tokens=_tokens()
            )
        except Refusal as refusal:
            return _problem(Problem(refusal.status, "Refused", refusal.reason))
        return None

    app.before_request(check)
    app.before_websocket(check)

    @app.after_request
    async def secure(response: Response) -> Response:
        response.headers.update(SECURITY_HEADERS)
        if (origin := request.headers.get("Origin")) is not None and response.status_code < 400:
            response.headers.update({"Access-Control-Allow-Origin": origin, "Vary": "Origin"})  # the guard let it pass
        return response

    @app.errorhandler(Problem)
    async def answer_problem(problem: Problem) -> Response:
        return _problem(problem)

    @app.errorhandler(404)
    async def answer_unknown(_: Exception) -> Response:
        return _problem(Problem(404, "Not found", "there is nothing here; /api/v1/openapi.json lists what there is"))

    @app.errorhandler(405)
    async def answer_method(_: Exception) -> Response:
        return _problem(Problem(405, "Method not allowed", "/api/v1/openapi.json lists what there is"))

    @app.errorhandler(413)
    async def answer_size(_: Exception) -> Response:
        return _problem(Problem(413, "Too large", f"a body has at most {MAX_BODY_BYTES} bytes"))

    @app.errorhandler(500)
    async def answer_failure(_: Exception) -> Response:
        return _problem(Problem(500, "Internal error", "the daemon's log says more"))


def _add_stream(app: Quart, door: Door) -> None:
    @app.websocket("/api/v1/ws")
    async def stream() -> tuple[str, int] | None:
        if len(door.hub.clients) >= MAX_CLIENTS:
            return "too many clients", 503
        await websocket.accept()
        client = Client()
        door.hub.clients.add(client)
        connection = current_connection.get()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_discard_input, websocket._get_current_object())  # type: ignore[attr-defined]
                await _write(client, connection)
                nursery.cancel_scope.cancel()
        finally:
            door.hub.clients.discard(client)
        return None


async def _write(client: Client, connection: Connection) -> None:
    """Write queued bytes until the client is told to close; then give it a moment to answer."""
    while True:
        data = await client.take()
        await connection.send_raw(data)
        if client.closing:
            with trio.move_on_after(1.0):
                await trio.sleep_forever()
            return


async def _discard_input(stream: Websocket) -> None:
    """Read and ignore what clients send; without reading, a disconnect would go unseen."""
    while True:
        await stream.receive()


def _add_history(app: Quart, door: Door) -> None:
    def page(read: Callable[..., Page]) -> Callable[[], Awaitable[Response]]:
        async def answer() -> Response:
            given = _given()
            return _json((await door.read(lambda: read(door.reader, given))).body())

        return answer

    for name, read in (("events", rest.get_events), ("alerts", rest.get_alerts), ("templates", rest.get_templates)):
        app.add_url_rule(f"/api/v1/{name}", name, page(read), methods=["GET"])

    @app.get("/api/v1/events/<event_id>")
    async def event(event_id: str) -> Response:
        return _json(await door.read(lambda: rest.get_event(door.reader, event_id)))

    @app.get("/api/v1/alerts/<alert_id>")
    async def alert(alert_id: str) -> Response:
        return _json(await door.read(lambda: rest.get_alert(door.reader, alert_id)))

    @app.get("/api/v1/entities/<uuid>")
    async def entity(uuid: str) -> Response:
        return _json(await door.read(lambda: rest.get_entity(door.reader, uuid)))


def _add_parsing(app: Quart, door: Door) -> None:
    @app.post("/api/v1/parse")
    async def parse() -> Response:
        body: bytes = await request.data
        return _json(await read_lines(door.heavy, door.state_dir, _given(), body))


def _given() -> dict[str, str]:
    """Return the query string of the request at hand; the guard has seen the token already."""
    return {name: value for name, value in request.args.items() if name != "token"}


def _add_rules(app: Quart, door: Door) -> None:
    desk = door.rules

    @app.before_request
    async def check_enabled() -> None:
        asked = request.path.startswith("/api/v1/rules")
        if asked and door.status is not None and SIGMA not in door.status.health["actors"]:
            raise Problem(503, "Switched off", "the daemon runs without rules: rules.enabled is false")

    def view(what: View) -> Callable[[], Awaitable[Response]]:
        async def answer() -> Response:
            rest.Parameters(_given(), frozenset())
            return _json(await door.read(lambda: desk.view(what)))

        return answer

    views: dict[str, View] = {"": "list", "/coverage": "coverage", "/never": "never"}
    for path, what in views.items():
        app.add_url_rule(f"/api/v1/rules{path}", f"rules_{what}", view(what), methods=["GET"])

    @app.get("/api/v1/rules/<rule_id>")
    async def rule(rule_id: str) -> Response:
        return _json(await door.read(lambda: desk.rule(rule_id)))

    @app.post("/api/v1/rules/<rule_id>/test")
    async def test_rule(rule_id: str) -> Response:
        body: bytes = await request.data
        return _json(await desk.test(rule_id, body))

    @app.get("/api/v1/rules/<rule_id>/why")
    async def why(rule_id: str) -> Response:
        await door.read(lambda: rest.check_layout(door.reader))
        return _json(await desk.why(rule_id, _given()))

    @app.get("/api/v1/rules/<rule_id>/backtest")
    async def backtest(rule_id: str) -> Response:
        await door.read(lambda: rest.check_layout(door.reader))
        return _json(await desk.backtest(rule_id, _given()))


def _add_health(app: Quart, door: Door) -> None:
    def current() -> Status:
        if door.status is None:
            raise Problem(503, "Starting", "the daemon has not yet said how it is")
        return door.status

    @app.get("/api/v1/health")
    async def health() -> Response:
        status = current()
        states = {account["state"] for account in status.health["actors"].values()}
        return _json(
            msgspec.json.encode(
                {
                    "state": "ok" if states == {"ok"} else "degraded",
                    "throughput_eps": status.throughput_eps,
                    "queue_depth": status.queue_depth,
                    "queue_max": status.queue_max,
                    "websocket_clients": len(door.hub.clients),
                    **status.health,
                }
            )
        )

    @app.get("/api/v1/metrics")
    @app.get("/metrics")
    async def metrics() -> Response:
        status = current()
        text = expose(
            status.health,
            throughput_eps=status.throughput_eps,
            queue_depth=status.queue_depth,
            queue_max=status.queue_max,
        )
        return _json(text.encode(), kind="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/api/v1/openapi.json")
    async def description() -> Response:
        return _json(msgspec.json.encode(openapi()))


def _add_page(app: Quart) -> None:
    pages = {"/": "index.html", "/tocsin.js": "tocsin.js", "/tocsin.css": "tocsin.css", "/favicon.svg": "favicon.svg"}
    kinds = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

    def answer(name: str) -> Callable[[], Awaitable[Response]]:
        content = (STATIC / name).read_bytes()
        kind = f"{kinds[Path(name).suffix]}; charset=utf-8"

        async def serve_file() -> Response:
            response = _json(content, kind=kind)
            if token := request.args.get("token"):
                response.set_cookie(COOKIE, token, httponly=True, samesite="Strict")
            return response

        return serve_file

    for path, name in pages.items():
        app.add_url_rule(path, name, answer(name), methods=["GET"])
