"""`tocsin quarantine`: the records that an actor died of more than once; look at them, send them again, throw them away."""

from __future__ import annotations

import argparse
import sys

from actors.receivers.quarantine import QuarantinedRecord, QuarantineFolder
from daemon.commands.control_client import ask
from daemon.configuration import Configuration
from daemon.directories import state_directory
from daemon.logs import escape_controls
from protocol.clock import format_time

MAX_SHOWN_BYTES = 4_096


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "verb",
        nargs="?",
        default="list",
        choices=("list", "show", "retry", "drop"),
        help="list them all (default); show one; retry: send it again; drop: throw it away",
    )
    parser.add_argument("record", nargs="?", default="", metavar="RECORD", help="which one, by the name that the list shows")


def run_command(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """List the quarantine or do something with one record; return the exit status."""
    state_dir = state_directory(configuration, arguments.state_dir)
    quarantined = QuarantineFolder(state_dir)
    if arguments.verb == "list":
        _list(quarantined)
        return 0
    try:
        aside = quarantined.get(arguments.record)
    except LookupError as error:
        print(f"tocsin: {error.args[0]}; see: tocsin quarantine", file=sys.stderr)
        return 1
    if arguments.verb == "show":
        _show(aside)
    elif arguments.verb == "drop":
        quarantined.delete(aside.name)
    else:
        return ask(state_dir, "retry", aside.name)
    return 0


def _list(quarantined: QuarantineFolder) -> None:
    asides = sorted(quarantined.all(), key=lambda aside: aside.put_ns)
    for aside in asides:
        how = escape_controls(aside.reason.strip().rpartition("\n")[2])
        print(f"{aside.name}  {format_time(aside.put_ns)}  {len(aside.record.body):,} bytes  {aside.actor}: {how}")
    if not asides:
        print("The quarantine is empty.")


def _show(aside: QuarantinedRecord) -> None:
    record = aside.record
    print(f"record    {aside.name}")
    print(f"put aside {format_time(aside.put_ns)}, because {aside.actor} died of it twice")
    whence = escape_controls(f"source {record.source}, from {record.origin}")  # a file, or a certificate, may have any name
    print(f"received  {format_time(record.observed_ns)} by {aside.receiver}, {whence}")
    print(escape_controls(aside.reason.strip()))
    print(f"its {len(record.body):,} bytes{_cut(record.body)}:")
    print(escape_controls(record.body[:MAX_SHOWN_BYTES].decode("utf-8", "backslashreplace")))


def _cut(body: bytes) -> str:
    return f", the first {MAX_SHOWN_BYTES:,} of them" if len(body) > MAX_SHOWN_BYTES else ""
