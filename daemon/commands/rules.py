"""`tocsin rules`: looks at Sigma rules without a daemon: which load, what they are, whether one matches a line, and why."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from zoneinfo import ZoneInfo

from actors.parsing.parse import Parser
from actors.sigma.fields import fields_of
from actors.sigma.library import find_files
from actors.sigma.loading import load
from actors.sigma.logsource import logsource_of
from actors.sigma.rules import Refusal, Rule
from actors.sigma.ruleset import RuleSet
from actors.sigma.subject import Subject
from actors.sigma.why import explain
from daemon.configuration import Configuration
from daemon.logs import escape_controls
from protocol.records import Event, Record

EX_REFUSED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, summary in (
        ("check", "load rules and name each that cannot be evaluated, with its place and reason; exit 1 if any"),
        ("list", "list rules with their level, logsource and title"),
    ):
        looking = verbs.add_parser(verb, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        looking.add_argument("paths", nargs="+", metavar="PATH", help="files of rules, or folders with all below them")
    summary = "read a line as syslog would, and tell which rules match it; of a single rule also why, clause by clause"
    testing = verbs.add_parser("test", help=summary, description=f"{summary[0].upper()}{summary[1:]}; exit 1 if none does.")
    testing.add_argument("rule", metavar="PATH", help="file of a rule, or a folder of rules")
    testing.add_argument("line", metavar="LINE", help="one log line")


def run_command(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Look at rules; return the exit status."""
    try:
        files = find_files(arguments.paths if arguments.verb != "test" else [arguments.rule])
    except OSError as error:
        print(f"tocsin: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    if arguments.verb == "check":
        return _check(files)
    if arguments.verb == "list":
        return _list(files)
    return _test(files, arguments.line, configuration)


def _load(files: list[Path]) -> tuple[list[Rule], list[Refusal]]:
    """Load with a count on the terminal: all of SigmaHQ takes some ten seconds."""
    rules: list[Rule] = []
    refusals: list[Refusal] = []
    for number, loaded in enumerate(load(files), 1):
        if isinstance(loaded, Rule):
            rules.append(loaded)
        elif isinstance(loaded, Refusal):
            refusals.append(loaded)
        if sys.stderr.isatty() and number % 50 == 0:
            print(f"\r{number:,} of {len(files):,} files", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    return rules, refusals


def _check(files: list[Path]) -> int:
    rules, refusals = _load(files)
    for refusal in refusals:
        print(escape_controls(str(refusal)), file=sys.stderr)
    print(f"{len(rules):,} rules load, {len(refusals):,} are refused.")
    return EX_REFUSED if refusals else 0


def _list(files: list[Path]) -> int:
    rules, refusals = _load(files)
    for rule in rules:
        source = "/".join(part or "*" for part in (rule.product, rule.category, rule.service))
        print(escape_controls(f"{rule.id:<40} {rule.level:<13} {source:<36} {rule.title}"))
    for refusal in refusals:
        print(escape_controls(f"refused: {refusal}"), file=sys.stderr)
    return 0


def _event_of(line: str, configuration: Configuration) -> Event:
    zone = ZoneInfo(configuration.receivers.syslog.zone)
    record = Record(time.time_ns(), "syslog", "syslog", "", line.encode("utf-8", "surrogateescape"))
    (event,), _ = Parser({"syslog": zone}).parse([record], 1, 1)
    return event


def _test(files: list[Path], line: str, configuration: Configuration) -> int:
    rules, refusals = _load(files)
    for refusal in refusals:
        print(escape_controls(str(refusal)), file=sys.stderr)
    event = _event_of(line, configuration)
    matching = RuleSet(rules).matches(event)
    for rule in matching:
        print(escape_controls(f"{rule.id} matches: {rule.level}, {rule.title}"))
    if not matching:
        print(f"None of {len(rules):,} rules matches." if len(rules) != 1 else f"{rules[0].id} does not match.")
    if len(rules) == 1:
        _say_why(rules[0], event)
    return 0 if matching else EX_REFUSED


def _say_why(rule: Rule, event: Event) -> None:
    fields = fields_of(event)
    source = logsource_of(event, fields)
    if not rule.is_meant_for(source):
        kinds = " ".join(sorted(source.categories | source.services))
        print(f"  it is meant for {_named(rule)}; the line is {source.product}, {kinds}")
    for clause in explain(rule.condition, Subject(fields, event.message)):
            mark = "holds" if clause.holds else "no field" if clause.missing else "fails"
            print(escape_controls(f"  {'  ' * clause.depth}{mark:<9}{clause.text}"))


def _named(rule: Rule) -> str:
    return ", ".join(part for part in (rule.product, rule.category, rule.service) if part) or "everything"
