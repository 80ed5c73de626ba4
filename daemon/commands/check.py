"""`tocsin check`: lists every fault of the configuration. Reading it has done the work already: it is good if we get here.

`tocsin check --store` verifies what a daemon has stored, one that runs too.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from daemon.configuration import Configuration
from daemon.logs import escape_controls
from daemon.places import state_directory
from daemon.store_check import check_state


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", action="store_true", help="verify the stored state instead, file by file")


def run_command(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Say that the configuration is good; return 0. With --store: list the faults of what is stored; return 1 if any."""
    if arguments.store:
        return _check_store(state_directory(configuration, arguments.state_dir))
    detectors = ", ".join(name for name, detector in configuration.detectors.items() if detector.enabled)
    print("The configuration is good.")
    print(f"Receivers: {', '.join(configuration.receivers.enabled())}. Detectors: {detectors}.")
    return 0


def _check_store(state_dir: Path) -> int:
    if not (state_dir / "store").exists():
        print(f"tocsin: there is no store in {state_dir}: name the daemon's --state-dir or --config", file=sys.stderr)
        return 1
    faults = 0
    for fault in check_state(state_dir, _show):
        _show("")
        print(escape_controls(str(fault)))
        faults += 1
    _show("")
    print(f"{state_dir}: {faults} faults." if faults else f"{state_dir}: everything that is stored is good.")
    return 1 if faults else 0


def _show(name: str) -> None:
    """Show what is being read, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{name}", end="", file=sys.stderr, flush=True)
