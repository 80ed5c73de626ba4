"""Measure template grouping from raw lines through the whole parser, and what a line costs.

    python -m tests.benchmarks.parsing [--data DIR]

GA: share of lines whose group is exactly the group of its true template. FGA: F1 of groups that are exactly right.
PA: share of lines whose template reads exactly as the truth, runs of variables counted as one.
(Zhu et al., Tools and Benchmarks for Automated Log Parsing, ICSE-SEIP 2019; Jiang et al., LogPub, ISSTA 2024.)
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from actors.parsing.drain import Drain
from actors.parsing.entities import find_entities
from actors.parsing.features import content_features
from actors.parsing.parse import Parser
from protocol.clock import parse_time
from protocol.records import Event, Form, Record

DATA = Path(__file__).parents[3] / "shared" / "data" / "parsing"
OBSERVED_NS = parse_time("2026-11-23T12:00:00Z")


def read_system(folder: Path) -> tuple[list[str], list[str]]:
    """Return the raw lines and their true templates."""
    truth = next(folder.glob("*_structured_corrected.csv"))
    with truth.open(encoding="utf-8", newline="") as file:
        templates = [row["EventTemplate"] for row in csv.DictReader(file)]
    lines = next(folder.glob("*.log")).read_text(encoding="utf-8", errors="backslashreplace").split("\n")
    return [line.rstrip("\r") for line in lines[: len(templates)]], templates


def parse_lines(lines: Sequence[str], form: Form) -> list[Event]:
    parser = Parser()
    records = [Record(OBSERVED_NS, "bench", form, "bench", line.encode()) for line in lines]
    events: list[Event] = []
    for start in range(0, len(records), 256):
        events += parser.parse(records[start : start + 256], 1, start)[0]
    return events


def grouping(predicted: Sequence[int], truth: Sequence[str]) -> tuple[float, float]:
    """Return GA and FGA."""
    ours: dict[int, set[int]] = defaultdict(set)
    theirs: dict[str, set[int]] = defaultdict(set)
    for line, (number, template) in enumerate(zip(predicted, truth, strict=True)):
        ours[number].add(line)
        theirs[template].add(line)
    right = {frozenset(lines) for lines in theirs.values()}
    correct = [lines for lines in ours.values() if frozenset(lines) in right]
    precision, recall = len(correct) / len(ours), len(correct) / len(theirs)
    score = 2 * precision * recall / (precision + recall) if correct else 0.0
    return sum(map(len, correct)) / len(predicted), score


def normalise(template: str) -> str:
    return re.sub(r"<\*>(?:[ .:,/#_-]*<\*>)+", "<*>", " ".join(template.split()))


def measure_cost(lines: Sequence[str], form: Form) -> str:
    """Return microseconds a line in steady state: the whole, then its stages."""
    records = [Record(OBSERVED_NS, "bench", form, "bench", line.encode()) for line in lines]
    parser = Parser()
    parser.parse(records, 1, 0)
    started = time.perf_counter()
    events, _ = parser.parse(records, 1, 0)
    whole = time.perf_counter() - started
    drain = Drain()
    for event in events:
        drain.learn(event.message)
    stages = [
        ("drain", lambda event: drain.learn(event.message)),
        ("entities", lambda event: find_entities(event.message, event.fields)),
        ("features", lambda event: content_features(event.message, 0.1, 2, 9)),
    ]
    parts = []
    for name, stage in stages:
        started = time.perf_counter()
        for event in events:
            stage(event)
        parts.append(f"{name} {(time.perf_counter() - started) / len(lines) * 1e6:.1f}")
    return f"{whole / len(lines) * 1e6:6.1f}  ({', '.join(parts)}, rest is header, format and columns)"


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=DATA, help="folder with one folder per system")
    arguments.add_argument("--form", choices=("line", "syslog"), default="line")
    options = arguments.parse_args()
    folders = sorted(path for path in options.data.glob("*/") if any(path.glob("*_structured_corrected.csv")))
    if not folders:
        print(f"no systems in {options.data}; name the folder that holds them with --data", file=sys.stderr)
        return 2
    rows = []
    print(f"{'system':12} {'GA':>6} {'FGA':>6} {'PA':>6} {'templates':>9}   us a line")
    for folder in folders:
        print(f"measuring {folder.name}", file=sys.stderr)
        try:
            lines, truth = read_system(folder)
        except (OSError, StopIteration, KeyError, csv.Error) as error:
            print(f"{folder.name:12} is not measured: {error!r}")
            continue
        if len(lines) < len(truth):
            print(f"{folder.name:12} has {len(lines)} lines and templates for {len(truth)}: the rest is not measured")
            truth = truth[: len(lines)]
        events = parse_lines(lines, options.form)
        accuracy, score = grouping([event.template_id for event in events], truth)
        last = {event.template_id: event.template for event in events}
        pairs = zip(events, truth, strict=True)
        exact = sum(normalise(last[event.template_id]) == normalise(true) for event, true in pairs) / len(truth)
        rows.append((accuracy, score, exact))
        cost = measure_cost(lines, options.form)
        print(f"{folder.name:12} {accuracy:6.3f} {score:6.3f} {exact:6.3f} {len(last):4}/{len(set(truth)):<4} {cost}")
    if not rows:
        return 1
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    print(f"{'mean':12} {means[0]:6.3f} {means[1]:6.3f} {means[2]:6.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
