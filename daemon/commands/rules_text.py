"""The output of `tocsin rules`. Every text from a rule or a log is on one line and without control characters."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from actors.sigma.inspection.backtest import Account, Backtest
from actors.sigma.inspection.judging import EventJudgements, Judgement
from actors.sigma.inspection.unmatchable import LEAST_EVENTS, Report
from actors.sigma.inspection.workbench import Entry, Listing
from daemon.logs import escape_controls
from protocol.clock import format_time

MAX_SHOWN = 120  # characters of a message
WIDTH = 100  # of a list of names


def one_line(text: str) -> str:
    """Return a text for a terminal."""
    return escape_controls(text).replace("\n", "\\n").replace("\t", "\\t")


def say(text: str = "") -> None:
    print(one_line(text))


def side_by_side(names: Sequence[str]) -> str:
    """Return names side by side, as many a line as fit, behind a margin."""
    safe = [one_line(name) for name in names]
    return textwrap.fill(", ".join(safe), WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


# -- list


def print_listing(listing: Listing) -> None:
    for entry in listing.rules:
        say(_row(entry))
    for refusal in listing.refused:
        say(f"refused: {refusal}")


def _row(entry: Entry) -> str:
    notes = [entry.state] * (entry.state != "in force") + ["silent"] * entry.silent
    matched = "" if entry.matched is None else f"{entry.matched:,}"
    source = entry.logsource or entry.kind
    row = f"{entry.id:<40} {entry.level:<13} {source:<36} {matched:>9}  {entry.title}"
    return row + (f"  ({', '.join(notes)})" if notes else "")


# -- test and why


def print_judged(judged: Sequence[EventJudgements]) -> None:
    for number, each in enumerate(judged, 1):
        if len(judged) > 1:
            say(f"line {number}: {each.message[:MAX_SHOWN]}")
        if len(each.judgements) == 1:
            _print_judgement(each.judgements[0], each, 0)
        else:
            _print_matches(each)


def _print_matches(judged: EventJudgements) -> None:
    matching = [each for each in judged.judgements if each.matches]
    for each in matching:
        say(_verdict(each))
    if not matching:
        say(f"None of {len(judged.judgements):,} rules matches.")


def _verdict(judgement: Judgement) -> str:
    if judgement.kind == "rule":
        return f"{judgement.rule} matches: {_title(judgement)}" if judgement.matches else f"{judgement.rule} does not match."
    if judgement.matches is None:
        return f"{judgement.rule} looks for {judgement.wanted} of:"
    verdict = f"fires: {_title(judgement)}" if judgement.matches else "does not fire"
    return f"{judgement.rule} {verdict}; it looks for {judgement.wanted} of:"


def _title(judgement: Judgement) -> str:
    return f"{judgement.level}, {judgement.title}"


def _print_judgement(judgement: Judgement, judged: EventJudgements, depth: int) -> None:
    margin = "  " * depth
    say(margin + _verdict(judgement))
    margin += "  "
    if judgement.excepted:
        say(f"{margin}an exception holds: {judgement.excepted}")
    for name, value in judgement.group.items():
        say(f"{margin}group  {name} = {value}" if value is not None else f"{margin}group  no field {name}: it takes no part")
    if not judgement.fits:
        say(f"{margin}it is meant for {judgement.meant_for}; the event is {judged.logsource}")
    for clause in judgement.clauses:
        say(f"{margin}{clause.mark:<9}{'  ' * clause.depth}{clause.text}")
    if any(clause.missing for clause in judgement.clauses):
        say(f"{margin}the event has {', '.join(judged.fields)}")
    for inner in judgement.rules:
        _print_judgement(inner, judged, depth + 1)


# -- backtest


def print_backtest(found: Backtest, since_ns: int, until_ns: int) -> None:
    say(f"{found.events:,} events from {format_time(since_ns)} to {format_time(until_ns)}")
    for account in found.rules:
        _print_account(account)
    for account in found.referred_to:
        say(f"{account.rule}, which is referred to: {_counted(account)}")


def _counted(account: Account) -> str:
    silent = ", for it does not ring of its own" if account.silent else ""
    return f"{account.matches:,} matches ({account.share:.3%} of the events), {account.alerts:,} alerts{silent}"


def _print_account(account: Account) -> None:
    say(f"{account.rule}: {_counted(account)}")
    for day in account.days:
        say(f"  {day.day} {day.matches:>9,} matches {day.alerts:>7,} alerts")
    for example in account.examples:
        say(f"  {example.event}  {example.ts}  {example.message[:MAX_SHOWN]}")


# -- never


def print_never(report: Report) -> None:
    for kind in report.kinds:
        say(f"{kind.events:>12,} events of {kind.logsource}, with {kind.fields:,} fields")
    if report.forgotten:
        say(f"{report.forgotten:,} more kinds of log came, with few events each.")
    if not report.enough:
        say(f"{report.events:,} events came; nothing can be said before {LEAST_EVENTS:,}.")
        return
    reasons: dict[str, list[str]] = {}
    for each in report.never:
        reasons.setdefault(each.reason, []).append(each.rule)
    for reason, rules in reasons.items():
        say(f"{reason}:")
        print(side_by_side(rules))
    say(f"{len(report.never):,} rules cannot match anything like the {report.events:,} events that came.")
