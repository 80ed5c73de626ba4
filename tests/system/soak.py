"""Run the daemon for long at a steady rate, and hold the memory of each process in the second half against the first.

`python -m tests.system.soak --minutes 20 --rate 2000`. The lines are those of a small site (`tocsin demo`), half over TCP
and half in a file, with one client that reads all frames.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

from daemon.commands.traffic import OrdinaryDay
from tests.daemon_process import DaemonProcess
from tests.system.chaos import Feeder, FrameReader, TcpFeed

EVERY_S = 5.0
WARM_SHARE = 0.1  # of the time: what is loaded and learned first is no growth
LEVEL = 1.10  # the second half may have so much more than the first


def pss_mib(pid: int) -> float:
    """Return the proportional set size of a process in MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no Pss of {pid}")


class Lines:
    """The traffic of a site, line by line; each feed has its own."""

    def __init__(self, seed: int) -> None:
        self._day = iter(OrdinaryDay(seed))
        self._random = random.Random(seed)

    def take(self, count: int) -> list[str]:
        now_ns = time.time_ns()
        lines = [next(self._day).pack(now_ns, self._random.randrange(1_000, 32_000)) for _ in range(count)]
        return [line.decode() for line in lines]


class LinesOverTcp(TcpFeed):
    def __init__(self, port: int, lines: Lines) -> None:
        super().__init__(port)
        self._lines = lines

    def make(self, first: int, count: int) -> bytes:
        return "".join(f"{line}\n" for line in self._lines.take(count)).encode()


def soak(folder: Path, *, minutes: float, rate: int) -> dict[str, list[float]]:
    """Run it; return the memory of each process over the time, in MiB."""
    log = folder / "soak.log"
    log.touch()
    memory: dict[str, list[float]] = defaultdict(list)
    with DaemonProcess(folder, files=[str(log)]) as daemon, open(log, "a", buffering=1) as file:
        over_file = Lines(2)

        def feed_file(_: int, count: int) -> None:
            file.write("".join(f"{line.partition('>')[2]}\n" for line in over_file.take(count)))
            if file.tell() > 64 << 20:
                file.truncate(0)

        feeders = [Feeder(rate // 2, LinesOverTcp(daemon.syslog, Lines(1))), Feeder(rate - rate // 2, feed_file)]
        reader = FrameReader(daemon)
        reader.start()
        for feeder in feeders:
            feeder.start()
        end_s = time.monotonic() + minutes * 60
        while time.monotonic() < end_s:
            time.sleep(EVERY_S)
            reader.ids.clear()
            for name, pid in daemon.processes().items():
                memory[name].append(pss_mib(pid))
            left_s = max(0.0, end_s - time.monotonic())
            _show(f"{left_s:5.0f} s left, {sum(row[-1] for row in memory.values()):.0f} MiB")
        sent = sum(feeder.finish() for feeder in feeders)
        daemon.wait_until(lambda: _committed(daemon) >= sent and daemon.health()["queue_depth"] == 0, 60)
        reader.finish()
        health = daemon.health()
        restarts = sum(account["restarts"] for account in health["actors"].values())
        stored = _committed(daemon)
        print(f"\nsent {sent:,}, stored {stored:,}, {restarts} restarts, ledger breaks {health['ledger']['breaks']}")
    return memory


def _committed(daemon: DaemonProcess) -> int:
    return int(daemon.actor("recorder")["counters"].get("committed_events", 0))


def _show(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=int, default=2_000, help="events a second")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tocsin-soak-") as folder:
        memory = soak(Path(folder), minutes=arguments.minutes, rate=arguments.rate)
    grown = []
    print(f"{'process':<14}{'first half':>12}{'second half':>13}{'ratio':>8}  MiB, medians")
    for name, row in sorted(memory.items()):
        row = row[int(WARM_SHARE * len(row)) :]
        first, second = median(row[: len(row) // 2]), median(row[len(row) // 2 :])
        print(f"{name:<14}{first:>12.1f}{second:>13.1f}{second / first:>8.3f}")
        grown += [name] * (second > LEVEL * first)
    totals = [sum(at) for at in zip(*memory.values(), strict=False)]
    print(f"{'all':<14}{median(totals[: len(totals) // 2]):>12.1f}{median(totals[len(totals) // 2 :]):>13.1f}")
    print(f"grown: {', '.join(grown) or 'none'}")
    return int(bool(grown))


if __name__ == "__main__":
    sys.exit(main())
