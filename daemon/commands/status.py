"""`tocsin status`: how a running daemon is, for people and as JSON."""

from __future__ import annotations

import argparse
import json
import sys
import urllib.error
import urllib.request
from typing import Any

from daemon.configuration import Configuration
from daemon.logs import escape_controls


def fetch_health(configuration: Configuration) -> dict[str, Any]:
    """Return the health of the running daemon. Raises OSError or ValueError."""
    address = configuration.http.listen
    headers = {"Authorization": f"Bearer {configuration.http.token}"} if configuration.http.token else {}
    request = urllib.request.Request(f"http://{address}/api/v1/health", headers=headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        health: dict[str, Any] = json.load(answer)
    return health


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the whole health as JSON")


def run_command(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Print the status; return 0 if all is well, 1 if the daemon is degraded, 2 if it does not answer."""
    try:
        health = fetch_health(configuration)
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        print(f"tocsin: no daemon answers on {configuration.http.listen}: {reason}", file=sys.stderr)
        return 2
    print(json.dumps(health, indent=2) if arguments.json else "\n".join(_lines(health)))
    return 0 if health["state"] == "ok" else 1


def _lines(health: dict[str, Any]) -> list[str]:
    lines = [
        f"tocsin {health['version']} is {health['state']}: {health['throughput_eps']:,} events/s, "
        f"{health['queue_depth']:,} of {health['queue_max']:,} in flight, since {health['started_ts']}",
        "",
        f"{'actor':<14}{'role':<14}{'state':<11}{'pid':>8}{'restarts':>10}  note",
    ]
    for name, account in health["actors"].items():
        lines.append(
            f"{name:<14}{account['role']:<14}{account['state']:<11}{account['pid']:>8}{account['restarts']:>10}  "
            f"{escape_controls(account['note'])}"
        )
    dropped = {
        f"{name}: {counter.removeprefix('dropped_')}": value
        for name, account in health["actors"].items()
        for counter, value in account["counters"].items()
        if (counter.startswith("dropped_") or counter.endswith("_dropped")) and value
    }
    lines += ["", "dropped: " + (", ".join(f"{value:,} {reason}" for reason, value in dropped.items()) or "nothing")]
    return lines
