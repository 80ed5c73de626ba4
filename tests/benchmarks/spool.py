"""What `daemon.fsync` costs: records a second through the spool and into the store, in batches of 500.

`python -m tests.benchmarks.spool --folder DIR`: on the disk of that folder.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path

from actors.spool.spool import Spool
from actors.storage.writer import StoreWriter
from actors.syncing import SYNC_S, Fsync, sync_all
from protocol.messages import encode
from protocol.records import Record
from tests.actors.storage.events import NOON_NS, make_batch

BATCH = 500
BODY = b"<38>Nov 23 10:00:00 web sshd[4242]: Failed password for invalid user admin from 192.0.2.7 port 51515 ssh2"


def measure_spool(folder: Path, fsync: Fsync, seconds: float) -> tuple[float, float]:
    """Return records a second, and the longest append in ms."""
    spool = Spool(folder, max_bytes=1 << 30, fsync=fsync)
    packed = encode([Record(1, "syslog", "syslog", "192.0.2.7", BODY)] * BATCH)
    began_s = synced_s = time.perf_counter()
    batches, longest_s = 0, 0.0
    syncing: list[threading.Thread] = []
    while (now_s := time.perf_counter()) < began_s + seconds:
        (slot,) = spool.append([(packed, BATCH)])
        longest_s = max(longest_s, time.perf_counter() - now_s)
        spool.acknowledge(slot.last - 20 * BATCH)
        batches += 1
        if fsync == "interval" and now_s > synced_s + SYNC_S:
            synced_s = now_s
            syncing.append(threading.Thread(target=sync_all, args=(spool.segments.unsynced.take(),)))
            syncing[-1].start()
    elapsed_s = time.perf_counter() - began_s
    for thread in syncing:
        thread.join()
    spool.close()
    return batches * BATCH / elapsed_s, longest_s * 1000


def measure_store(folder: Path, fsync: Fsync, seconds: float) -> float:
    """Return events a second, committed in batches."""
    writer = StoreWriter(folder, full=fsync == "always")
    spent_s, batches = 0.0, 0
    while spent_s < seconds:
        key, judged = make_batch(7, batches * BATCH + 1, BATCH)
        began_s = time.perf_counter()
        writer.commit(key, judged, [], NOON_NS)
        spent_s += time.perf_counter() - began_s
        batches += 1
    writer.close()
    return batches * BATCH / spent_s


def measure_fdatasync(folder: Path) -> float:
    """Return the median of forcing 64 KiB to this disk, in ms."""
    times = []
    with open(folder / "probe", "wb") as file:
        for _ in range(50):
            file.write(bytes(65_536))
            file.flush()
            began_s = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began_s)
    return sorted(times)[25] * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured (default: the current directory)")
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tocsin-spool-", dir=arguments.folder or Path.cwd()) as name:
        folder = Path(name)
        print(f"fdatasync of 64 KiB: {measure_fdatasync(folder):.2f} ms")
        modes: tuple[Fsync, ...] = ("interval", "always")
        for fsync in modes:
            rate, longest_ms = measure_spool(folder / f"spool-{fsync}", fsync, arguments.seconds)
            stored = measure_store(folder / f"store-{fsync}", fsync, arguments.seconds)
            print(
                f"{fsync}: spool {rate:,.0f} records/s (longest append {longest_ms:.1f} ms), store {stored:,.0f} events/s"
            )


if __name__ == "__main__":
    main()
