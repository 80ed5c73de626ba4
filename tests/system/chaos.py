"""Kill a random actor every second under load from TCP, a file and OTLP; then prove that nothing was lost or doubled.

With `--whole N` the daemon as a whole is killed instead, N times, the supervisor alone and all its processes at once in
turn, and started again each time.

What "accepted" means is each way's own: a file's line, once it is written; an OTLP record, once its request is answered;
a line over TCP, once the receiver has spooled it (TCP has no acknowledgement that a sender could wait for), which the
spool itself tells: its sequences have no gaps, and each has to be stored.

`python -m tests.system.chaos --seconds 120` prints the report; the short form runs with the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from opentelemetry._logs import LogRecord

from tests.daemon_process import DaemonProcess
from tests.otlp_exporter import make_provider
from tests.stream_client import StreamClient


class Report(msgspec.Struct):
    """What a run showed."""

    kills: Counter[str]
    sent: dict[str, int]
    stored: dict[str, int]
    lost: dict[str, int]
    doubled: dict[str, int]
    not_framed: int
    longest_pause_s: float
    restarts_s: list[float]
    ledger: dict[str, Any]

    @property
    def is_closed(self) -> bool:
        """Tell whether the daemon's own ledger adds up, with nothing left in flight."""
        return self.ledger["breaks"] == 0 and all(
            account["in_flight"] == 0 and account["received"] == account["committed"] + sum(account["dropped"].values())
            for account in self.ledger["sources"].values()
        )

    @property
    def is_good(self) -> bool:
        return not any(self.lost.values()) and not any(self.doubled.values()) and not self.not_framed and self.is_closed

    def text(self) -> str:
        middle = sorted(self.restarts_s)[len(self.restarts_s) // 2] if self.restarts_s else 0.0
        return "\n".join(
            (
                f"kills: {sum(self.kills.values())} ({', '.join(f'{name} {n}' for name, n in sorted(self.kills.items()))})",
                f"sent: {self.sent}, stored: {self.stored}",
                f"lost: {self.lost}, doubled: {self.doubled}, not framed: {self.not_framed}",
                f"longest pause of the frames: {self.longest_pause_s:.2f} s",
                f"restart to ready: median {middle:.2f} s, slowest {max(self.restarts_s, default=0.0):.2f} s",
                f"ledger: {'closed' if self.is_closed else 'NOT CLOSED'}, {self.ledger['breaks']} breaks, "
                f"{sum(edge['lost'] for edge in self.ledger['edges'])} messages went down with processes",
            )
        )


class Feeder(threading.Thread):
    """Calls `feed(first, count)` so that `rate` numbers a second are fed, until told to stop."""

    def __init__(self, rate: int, feed: Callable[[int, int], None], every_s: float = 0.05) -> None:
        super().__init__(daemon=True)
        self._rate, self._feed, self._every_s = rate, feed, every_s
        self._over = threading.Event()
        self.fed = 0

    def run(self) -> None:
        while not self._over.wait(self._every_s):
            count = int(self._rate * self._every_s)
            self._feed(self.fed, count)
            self.fed += count

    def finish(self) -> int:
        self._over.set()
        self.join(60)
        return self.fed


def line(way: str, number: int) -> str:
    return f"{way} request {number} of user{number % 7} served in {number % 900} ms"


class TcpFeed:
    """Numbered syslog lines over a connection that is made anew when it breaks."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._tcp: socket.socket | None = None

    def make(self, first: int, count: int) -> bytes:
        return b"".join(b"<38>Nov 23 10:00:00 web app: %s\n" % line("tcp", first + i).encode() for i in range(count))

    def __call__(self, first: int, count: int) -> None:
        chunk = self.make(first, count)
        try:
            if self._tcp is None:
                self._tcp = socket.create_connection(("127.0.0.1", self._port), timeout=20)
            self._tcp.sendall(chunk)
        except OSError:
            self.close()

    def close(self) -> None:
        if self._tcp is not None:
            self._tcp.close()
        self._tcp = None


class FrameReader(threading.Thread):
    """Reads the stream, reconnecting with the page's back-off; on each connection it backfills what came meanwhile."""

    def __init__(self, daemon: DaemonProcess) -> None:
        super().__init__(daemon=True)
        self._daemon_process = daemon
        self._over = threading.Event()
        self.ids: set[str] = set()
        self.last = ""
        self.longest_pause_s = 0.0
        self._last_s = time.monotonic()
        self.timing = True  # no longer, once nothing is sent: what comes then are notices, now and then

    def run(self) -> None:
        while not self._over.is_set():
            try:
                with StreamClient(self._daemon_process.http) as client:
                    self._backfill()
                    self._follow(client)
            except OSError:
                time.sleep(0.1)

    def _follow(self, client: StreamClient) -> None:
        while not self._over.is_set():
            before = time.monotonic()
            for payload in client.read(0.5):
                if payload.startswith(b'{"type":"event"'):
                    self._take(json.loads(payload)["event"]["id"])
            if time.monotonic() - before < 0.4:
                raise ConnectionError

    def _take(self, event_id: str) -> None:
        now_s = time.monotonic()
        if self.timing:
            self.longest_pause_s = max(self.longest_pause_s, now_s - self._last_s)
        self._last_s, self.last = now_s, event_id
        self.ids.add(event_id)

    def _backfill(self) -> None:
        """Read what was committed since the last frame; everything, where no frame has come yet."""
        for event in self._daemon_process.events(**({"since": self.last} if self.last else {})):
            self._take(event["id"])

    def finish(self) -> None:
        self._over.set()
        self.join(10)


class Killer:
    """SIGKILLs actors and times how long each takes to be ready again."""

    def __init__(self, daemon: DaemonProcess, seed: int) -> None:
        self._daemon_process = daemon
        self._random = random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.restarts_s: list[float] = []

    def kill_one(self) -> None:
        actors: dict[str, int] = {}
        while not actors:
            actors = {name: account["pid"] for name, account in self._health().items() if account["pid"]}
        name = self._random.choice(sorted(actors))
        os.kill(actors[name], signal.SIGKILL)
        self.kills[name] += 1
        began_s = time.monotonic()
        while time.monotonic() < began_s + 10:
            account = self._health().get(name, {})
            if account.get("pid") not in (None, 0, actors[name]) and account["restart_ms"]:
                self.restarts_s.append(account["restart_ms"] / 1_000)
                return
            time.sleep(0.05)
        raise AssertionError(f"{name} is not back")

    def kill_one_a_second(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            began_s = time.monotonic()
            self.kill_one()
            time.sleep(max(0.0, began_s + 1 - time.monotonic()))

    def kill_whole_again_and_again(self, times: int, every_s: float) -> None:
        for _ in range(times):
            time.sleep(every_s)
            self.kill_whole()
        time.sleep(every_s)

    def kill_whole(self) -> None:
        """Kill the supervisor, or every process at once; start the daemon again once none of them is left."""
        daemon = self._daemon_process
        processes = daemon.processes()
        everything = bool(self.kills["supervisor"] > self.kills["all at once"])
        for pid in processes.values() if everything else [processes["supervisor"]]:
            os.kill(pid, signal.SIGKILL)
        self.kills["all at once" if everything else "supervisor"] += 1
        daemon.kill()
        daemon.wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes.values()), 10)
        began_s = time.monotonic()
        daemon.start()
        self.restarts_s.append(time.monotonic() - began_s)

    def _health(self) -> dict[str, Any]:
        try:
            return self._daemon_process.health()["actors"]
        except (OSError, ValueError):  # the front end itself was killed
            return {}


