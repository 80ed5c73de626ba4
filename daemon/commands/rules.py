"""`tocsin rules`: work with Sigma rules. It needs no daemon; with one it knows the matches and the inventory."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from actors.sigma.inspection.workbench import MAX_LINES, Choice, NotReady, NotThere, Workbench
from actors.sigma.settings import Settings
from actors.storage.errors import NewerStore
from actors.storage.store import open_store_reader, store_folder
from daemon.commands.rule_files import RulesUnreadable, open_workbench, read_documents, show
from daemon.commands.rules_text import one_line, print_backtest, print_judged, print_listing, print_never
from daemon.configuration import Configuration
from daemon.directories import state_directory
from daemon.receivers import Syslog
from protocol.clock import NS_PER_S, format_time, parse_time

EX_REFUSED = 1  # rules that are refused; a rule that does not match
EX_UNUSABLE = 2  # no such rule, file or event
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"([0-9]{1,6})([smhdw])")
_PATH = {"nargs": "*", "metavar": "PATH", "help": "files of rules, or folders; default: what is configured"}


class Unusable(Exception):
    """The command cannot be done; the message says how it can."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = _verb(verbs, "list", "list rules and correlations: level, logsource, how often each matched, title")
    listing.add_argument("paths", **_PATH)  # type: ignore[arg-type]
    listing.add_argument("--json", action="store_true", help="everything that is known of them, as JSON")
    check = _verb(verbs, "check", "read rules and name each that cannot be evaluated, with its place and reason; exit 1 if any")
    check.add_argument("paths", **_PATH)  # type: ignore[arg-type]
    test = _rule_verb(verbs, "test", "read lines as syslog would, and tell clause by clause which match; exit 1 if none does")
    test.add_argument("lines", nargs="+", metavar="LINE", help="log lines, in their order; - for those of standard input")
    why = _rule_verb(verbs, "why", "tell why a rule matches a stored event, clause by clause, or why not; exit 1 if not")
    why.add_argument("event", metavar="EVENT", help="id of the event")
    back = _rule_verb(verbs, "backtest", "tell what a rule would have done with the events that are stored")
    back.add_argument("--since", metavar="TIME", default="7d", help="a time, or how long ago: 12h, 7d (default)")
    back.add_argument("--until", metavar="TIME", default="0s", help="a time, or how long ago; default: now")
    coverage = _verb(verbs, "coverage", "write the rules in force as a layer of the ATT&CK Navigator")
    coverage.add_argument("--output", type=Path, metavar="FILE", help="where to; default: standard output")
    _verb(verbs, "never", "tell which rules can never match what this site sends, and why")


