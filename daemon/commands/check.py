"""`tocsin check`: lists every fault of the configuration. Reading it has done most of the work already: what is left to look
at is the rules that it names.

`tocsin check --store` verifies what a daemon has stored, one that runs too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from actors.storage.store import has_store
from daemon.commands.rule_files import RulesUnreadable, open_workbench, show
from daemon.configuration import Configuration, Rules
from daemon.directories import state_directory
from daemon.logs import escape_controls
from daemon.store_check import check_state

EX_CONFIG = 78  # sysexits.h


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", action="store_true", help="verify the stored state instead, file by file")


def run_command(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Say that the configuration is good; return 0, or 78 if rules are refused. With --store: the same of the store; 1 if any."""
    if arguments.store:
        return _check_store(state_directory(configuration, arguments.state_dir))
    if faults := list(_rule_faults(configuration, state_directory(configuration, arguments.state_dir))):
        for fault in faults:
            print(f"tocsin: {escape_controls(fault)}", file=sys.stderr)
        return EX_CONFIG
    detectors = ", ".join(name for name, detector in configuration.detectors.items() if detector.enabled)
    print("The configuration is good.")
    print(f"Receivers: {', '.join(configuration.enabled_receivers())}. Detectors: {detectors}.")
    return 0


def _rule_faults(configuration: Configuration, state_dir: Path) -> Iterator[str]:
    """Yield the refused rules, if the configuration names any."""
    rules = configuration.rules
    if not rules.enabled or rules == Rules():
        return
    try:
        yield from map(str, open_workbench(configuration, state_dir).collection.refusals)
    except RulesUnreadable as error:
        yield str(error)


def _check_store(state_dir: Path) -> int:
    if not has_store(state_dir):
        print(f"tocsin: there is no store in {state_dir}: name the daemon's --state-dir or --config", file=sys.stderr)
        return 1
    faults = 0
    for fault in check_state(state_dir, show):
        show("")
        print(escape_controls(str(fault)))
        faults += 1
    show("")
    print(f"{state_dir}: {faults} faults." if faults else f"{state_dir}: everything that is stored is good.")
    return 1 if faults else 0