def run(folder: Path, *, seconds: float, rate: int, seed: int, whole: int = 0) -> Report:
    """Run the whole and return what it showed. `whole`: how often to kill the daemon as a whole, instead of single actors."""
    log = folder / "chaos.log"
    log.touch()
    daemon = DaemonProcess(folder, files=[str(log)], more="[daemon]\nqueue_max = 10000\n")
    with daemon, open(log, "a", buffering=1) as file:
        # An exporter that gives up has been told nothing: what it held was never accepted. This one waits for a restart.
        provider = make_provider("grpc", daemon.grpc, timeout=60)
        logger = provider.get_logger("chaos")

        def feed_file(first: int, count: int) -> None:
            file.write("".join(f"{line('file', first + i)}\n" for i in range(count)))
            file.flush()

        def feed_otlp(first: int, count: int) -> None:
            for i in range(count):
                logger.emit(LogRecord(body=line("otlp", first + i)))

        tcp = TcpFeed(daemon.syslog)
        feeders = {"tcp": Feeder(rate // 3, tcp), "file": Feeder(rate // 3, feed_file), "otlp": Feeder(rate // 3, feed_otlp)}
        reader, killer = FrameReader(daemon), Killer(daemon, seed)
        reader.start()
        for feeder in feeders.values():
            feeder.start()
        if whole:
            killer.kill_whole_again_and_again(whole, seconds / (whole + 1))
        else:
            killer.kill_one_a_second(seconds)
        reader.timing = False
        sent = {name: feeder.finish() for name, feeder in feeders.items()}
        provider.force_flush(60_000)
        provider.shutdown()
        daemon.wait_until(lambda: daemon.health()["queue_depth"] == 0, 60)
        time.sleep(3)
        tcp.close()
        reader.finish()
        daemon.wait_until(lambda: daemon.health()["ledger"]["sources"]["internal"]["in_flight"] == 0, 10)
        return _judge(daemon, sent, killer, reader)


def _judge(daemon: DaemonProcess, sent: dict[str, int], killer: Killer, reader: FrameReader) -> Report:
    stored: dict[str, Counter[int]] = {name: Counter() for name in sent}
    ids = set()
    for event in daemon.events():
        way, _, number, *_ = event["message"].split()
        stored[way][int(number)] += 1
        ids.add(event["id"])
    ledger = daemon.health()["ledger"]
    accepted = {"file": sent["file"], "otlp": sent["otlp"], "tcp": _spooled(daemon, "syslog")}
    return Report(
        killer.kills,
        sent,
        {name: sum(counts.values()) for name, counts in stored.items()},
        {name: accepted[name] - (sum(counts.values()) if name == "tcp" else len(counts)) for name, counts in stored.items()},
        {name: sum(counts.values()) - len(counts) for name, counts in stored.items()},
        len(ids - reader.ids),
        reader.longest_pause_s,
        killer.restarts_s,
        ledger,
    )


def _spooled(daemon: DaemonProcess, receiver: str) -> int:
    """Return how many records a receiver's spool has ever taken, by the spool itself."""
    daemon.signal(receiver, signal.SIGSTOP)
    from actors.spool.spool import Spool

    spool = Spool(daemon.state_dir / "spool" / receiver, max_bytes=1 << 40)
    return spool.account().accepted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--rate", type=int, default=3_000, help="events a second, over all three ways")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--whole", type=int, default=0, metavar="N", help="kill the daemon as a whole, N times")
    arguments = parser.parse_args()
    what = f"killing the daemon {arguments.whole} times in" if arguments.whole else "killing an actor a second for"
    print(f"{what} {arguments.seconds:.0f} s ...", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="tocsin-chaos-") as folder:
        report = run(
            Path(folder), seconds=arguments.seconds, rate=arguments.rate, seed=arguments.seed, whole=arguments.whole
        )
    print(report.text())
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
