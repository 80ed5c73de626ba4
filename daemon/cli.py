"""The command line. Only the module of the command that was typed is imported: the supervisor has to stay lean."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from daemon import VERSION
from daemon.configuration_loader import ConfigurationError, config_path, read_configuration

EX_CONFIG = 78  # sysexits.h
EX_INTERRUPTED, EX_BROKEN_PIPE = 130, 141  # 128 and the signal, as shells have it

COMMANDS = {
    "run": "run the daemon in the foreground",
    "check": "list every fault of the configuration; exit 78 if any",
    "status": "show how a running daemon is",
    "tail": "show events and alerts live",
    "restart": "restart one actor of a running daemon",
    "reload": "let a running daemon read its configuration anew",
    "quarantine": "list records that an actor died of; look at one, send it again or throw it away",
    "backup": "make a consistent copy of the state, of a running daemon too",
    "rules": "live with Sigma rules: list, check, test, why, backtest, coverage, never",
    "parse": "show how a line is read",
    "topology": "show the actors and the edges between them",
    "demo": "send realistic traffic to a running daemon",
}


def make_parser(typed: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of the command line: every command with its summary, the typed one with its arguments."""
    parser = argparse.ArgumentParser(
        prog="tocsin",
        description="Watches a site's logs and rings when something is wrong.",
        epilog="The documentation is in README.md and docs/.",
    )
    parser.add_argument("--version", action="version", version=f"tocsin {VERSION}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration file (default: /etc/tocsin/tocsin.toml if it is there)"
    )
    common.add_argument("--state-dir", type=Path, metavar="DIR", help="where the daemon keeps its state")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    wanted = next((word for word in typed if word in COMMANDS), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, parents=[common], help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name == wanted:
            module = importlib.import_module(f"daemon.commands.{name}")
            module.add_arguments(command)
            command.set_defaults(run_command=module.run_command)
    return parser


def main(typed: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    typed = sys.argv[1:] if typed is None else typed
    arguments = make_parser(typed).parse_args(typed)
    try:
        configuration = read_configuration(
            config_path(arguments.config), look_at_files=arguments.command in ("run", "check")
        )
    except ConfigurationError as error:
        for fault in error.faults:
            print(f"tocsin: {fault}", file=sys.stderr)
        return EX_CONFIG
    status = 0
    try:
        status = arguments.run_command(configuration, arguments)
    except* KeyboardInterrupt:
        status = EX_INTERRUPTED
    except* BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = EX_BROKEN_PIPE
    return status


if __name__ == "__main__":
    sys.exit(main())
