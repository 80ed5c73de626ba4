"""`make bench`: the whole daemon as a black box, everything on. Real lines over TCP, one client that reads every frame.

The client checks that no frame is missing, doubled or out of order: one connection's lines are framed in the order in
which they were sent, so the n-th event frame is the n-th line. Latency is from handing a line to the kernel to having its
frame. Prints text, or JSON with --json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tests.daemon_process import DATA, DaemonProcess
from tests.stream_client import StreamClient

CHUNK_S = 0.005


class _Event(msgspec.Struct):
    id: str
    message: str


class _Frame(msgspec.Struct):
    type: str
    event: _Event | None = None


_decode = msgspec.json.Decoder(_Frame).decode


def real_lines(folder: Path) -> list[bytes]:
    """Return the lines of the OpenSSH and Linux logs with a priority in front."""
    lines = []
    for name in ("OpenSSH", "Linux"):
        path = folder / "parsing" / name / f"{name}_2k.log"
        if not path.exists():
            raise SystemExit(f"bench: no log at {path}; give the folder of the data with --data")
        lines += [b"<38>" + line.rstrip(b"\r") + b"\n" for line in path.read_bytes().split(b"\n") if line.strip()]
    return lines


def send(port: int, lines: list[bytes], rate: int, seconds: float, sent: Any) -> None:
    """Send for so long; `sent` gets (lines sent so far, time of the write) for each write."""
    with socket.create_connection(("127.0.0.1", port)) as tcp:
        began_s = time.monotonic()
        total, log = 0, []
        while (now_s := time.monotonic()) < began_s + seconds:
            due = int((now_s - began_s) * rate) - total if rate else 256
            if due <= 0:
                time.sleep(CHUNK_S)
                continue
            due = min(due, 2_000)
            chunk = b"".join([lines[(total + i) % len(lines)] for i in range(due)])
            log.append((total + due, time.monotonic_ns()))
            tcp.sendall(chunk)
            total += due
        sent.send(log)


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def measure(pids: dict[str, int], reading: Callable[[int], float]) -> dict[str, float]:
    return {name: reading(pid) for name, pid in pids.items()}


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def follow(client: StreamClient, messages: list[str], control: Any, patience_s: float) -> dict[str, Any]:
    """Read every frame until all that was sent has come; return counts and latencies."""
    arrived: list[int] = []
    ids: set[str] = set()
    wrong = alerts = 0
    log: list[tuple[int, int]] | None = None
    last_s = time.monotonic()
    while log is None or (len(arrived) < log[-1][0] and time.monotonic() - last_s < patience_s):
        for payload in client.read(0.2):
            frame = _decode(payload)
            if frame.event is not None:
                now_ns = time.monotonic_ns()
                wrong += not messages[len(arrived) % len(messages)].endswith(frame.event.message.rstrip())
                ids.add(frame.event.id)
                arrived.append(now_ns)
                last_s = time.monotonic()
            alerts += frame.type == "alert"
        if log is None and control.poll():
            log = control.recv()
    latencies, write = [], 0
    for index, arrival_ns in enumerate(arrived):
        while log[write][0] <= index:
            write += 1
        latencies.append((arrival_ns - log[write][1]) / 1e6)
    span_s = (arrived[-1] - log[0][1]) / 1e9
    return {
        "sent": log[-1][0],
        "framed": len(arrived),
        "missing": log[-1][0] - len(ids),
        "doubled": len(arrived) - len(ids),
        "out_of_order": wrong,
        "alerts": alerts,
        "seconds": round(span_s, 2),
        "events_per_s": round(len(arrived) / span_s),
        "latency_p50_ms": round(statistics.median(latencies), 1),
        "latency_p99_ms": round(percentile(latencies, 0.99), 1),
    }


def run(rate: int, seconds: float, data: Path) -> dict[str, Any]:
    """Return what one run of the whole daemon gave."""
    lines = real_lines(data)
    messages = [line.decode("utf-8", "backslashreplace").rstrip() for line in lines]
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder, DaemonProcess(Path(folder)) as daemon:
        time.sleep(3)
        idle = measure(daemon.processes(), pss_bytes)
        client = StreamClient(daemon.http)
        before = measure(daemon.processes(), processor_seconds)
        mine, theirs = multiprocessing.Pipe()
        sender = multiprocessing.Process(target=send, args=(daemon.syslog, lines, rate, seconds, theirs))
        sender.start()
        result = follow(client, messages, mine, patience_s=30)
        sender.join()
        pids = daemon.processes()
        after = measure(pids, processor_seconds)
        pss = measure(pids, pss_bytes)
        result["processor_us_per_event"] = {
            name: round(1e6 * (after[name] - before.get(name, 0)) / max(1, result["framed"]), 1) for name in after
        }
        result["pss_mib"] = {name: round(value / 2**20, 1) for name, value in pss.items()}
        result["pss_total_mib"] = round(sum(pss.values()) / 2**20, 1)
        result["pss_idle_total_mib"] = round(sum(idle.values()) / 2**20, 1)
        dropped = {
            f"{name} {counter}": value
            for name, account in daemon.health()["actors"].items()
            for counter, value in account["counters"].items()
            if "dropped" in counter and value
        }
        result["dropped"] = dropped
        client.close()
    return result


def show(result: dict[str, Any]) -> str:
    lines = [
        f"{result['events_per_s']:,} events/s over {result['seconds']} s "
        f"(sent {result['sent']:,}, framed {result['framed']:,}, missing {result['missing']}, "
        f"doubled {result['doubled']}, out of order {result['out_of_order']}, alerts {result['alerts']})",
        f"latency from send to frame: p50 {result['latency_p50_ms']} ms, p99 {result['latency_p99_ms']} ms",
        f"PSS: {result['pss_idle_total_mib']} MiB at idle, {result['pss_total_mib']} MiB under load",
        "",
        f"{'process':<14}{'us/event':>10}{'PSS MiB':>10}",
    ]
    for name, cost in result["processor_us_per_event"].items():
        lines.append(f"{name:<14}{cost:>10}{result['pss_mib'][name]:>10}")
    lines.append(f"{'total':<14}{sum(result['processor_us_per_event'].values()):>10.1f}{result['pss_total_mib']:>10}")
    if result["dropped"]:
        lines.append(f"dropped: {result['dropped']}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=0, metavar="N", help="lines a second (default: as fast as it takes)")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S")
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    print("running ...", file=sys.stderr)
    result = run(arguments.rate, arguments.seconds, arguments.data)
    print(json.dumps(result, indent=1) if arguments.json else show(result))
    return 0 if result["missing"] == result["doubled"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
