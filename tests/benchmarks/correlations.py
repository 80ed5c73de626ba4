"""`make bench-correlations`: Sigma correlations against exact counts of a real log, and what a matched event costs.

The rule, the parser and the fields are the real ones. Of each address that the truth has, at 5 and 10 failures in 60 and 300 s.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

from actors.parsing.parse import Parser
from actors.sigma.correlation.correlations import Correlation, resolve
from actors.sigma.correlation.correlator import Correlator
from actors.sigma.matching.fields import fields_of
from actors.sigma.rules.correlation_documents import read_correlation
from actors.sigma.rules.rule import Rule
from actors.sigma.ruleset import RuleSet
from protocol.records import Event, Record
from tests.actors.sigma.files import load
from tests.daemon_process import DATA

FAILED = """title: SSH login failed
name: failed
logsource: {product: linux, service: sshd}
detection: {keywords: ['Failed password for', 'Failed none for'], condition: keywords}
"""
EVENTS = 200_000
SECOND = 10**9
READ_NS = 1_735_603_200 * SECOND  # 2024-12-31: the lines have no year, and are of the December before they are read


def correlation(name: str, kind: str, condition: dict[str, Any], timespan: str, rules: str = "failed") -> Correlation:
    parts = {"type": kind, "rules": rules.split(), "group-by": ["src_ip"], "timespan": timespan, "condition": condition}
    return read_correlation({"title": name, "name": name, "correlation": parts}, "bench.yml")


def correlator(*given: Correlation) -> Correlator:
    return Correlator(resolve(given, {"failed": "failed", "success": "success"}).correlations)


def engine_of(text: str) -> RuleSet:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rule.yml"
        path.write_text(text)
        return RuleSet([each for each in load([path]) if isinstance(each, Rule)])


def events_of(log: Path) -> list[Event]:
    lines = log.read_bytes().splitlines()
    return Parser().parse([Record(READ_NS, "file", "line", "", line) for line in lines], 1, 1)[0]


def addresses_over(events: list[Event], counts: tuple[int, ...], seconds: tuple[int, ...]) -> dict[str, set[str]]:
    """Return the addresses that each count in each timespan is fired for, by the names that the truth uses."""
    given = [
        correlation(f"event_count_gte{count}_in_{span}s", "event_count", {"gte": count}, f"{span}s")
        for count in counts
        for span in seconds
    ]
    rules, engine = engine_of(FAILED), correlator(*given)
    assert len({event.event_ns for event in events}) > 1, "the times of the lines were not read"
    found: dict[str, set[str]] = {each.id: set() for each in given}
    for number, event in enumerate(events):
        matched = [rule.id for rule in rules.matches(event)]
        for firing in engine.feed(event.event_ns, str(number), matched, fields_of(event)):
            found[firing.correlation].add(firing.group["src_ip"])
    return found


def cost_us(engine: Correlator, sources: int) -> float:
    """Return microseconds of processor for an event that one rule of one correlation matches."""
    chance = random.Random(1)
    events = [
        (
            number * SECOND // 50,
            str(number),
            ("failed",),
            {"src_ip": str(chance.randrange(sources)), "user": str(number % 97), "n": 5},
        )
        for number in range(EVENTS)
    ]
    began_s = time.process_time()
    for event in events:
        engine.feed(*event)
    return (time.process_time() - began_s) / EVENTS * 1e6


def worst_mib() -> float:
    """Return the memory of one correlation that is flooded with sources."""
    engine = correlator(correlation("many", "event_count", {"gte": 10}, "1h"))
    tracemalloc.start()
    for number in range(100_000):
        engine.feed(number, f"{number:026}", ("failed",), {"src_ip": str(number % 9_999)})
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return size / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    wrong = 0
    truth = arguments.data / "auth" / "ssh_bruteforce_oracle.json"
    if truth.exists():
        expected = json.loads(truth.read_text())["loghub_OpenSSH_2k"]["expect"]
        events = events_of(arguments.data / "parsing" / "OpenSSH" / "OpenSSH_2k.log")
        found = addresses_over(events, (5, 10), (60, 300))
        for name, addresses in expected.items():
            wrong += found[name] != set(addresses)
            print(f"{name}: {len(found[name])} addresses, {len(found[name] ^ set(addresses))} differ")
    else:
        print(f"{truth} is not there", file=sys.stderr)
    for kind, condition in (
        ("event_count", {"gte": 10}),
        ("event_count", {"gte": 1_000}),
        ("value_count", {"gte": 10, "field": "user"}),
        ("value_sum", {"gte": 1_000_000, "field": "n"}),
        ("value_percentile", {"gte": 1_000_000, "field": "n", "percentile": 95}),
    ):
        for sources in (1, 5_000):
            cost = cost_us(correlator(correlation("bench", kind, condition, "5m")), sources)
            print(f"{kind} {condition}, {sources:,} sources: {cost:.1f} us an event")
    chain = correlation("bench", "event_count", {"gte": 10}, "5m"), correlation("outer", "event_count", {"gte": 3}, "1h", "bench")
    print(f"a chain of two: {cost_us(correlator(*chain), 50):.1f} us an event")
    print(f"one correlation flooded with sources: {worst_mib():.0f} MiB")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