def _verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    for option in ("--config", "--state-dir"):  # as for every command: they may stand behind the verb too
        parser.add_argument(option, type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def _rule_verb(verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str) -> argparse.ArgumentParser:
    parser = _verb(verbs, name, summary)
    parser.add_argument("rule", metavar="RULE", help="id of a rule or correlation in force, or a file or folder of rules")
    return parser


def run_command(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Run the verb; return the exit status."""
    state_dir = state_directory(configuration, arguments.state_dir)
    try:
        workbench = open_workbench(configuration, state_dir, getattr(arguments, "paths", ()))
        return _VERBS[arguments.verb](workbench, configuration, arguments)
    except (RulesUnreadable, NotThere, NotReady, Unusable) as error:
        print(f"tocsin: {one_line(str(error))}", file=sys.stderr)
        return EX_UNUSABLE


def _list(workbench: Workbench, configuration: Configuration, arguments: argparse.Namespace) -> int:
    listing = workbench.listing()
    if arguments.json:
        print(json.dumps(msgspec.to_builtins(listing), indent=1))
    else:
        print_listing(listing)
    return 0


def _check(workbench: Workbench, configuration: Configuration, arguments: argparse.Namespace) -> int:
    collection = workbench.collection
    for refusal in collection.refusals:
        print(one_line(str(refusal)), file=sys.stderr)
    counts = f"{len(collection.rules):,} rules and {len(collection.correlations):,} correlations"
    print(f"{counts} load, {len(collection.refusals):,} are refused.")
    return EX_REFUSED if collection.refusals else 0


def _choose(workbench: Workbench, configuration: Configuration, name: str) -> Choice:
    """Return the rules that RULE names: a file or folder if it is there, else an id."""
    if not Path(name).exists():
        if "/" in name or name.endswith((".yml", ".yaml")):
            raise Unusable(f"{name}: there is no such file")
        return workbench.choose(name)
    settings = msgspec.convert(configuration.rules.settings(), Settings)
    choice = workbench.choose_from(read_documents(settings.sources, name))
    for refusal in choice.refused:
        print(one_line(refusal), file=sys.stderr)
    return choice


def _test(workbench: Workbench, configuration: Configuration, arguments: argparse.Namespace) -> int:
    choice = _choose(workbench, configuration, arguments.rule)
    lines = [line.encode("utf-8", "surrogateescape") for line in arguments.lines]
    if arguments.lines == ["-"]:
        lines = sys.stdin.buffer.read().splitlines()
    if len(lines) > MAX_LINES:
        raise Unusable(f"{len(lines):,} lines are more than the {MAX_LINES:,} that are tried at once; see: tocsin rules backtest")
    judged = workbench.test(choice, lines, time.time_ns(), ZoneInfo(configuration.receiver("syslog", Syslog).zone))
    print_judged(judged)
    return 0 if any(each.matches() for each in judged) else EX_REFUSED


def _check_store(configuration: Configuration, arguments: argparse.Namespace) -> None:
    """Raise Unusable if the store cannot be read."""
    state_dir = state_directory(configuration, arguments.state_dir)
    store = store_folder(state_dir)
    if not os.access(store, os.R_OK | os.X_OK):
        raise Unusable(f"{store} cannot be read: run this as the user of the daemon, or name its --state-dir or --config")
    try:
        open_store_reader(state_dir).check_layout()
    except NewerStore as error:
        raise Unusable(str(error)) from error


def _why(workbench: Workbench, configuration: Configuration, arguments: argparse.Namespace) -> int:
    _check_store(configuration, arguments)
    judged = workbench.why(_choose(workbench, configuration, arguments.rule), arguments.event)
    print_judged([judged])
    return 0 if judged.matches() else EX_REFUSED


def _backtest(workbench: Workbench, configuration: Configuration, arguments: argparse.Namespace) -> int:
    _check_store(configuration, arguments)
    choice = _choose(workbench, configuration, arguments.rule)
    now_ns = time.time_ns()
    since_ns, until_ns = read_moment(arguments.since, now_ns), read_moment(arguments.until, now_ns)

    def go_on(read: int, event_ns: int) -> bool:
        show(f"{read:,} events, up to {format_time(event_ns)}")
        return True

    found = workbench.backtest(choice, since_ns, until_ns, go_on)
    show("")
    print_backtest(found, since_ns, until_ns)
    return 0


def read_moment(text: str, now_ns: int) -> int:
    """Return the time that `7d` ago was, or that a text names. Raises Unusable."""
    if span := _SPAN.fullmatch(text):
        return now_ns - int(span[1]) * _UNITS[span[2]] * NS_PER_S
    try:
        return parse_time(text)
    except (ValueError, OverflowError) as error:
        raise Unusable(f"{text!r} is neither a time such as 2026-05-13T15:30:00Z nor a span such as 12h or 7d") from error


def _coverage(workbench: Workbench, configuration: Configuration, arguments: argparse.Namespace) -> int:
    text = json.dumps(workbench.coverage(), indent=1) + "\n"
    if arguments.output is None:
        print(text, end="")
        return 0
    try:
        arguments.output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Unusable(f"{arguments.output}: {error.strerror}") from error
    return 0


def _never(workbench: Workbench, configuration: Configuration, arguments: argparse.Namespace) -> int:
    print_never(workbench.never())
    return 0


_VERBS = {
    "list": _list,
    "check": _check,
    "test": _test,
    "why": _why,
    "backtest": _backtest,
    "coverage": _coverage,
    "never": _never,
}
