"""`tocsin tail`: the live stream in a terminal, over trio-websocket, with filters and the page's back-off."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

import msgspec
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, HandshakeError, open_websocket_url

from daemon.configuration import Configuration
from daemon.logs import escape_controls

FIRST_DELAY_S = 0.25
LAST_DELAY_S = 8.0
MAX_MESSAGE_BYTES = 4 << 20
_LEVELS = ((21, "fatal", "35"), (17, "error", "31"), (13, "warn", "33"), (9, "info", "32"), (0, "debug", "2"))
_ALERT_COLOURS = {"critical": "1;35", "high": "1;31", "medium": "1;33", "low": "1;36", "informational": "1;37"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="WORD", help="only events with all these words")
    parser.add_argument("--source", metavar="NAME", help="only events of this source")
    parser.add_argument("--severity", type=int, default=1, metavar="N", help="SeverityNumber at least N (1 to 24)")
    parser.add_argument("--min-score", type=float, default=0.0, metavar="X", help="anomaly score at least X (0 to 1)")
    parser.add_argument("--entity", metavar="VALUE", help="only what speaks of this user, address, host, ...")
    parser.add_argument("--alerts", action="store_true", help="only alerts")
    parser.add_argument("--json", action="store_true", help="print the frames as they come, one a line")
    parser.add_argument("--no-color", action="store_true", help="no colours (also when NO_COLOR is set)")


class Filter(msgspec.Struct, frozen=True):
    """The filter of the command line."""

    words: tuple[str, ...]
    source: str | None
    severity: int
    min_score: float
    entity: str | None
    alerts_only: bool

    def wants(self, frame: dict[str, Any]) -> bool:
        if frame["type"] == "alert":
            return self._speaks_of(frame["alert"])
        return frame["type"] == "event" and not self.alerts_only and self._wants_event(frame["event"])

    def _wants_event(self, event: dict[str, Any]) -> bool:
        message = event["message"].lower()
        return (
            event["severity"] >= self.severity
            and event["anomaly_score"] >= self.min_score
            and self.source in (None, event["source"])
            and all(word in message for word in self.words)
            and self._speaks_of(event)
        )

    def _speaks_of(self, subject: dict[str, Any]) -> bool:
        return self.entity is None or any(entity["value"] == self.entity for entity in subject["entities"])


class Painter:
    """Frames as lines for a terminal. Log text is hostile: control characters are shown, not obeyed."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def line(self, frame: dict[str, Any]) -> str:
        return self._alert(frame["alert"]) if frame["type"] == "alert" else self._event(frame["event"])

    def _event(self, event: dict[str, Any]) -> str:
        _, name, colour = next(level for level in _LEVELS if event["severity"] >= level[0])
        message = _one_line(event["message"])
        breach = event["anomaly_score"] > event["anomaly_threshold"]
        score = self._paint(f"{event['anomaly_score']:.2f}", "1;31" if breach else "2")
        level = self._paint(f"{name:<5}", colour)
        return f"{event['event_ts'][11:23]} {level} {score} {_one_line(event['source']):<9} {message}"

    def _alert(self, alert: dict[str, Any]) -> str:
        who = " ".join(f"{entity['type']}={_one_line(entity['value'])}" for entity in alert["entities"])
        severity = self._paint(f"ALERT {alert['severity']}", _ALERT_COLOURS.get(alert["severity"], "1"))
        attack = alert["attack"] or {}
        place = " ".join(_one_line(attack[key]) for key in ("technique", "tactic") if attack.get(key))
        parts = [alert["ts"][11:23], severity, _one_line(alert["title"]), who, place, f"[{alert['rule_id']} {alert['id']}]"]
        return " ".join(filter(None, parts))


def _one_line(text: str) -> str:
    return escape_controls(text).replace("\n", "\\n").replace("\t", " ")


async def _follow(url: str, headers: list[tuple[bytes, bytes]], filter_: Filter, painter: Painter | None) -> None:
    async with open_websocket_url(url, extra_headers=headers, max_message_size=MAX_MESSAGE_BYTES) as stream:
        while True:
            raw = await stream.get_message()
            frame = json.loads(raw)
            if filter_.wants(frame):
                print(painter.line(frame) if painter else json.dumps(frame), flush=True)


async def _tail(url: str, headers: list[tuple[bytes, bytes]], filter_: Filter, painter: Painter | None) -> None:
    delay_s = FIRST_DELAY_S
    while True:
        began_s = trio.current_time()
        try:
            await _follow(url, headers, filter_, painter)
        except* ConnectionRejected as rejections:
            reason = rejections.exceptions[0]
            raise SystemExit(f"tocsin: the daemon refused: {reason}") from None
        except* (ConnectionClosed, HandshakeError, OSError):
            if trio.current_time() - began_s > LAST_DELAY_S:
                delay_s = FIRST_DELAY_S
            print(f"tocsin: disconnected; trying again in {delay_s:g} s", file=sys.stderr)
        await trio.sleep(delay_s)
        delay_s = min(2 * delay_s, LAST_DELAY_S)


def run_command(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Show the stream until interrupted; return the exit status."""
    token = configuration.http.token
    headers = [(b"Authorization", f"Bearer {token}".encode())] if token else []
    filter_ = Filter(
        tuple(word.lower() for word in arguments.words),
        arguments.source,
        arguments.severity,
        arguments.min_score,
        arguments.entity,
        arguments.alerts,
    )
    colour = sys.stdout.isatty() and not arguments.no_color and not os.environ.get("NO_COLOR")
    painter = None if arguments.json else Painter(colour=colour)
    trio.run(_tail, f"ws://{configuration.http.listen}/api/v1/ws", headers, filter_, painter)
    return 0
