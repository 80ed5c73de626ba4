"""`make bench-sigma`: the Sigma engine against the rules and recorded events of SigmaHQ, and against the specification.

How many rules load and in what time; whether each recorded event is matched by its own rule, and how all matches agree
with those expected (Jaccard); what an event costs with all rules of its logsource tried; and random rules and events on
which the engine and a slow reference have to agree.
"""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from actors.parsing.parse import Parser
from actors.sigma.matching.fields import fields_of
from actors.sigma.matching.logsource import logsource_of
from actors.sigma.matching.predicates import compile_condition
from actors.sigma.matching.subject import Subject
from actors.sigma.rules.library import find_files
from actors.sigma.rules.rule import Rule
from actors.sigma.ruleset import RuleSet
from protocol.records import Event, Record
from tests.actors.sigma.files import load
from tests.actors.sigma.pairs import differences
from tests.daemon_process import DATA

ROUNDS = 5
PAIRS_A_RULE = 20


def unpack(archive: Path, folder: Path) -> list[Path]:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return find_files([str(folder)])


def objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects that stand one behind the other in a text, or in a list."""
    decoder, at = json.JSONDecoder(), 0
    while text[at:].strip():
        while text[at].isspace():
            at += 1
        found, at = decoder.raw_decode(text, at)
        yield from found if isinstance(found, list) else [found]


def as_event(found: dict[str, Any]) -> Event:
    return Event("", 0, 0, "windows", 9, json.dumps(found), 0, "", [], {"body": found})


class Plain:
    """The same without a prefilter, for comparison: every rule of the logsource is tried."""

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = [(rule, compile_condition(rule.condition)) for rule in rules]

    def matches(self, event: Event) -> list[Rule]:
        fields = fields_of(event)
        source = logsource_of(event, fields)
        subject = Subject(fields, event.message)
        return [rule for rule, holds in self._rules if rule.is_meant_for(source) and holds(subject)]


def cost_us(engine: RuleSet | Plain, events: list[Event], rounds: int) -> float:
    """Return microseconds of processor an event."""
    for event in events:
        engine.matches(event)
    began_s = time.process_time()
    for _ in range(rounds):
        for event in events:
            engine.matches(event)
    return (time.process_time() - began_s) / rounds / len(events) * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA / "sigma")
    parser.add_argument("--pairs", type=int, default=100_000)
    arguments = parser.parse_args()
    if not arguments.data.exists():
        print(f"{arguments.data} is not there", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        files = unpack(next(arguments.data.glob("*.tar.xz")), Path(folder))
        began_s = time.process_time()
        loaded = list(load(files))
        rules = [each for each in loaded if isinstance(each, Rule)]
        print(f"rules: {len(rules):,} of {len(loaded):,} load, in {time.process_time() - began_s:.1f} s of processor")
        ids = _ids(rules)
    expected = [json.loads(line) for line in (arguments.data / "regression_expected.jsonl").read_text().splitlines()]
    engine, events, own, both, either = RuleSet(rules), list[Event](), 0, 0, 0
    for case in expected:
        try:
            cases = [as_event(found) for found in objects((arguments.data / case["file"]).read_text("utf-8-sig"))]
            wanted_of = [set(wanted) for wanted in case["matches_per_event"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"not measured: {str(case)[:120]}: {error!r}")
            continue
        got = [{ids[rule.path] for rule in engine.matches(event)} for event in cases]
        own += any(case["rule"] in matched for matched in got)
        if len(got) != len(wanted_of):
            print(f"{case['file']}: {len(got)} events, expected matches of {len(wanted_of)}")
        for matched, wanted in zip(got, wanted_of, strict=False):
            both, either = both + len(matched & wanted), either + len(matched | wanted)
        events += cases
    jaccard = both / max(1, either)
    print(f"recorded events: {own} of {len(expected)} matched by their own rule; all matches: Jaccard {jaccard:.4f}")
    lines = [*parsed(arguments.data.parent / "parsing" / "OpenSSH" / "OpenSSH_2k.log")]
    for name, those in (("Sysmon", events), ("syslog", lines)):
        fast, slow = cost_us(engine, those, ROUNDS), cost_us(Plain(rules), those[:150], 1)
        print(f"cost: {fast:.0f} us an event of {name} with all rules; {slow:.0f} without the prefilter")
    found = differences(1, arguments.pairs // PAIRS_A_RULE, PAIRS_A_RULE)
    print(f"reference: {len(found)} differences in {arguments.pairs:,} random pairs")
    return int(bool(found))


def parsed(path: Path) -> Iterator[Event]:
    """Yield the events of a log file, if it is there."""
    if path.exists():
        records = [Record(0, "file", "line", "", line) for line in path.read_bytes().splitlines()]
        yield from Parser().parse(records, 1, 1)[0]


def _ids(rules: list[Rule]) -> dict[str, str]:
    """Return the UUID of each rule by its path."""
    return {rule.path: next(_uuid_lines(rule.path), rule.id) for rule in rules}


def _uuid_lines(path: str) -> Iterator[str]:
    for line in Path(path).read_text().splitlines():
        if line.startswith("id:"):
            yield line.partition(":")[2].split("#")[0].strip()


if __name__ == "__main__":
    sys.exit(main())
