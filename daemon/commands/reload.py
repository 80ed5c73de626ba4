"""`tocsin reload`: lets a running daemon read its configuration anew; one with a fault changes nothing."""

from __future__ import annotations

import argparse

from daemon.commands.control_client import ask
from daemon.configuration import Configuration
from daemon.directories import state_directory

PATIENCE_S = 120.0  # receivers that change drain first


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run_command(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Ask a running daemon to read its configuration; return the exit status."""
    return ask(state_directory(configuration, arguments.state_dir), "reload", patience_s=PATIENCE_S)
