"""`tocsin demo`: realistic traffic for a newcomer."""

from __future__ import annotations

import argparse

from daemon.configuration import Configuration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--attack", action="store_true", help="stage an intrusion in the midst of it")


def run_demo(configuration: Configuration, arguments: argparse.Namespace) -> int:
    return 0
