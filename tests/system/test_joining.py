"""Records of several lines, and files that are written anew, through the running daemon while its receiver is killed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from itertools import chain, count
from pathlib import Path

from tests.daemon_process import DaemonProcess

FILES = 4
RECORDS = 2_000 if os.environ.get("TESTS") == "long" else 300  # half of them traces, half cut
ROUNDS = 40 if os.environ.get("TESTS") == "long" else 6
KILLS = 10 if os.environ.get("TESTS") == "long" else 4


def trace(number: int) -> list[str]:
    frames = [f"\tat com.acme.Step{depth}.run(Step.java:{number})" for depth in range(1 + number % 7)]
    return [f"2026-11-26 10:20:44,381 ERROR [main] com.acme.Shop: order {number} failed", "java.io.IOException: reset", *frames]


def cut(number: int) -> list[str]:
    time_ = "2026-11-26T10:17:09.669794202Z"
    return [f"{time_} stdout P part one of record {number}, ", f"{time_} stdout P two, ", f"{time_} stdout F three"]


def test_records_of_several_lines_are_whole_and_once_over_kills_and_rotations(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    chance = random.Random(5)
    paths = [logs / f"{number}.log" for number in range(FILES)]
    rotations: Counter[Path] = Counter()
    rotated: dict[Path, int] = {}
    killed = 0
    with DaemonProcess(tmp_path, files=[str(logs / "*.log")]) as daemon:
        for number in range(RECORDS):
            path = paths[number % FILES]
            # Trace by trace in two files, cut records in the other two: each in portions, as buffers are written.
            lines = trace(number) if number % 2 else cut(number)
            for line in lines:
                with open(path, "a", encoding="utf-8") as file:
                    file.write(line + "\n")
            if number % (RECORDS // KILLS) == RECORDS // KILLS // 2:
                daemon.wait_until(lambda killed=killed: daemon.actor("file")["pid"] not in (0, killed))
                killed = daemon.signal("file", signal.SIGKILL)
            # What comes and goes under a path while no receiver lives is never seen by one: let this one be seen.
            if chance.random() < 0.02 and number - rotated.get(path, -100) > 100:
                rotated[path] = number
                rotations[path] += 1
                path.rename(path.with_name(f"{path.name}.{rotations[path]}"))
            time.sleep(0.005)
        daemon.wait_until(lambda: len(daemon.events(source="file")) >= RECORDS, 20)
        time.sleep(1.5)
        events = daemon.events(source="file")
        assert len(events) == RECORDS, [event["message"] for event in events if event["severity"] != 17][:5]
        whole: Counter[int] = Counter()
        for event in events:
            fields = daemon.get(f"/api/v1/events/{event['id']}")["fields"]
            message = event["message"]
            if "trace" in fields:
                number = int(message.split()[1])
                assert fields["trace"].split("\n") == trace(number)[1:]
            else:
                number = int(message.split("record ")[1].split(",")[0])
                assert message == f"part one of record {number}, two, three"
            whole[number] += 1
        assert set(whole.values()) == {1} and len(whole) == RECORDS
        ledger = daemon.health()["ledger"]
        assert ledger["breaks"] == 0 and ledger["sources"]["file"]["dropped"] == {}


def test_a_file_that_is_written_anew_is_read_anew_whatever_its_first_line(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    head = "# the same first line of every file, longer than the bytes that a file used to be known by ........\n"
    ways = ["while it runs", "while it is down", "deleted and made anew"]
    said: list[str] = []

    def write(path: Path, mode: str, text: str, count: int) -> None:
        with open(path, mode, encoding="utf-8") as file:
            if mode == "w":
                file.write(head)
                said.append(head.strip())
            for number in range(count):
                said.append(f"{path.stem} {text} {number}")
                file.write(said[-1] + "\n")

    paths = {way: [logs / f"{way.replace(' ', '_')}_{number}.log" for number in range(8)] for way in ways}
    daemon = DaemonProcess(tmp_path, files=[str(logs / "*.log")])

    def messages() -> Counter[str]:
        return Counter(event["message"] for event in daemon.events(source="file"))

    with daemon:
        for path in chain(*paths.values()):
            write(path, "w", "first", 20)
        daemon.wait_until(lambda: messages() == Counter(said), 20)
        for path in paths[ways[0]]:
            write(path, "w", "second time, and longer than before,", 40)
        daemon.wait_until(lambda: messages() == Counter(said), 20)
    for path in paths[ways[1]]:
        write(path, "w", "while it was down, and longer than before,", 40)
    for path in paths[ways[2]]:
        path.unlink()
        write(path, "w", "made anew, and longer than before,", 40)
    with daemon:
        daemon.wait_until(lambda: messages() == Counter(said), 20)


def test_files_that_are_written_anew_while_the_receiver_is_killed_come_once(tmp_path: Path) -> None:
    """24 files of one first line; what was read is cut, deleted or renamed away, with kills at random moments between."""
    logs = tmp_path / "logs"
    logs.mkdir()
    head = "# the same first line of every file, longer than the bytes that a file used to be known by ........"
    paths = [logs / f"{number}.log" for number in range(24)]
    chance = random.Random(17)
    said: Counter[str] = Counter()
    lines = count()

    def write(path: Path, mode: str) -> None:
        new = [head] if mode == "w" else []
        new += [f"{path.stem} line {next(lines)} {'x' * chance.randrange(60)}" for _ in range(chance.randrange(1, 60))]
        said.update(new)
        with open(path, mode, encoding="utf-8") as file:
            file.write("\n".join(new) + "\n")

    with DaemonProcess(tmp_path, files=[str(logs / "*.log")]) as daemon:

        def kill() -> None:
            if time.monotonic() - last_s[0] < 7:
                return  # more than ten in a minute, and the supervisor gives up
            last_s[0] = time.monotonic()
            daemon.wait_until(lambda: daemon.actor("file")["pid"] not in (0, killed[-1]), 30)
            killed.append(daemon.signal("file", signal.SIGKILL))

        def all_came() -> bool:
            return Counter(event["message"] for event in daemon.events(source="file")) == said

        killed, last_s = [0], [0.0]
        for path in paths:
            write(path, "w")
        for _ in range(ROUNDS):
            daemon.wait_until(all_came, 30)
            for path in chance.sample(paths, 6):
                if chance.random() < 0.15:
                    kill()
                way = chance.choice(["cut", "cut", "delete", "rename", "append"])
                if way == "delete":
                    path.unlink()
                elif way == "rename":
                    path.rename(path.with_suffix(".old"))
                write(path, "a" if way == "append" else "w")
        daemon.wait_until(all_came, 30)
        assert daemon.health()["ledger"]["breaks"] == 0 and len(killed) > 1
