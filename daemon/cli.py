"""The command line: tocsin run | check | status | tail | restart | demo."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from daemon import demo, status, tail
from daemon.configuration import Configuration, ConfigurationError, read_configuration
from daemon.restart_command import request_restart
from daemon.run import run_daemon

EX_CONFIG = 78  # sysexits.h
EX_INTERRUPTED, EX_BROKEN_PIPE = 130, 141  # 128 and the signal, as shells have it
VERSION = "0.1.0"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tocsin",
        description="Watches a site's logs and rings when something is wrong.",
        epilog="The documentation is in README.md and docs/.",
    )
    parser.add_argument("--version", action="version", version=f"tocsin {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration file (default: /etc/tocsin/tocsin.toml if it is there)"
    )
    common.add_argument("--state-dir", type=Path, metavar="DIR", help="where the daemon keeps its state")

    commands.add_parser("run", parents=[common], help="run the daemon in the foreground", description="Run the daemon.")
    commands.add_parser(
        "check", parents=[common], help="check the configuration", description="List every fault; exit 78 if any."
    )
    one = commands.add_parser(
        "status", parents=[common], help="show how a running daemon is", description="Show how a running daemon is."
    )
    one.add_argument("--json", action="store_true", help="print the whole health as JSON")
    one = commands.add_parser(
        "tail", parents=[common], help="show events and alerts live", description="Show events and alerts live."
    )
    tail.add_arguments(one)
    one = commands.add_parser(
        "restart", parents=[common], help="restart one actor of a running daemon", description="Restart one actor."
    )
    one.add_argument("actor", metavar="ACTOR", help="name of the actor, as `tocsin status` shows it")
    one = commands.add_parser(
        "demo", parents=[common], help="send realistic traffic to a running daemon", description="Send realistic traffic."
    )
    demo.add_arguments(one)
    return parser


def _config_path(given: Path | None) -> Path | None:
    default = Path("/etc/tocsin/tocsin.toml")
    return given or (default if default.exists() else None)


def _dispatch(arguments: argparse.Namespace, configuration: Configuration) -> int:
    state_dir = arguments.state_dir
    match arguments.command:
        case "run":
            return run_daemon(configuration, state_dir)
        case "check":
            print("The configuration is good.")
            return 0
        case "status":
            return status.show_status(configuration, as_json=arguments.json)
        case "tail":
            return tail.run_tail(configuration, arguments)
        case "restart":
            return request_restart(configuration, state_dir, arguments.actor)
        case _:
            return demo.run_demo(configuration, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        configuration = read_configuration(_config_path(parsed.config))
    except ConfigurationError as error:
        for fault in error.faults:
            print(f"tocsin: {fault}", file=sys.stderr)
        return EX_CONFIG
    status = 0
    try:
        status = _dispatch(parsed, configuration)
    except* KeyboardInterrupt:
        status = EX_INTERRUPTED
    except* BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = EX_BROKEN_PIPE
    return status


if __name__ == "__main__":
    sys.exit(main())
