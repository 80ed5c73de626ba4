"""`tocsin restart ACTOR`: restarts one actor of a running daemon."""

from __future__ import annotations

import argparse

from daemon.commands.control_client import ask
from daemon.configuration import Configuration
from daemon.directories import state_directory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("actor", metavar="ACTOR", help="name of the actor, as `tocsin status` shows it")


def run_command(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Ask a running daemon to restart an actor; return the exit status."""
    return ask(state_directory(configuration, arguments.state_dir), "restart", arguments.actor)
