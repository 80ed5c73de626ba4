"""`tocsin check`: lists every fault of the configuration. Reading it has done the work already: it is good if we get here."""

from __future__ import annotations

import argparse

from daemon.configuration import Configuration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run_command(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Say that the configuration is good; return 0."""
    detectors = ", ".join(name for name, detector in configuration.detectors.items() if detector.enabled)
    print("The configuration is good.")
    print(f"Receivers: {', '.join(configuration.receivers.enabled())}. Detectors: {detectors}.")
    return 0
