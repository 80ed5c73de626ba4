"""Retention deletes days while readers read them: whole answers or clean ones without that day, and the next page goes on."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from pathlib import Path

from actors.storage import schema
from actors.storage.reader import EventQuery, StoreReader
from actors.storage.writer import StoreWriter
from tests.actors.storage.events import DAY_NS, NOON_NS, make_batch
from tests.daemon_process import DaemonProcess

DAYS, A_DAY = 12, 1_500


def fill(store: Path) -> None:
    writer = StoreWriter(store)
    for day in range(DAYS):
        for part in range(3):
            first = 1 + A_DAY * day + part * A_DAY // 3
            writer.commit(*make_batch(1, first, A_DAY // 3), [], NOON_NS - (DAYS - day) * DAY_NS)
    writer.close()


def is_clean(numbers: list[int]) -> bool:
    """Tell whether events come in order, each once, and every day that was reached is whole from where it was joined."""
    return numbers == sorted(set(numbers)) and numbers[-1] == DAYS * A_DAY


def test_threads_read_on_while_days_are_deleted(tmp_path: Path) -> None:
    fill(tmp_path)
    reader, over, faults = StoreReader(tmp_path), threading.Event(), list[str]()

    def read_all() -> None:
        while not over.is_set():
            numbers, cursor = list[int](), None
            while True:
                page, cursor = reader.events(EventQuery(cursor=cursor, limit=700))
                numbers += [int(one.event.message.split()[1]) for one in page]
                if cursor is None:
                    break
            if not is_clean(numbers):
                faults.append(f"{len(numbers)} events, the last {numbers[-1]}")

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    writer = StoreWriter(tmp_path)
    days = [path.stem.removeprefix("events-") for path in schema.day_files(tmp_path)]
    gone = []
    for day in days[1:]:
        time.sleep(0.1)
        gone += writer.expire(before_day=day, max_bytes=1 << 40)
    over.set()
    for thread in threads:
        thread.join()
    assert gone == days[:-1]
    assert faults == []
    assert reader.damaged_days() == []
    writer.expire(before_day="", max_bytes=1 << 40)
    writer.close()
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("main")) == [f"events-{days[-1]}.db"]


def test_pages_over_rest_go_on_while_days_are_deleted(own_daemon: DaemonProcess) -> None:
    fill(own_daemon.state_dir / "store")
    own_daemon.start()
    store = own_daemon.state_dir / "store"
    old = schema.day_files(store)[:-2]
    numbers, cursor = list[int](), ""
    for page_number in range(1_000):
        url = f"http://127.0.0.1:{own_daemon.http}/api/v1/events?source=syslog&limit=500{cursor}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            page = json.load(answer)
        numbers += [int(event["message"].split()[1]) for event in page["events"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
        if page_number % 2 and old:
            for path in store.glob(f"{old.pop(0).name}*"):  # as retention does
                path.unlink(missing_ok=True)
    assert is_clean(numbers)
    assert own_daemon.actor("frontend")["restarts"] == 0
    assert "Traceback" not in own_daemon.log.read_text()
