"""Whom the rules of our own alert on logs that others have labelled; `tests.benchmarks.scenarios` runs it.

crowdsec: share of the attack scenarios in which an attacker's address is alerted, of those whose logs are of a kind that the
parser reads: some event has the attacker as `src_ip`. web: parameters of attacks and of ordinary use, each sent as an access
line of its own; and a log of ordinary requests, in which no rule may alert. cost: of all rules on lines of syslog.
"""

from __future__ import annotations

import csv
import gzip
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from actors.parsing.parse import Parser
from protocol.clock import parse_time
from protocol.records import Record
from tests.rules.pipeline import Hit, builtin, rule_set, run, silent

OBSERVED_NS = parse_time("2026-11-23T12:00:00Z")
ROUNDS = 15
LEVELS = ("informational", "low", "medium", "high", "critical")
CHUNK = 2000  # lines whose hits are counted together; each has an address of its own


def levels() -> dict[str, int]:
    rules, correlations = builtin()
    of_rules = {each.id: LEVELS.index(each.level) for each in rules}
    return of_rules | {each.id: LEVELS.index(each.level) for each in correlations}


def alerting(hits: Iterator[Hit], least: int = 1) -> Iterator[Hit]:
    known = levels()
    return (hit for hit in hits if hit.name not in silent() and known[hit.name] >= least)


def addresses(hit: Hit) -> set[str]:
    return {str(hit.fields.get(name)) for name in ("src_ip", "user")} | set(hit.group.values())


def measure_scenarios(folder: Path, show: bool) -> None:
    alerted, total, unread, loud = 0, 0, [], []
    for line in (folder / "ground_truth.jsonl").read_text().splitlines():
        truth: dict[str, Any] = json.loads(line)
        lines = (folder / truth["log"]).read_text("utf-8", "backslashreplace").splitlines()
        sources = {source.removeprefix("::ffff:") for overflow in truth.get("overflows", ()) for source in overflow["sources"]}
        hits = list(alerting(run(lines, OBSERVED_NS)))
        if not sources:
            loud += [(truth["test"], name) for name in {hit.name for hit in alerting(iter(hits), 2)}]
            continue
        if not sources & _seen(lines):
            unread.append((truth["test"], truth["log_type"]))
            continue
        total += 1
        found = any(sources & addresses(hit) for hit in hits)
        alerted += found
        if show and not found:
            print("  not alerted:", truth["test"], truth["log_type"], [each["scenario"] for each in truth["overflows"]][:2])
    print(f"crowdsec attackers alerted: {alerted} of {total} ({alerted / total:.1%}); logs not read: {unread}")
    if show:
        print("  alerts in logs that are not of an attack:", loud)


def _seen(lines: list[str]) -> set[str]:
    events, _ = Parser().parse([Record(OBSERVED_NS, "file", "line", "", line.encode()) for line in lines], 1, 1)
    subjects = [rule_set().subject_of(event)[0].fields for event in events]
    return {str(fields.get(name)) for fields in subjects for name in ("src_ip", "user")}


def measure_web(folder: Path, show: bool) -> None:
    with gzip.open(folder / "apache_access_benign.log.gz", "rt", errors="backslashreplace") as file:
        lines = file.read().splitlines()
    hits = list(alerting(run(lines, OBSERVED_NS)))
    loud = {hit.line for hit in hits}
    print(f"benign access lines: {len(loud)} of {len(lines)} alerted; {dict(Counter(hit.name for hit in hits))}")
    for hit in hits if show else ():
        print("  benign:", hit.name, lines[hit.line][:300])
    with gzip.open(folder / "httpparams_train.csv.gz", "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    found, total = Counter[str](), Counter[str]()
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        requests = [_request(row["payload"], place) for place, row in enumerate(part)]
        alerted = {hit.line: hit.name for hit in alerting(run(requests, OBSERVED_NS), 2)}
        for place, row in enumerate(part):
            total[row["attack_type"]] += 1
            found[row["attack_type"]] += place in alerted
            if show and (place in alerted) != (row["label"] == "anom"):
                print(
                    "  ",
                    "alerted" if place in alerted else "missed",
                    row["attack_type"],
                    alerted.get(place, ""),
                    row["payload"][:160],
                )
    attacks = [kind for kind in total if kind != "norm"]
    hits_of_attacks, of_attacks = sum(found[kind] for kind in attacks), sum(total[kind] for kind in attacks)
    print(f"attack parameters alerted: {hits_of_attacks} of {of_attacks} ({hits_of_attacks / of_attacks:.1%});", end=" ")
    print(", ".join(f"{kind} {found[kind] / total[kind]:.1%}" for kind in sorted(total)))


def _request(payload: str, place: int) -> str:
    address = f"198.18.{place // 250}.{place % 250}"
    return f'{address} - - [23/Nov/2026:12:00:00 +0000] "GET /?q={quote(payload, safe="")} HTTP/1.1" 200 512 "-" "Mozilla/5.0"'


def measure_cost(path: Path) -> None:
    """Print what all rules of our own cost an event."""
    lines = path.read_text("utf-8", "backslashreplace").splitlines()
    events, _ = Parser().parse([Record(OBSERVED_NS, "file", "line", "", line.encode()) for line in lines], 1, 1)
    rules = rule_set()
    rounds_s = []
    for _ in range(ROUNDS):
        began_s = time.process_time()
        for event in events:
            rules.matches(event)
        rounds_s.append(time.process_time() - began_s)
    best, middle = min(rounds_s) / len(events) * 1e6, sorted(rounds_s)[ROUNDS // 2] / len(events) * 1e6
    print(f"all rules of our own: {best:.1f} us a line of {path.name} at best, {middle:.1f} in the middle of {ROUNDS} rounds")
