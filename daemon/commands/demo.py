"""`tocsin demo`: sends a small site's traffic to a running daemon over TCP syslog; with --attack, a break-in in its midst."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator

import trio

from daemon.commands.traffic import Line, OrdinaryDay, dated, intrusion
from daemon.configuration import Configuration
from daemon.receivers import Syslog
from daemon.sections import parse_address

HISTORY_LINES = 3_000  # enough for the detectors to know the site
CALM_S = 10.0  # between the history and the break-in
PAUSE_S = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--attack", action="store_true", help="stage an intrusion in the midst of it")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed is another day (default 1)")
    parser.add_argument("--rate", type=float, default=20.0, metavar="N", help="lines a second (default 20)")
    parser.add_argument("--seconds", type=float, default=0.0, metavar="S", help="stop after so long (default: never)")


class Sender:
    """One connection, and the count of its lines."""

    def __init__(self, stream: trio.abc.SendStream) -> None:
        self._stream = stream
        self._lock = trio.Lock()
        self.sent = 0

    async def send(self, *lines: tuple[int, Line]) -> None:
        packed = [line.pack(time_ns, 1_000 + self.sent % 30_000) for time_ns, line in lines]
        self.sent += len(packed)
        async with self._lock:
            await self._stream.send_all(b"".join(b"%d %s" % (len(one), one) for one in packed))


async def _send_history(sender: Sender, lines: Iterator[Line], rate: float) -> None:
    """Tell the daemon at once of the time before now, at the rate that goes on afterwards."""
    history = list(dated(lines, HISTORY_LINES, until_ns=time.time_ns(), seconds=HISTORY_LINES / rate))
    for start in range(0, len(history), 100):
        await sender.send(*history[start : start + 100])
        _show(f"what was before now: {start + 100:,} of {HISTORY_LINES:,} lines")
    _show("", end="\n")


async def _send_day(sender: Sender, lines: Iterator[Line], rate: float) -> None:
    began_s, sent = trio.current_time(), 0
    while True:
        due = int((trio.current_time() - began_s) * rate)
        now_ns = time.time_ns()
        await sender.send(*((now_ns, next(lines)) for _ in range(due - sent)))
        sent = due
        _show(f"an ordinary day: {sender.sent:,} lines sent")
        await trio.sleep(PAUSE_S)


async def _send_intrusion(sender: Sender, seed: int) -> None:
    await trio.sleep(CALM_S)
    _show("now somebody breaks in ...", end="\n")
    for wait_s, line in intrusion(seed):
        await trio.sleep(wait_s)
        await sender.send((time.time_ns(), line))
    _show("the break-in is over; see the alerts on the page, or with: tocsin tail --alerts", end="\n")


def _show(text: str, end: str = "") -> None:
    if sys.stderr.isatty() or end:
        print(f"\r\x1b[K{text}" if sys.stderr.isatty() else text, end=end, file=sys.stderr, flush=True)


async def _demo(address: str, arguments: argparse.Namespace) -> None:
    host, port = parse_address(address)
    lines = iter(OrdinaryDay(arguments.seed))
    async with await trio.open_tcp_stream(host, port) as stream:
        sender = Sender(stream)
        await _send_history(sender, lines, arguments.rate)
        with trio.move_on_after(arguments.seconds or float("inf")):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_send_day, sender, lines, arguments.rate)
                if arguments.attack:
                    nursery.start_soon(_send_intrusion, sender, arguments.seed)
        _show(f"{sender.sent:,} lines sent", end="\n")


def run_command(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Send traffic until interrupted; return the exit status."""
    if arguments.rate <= 0:
        print("tocsin: --rate takes a number above 0", file=sys.stderr)
        return 2
    address = configuration.receiver("syslog", Syslog).tcp
    try:
        trio.run(_demo, address, arguments)
    except* (OSError, trio.BrokenResourceError):
        print(f"tocsin: nobody takes syslog on {address}; start the daemon with: tocsin run", file=sys.stderr)
        raise SystemExit(1) from None
    return 0
