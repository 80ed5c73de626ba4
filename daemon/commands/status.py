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
    lines += ["", *_ledger_lines(health["ledger"])]
    dropped = {
        f"{name}: {counter}": value
        for name, account in health["actors"].items()
        for counter, value in account["counters"].items()
        if counter.endswith("_dropped") and value
    }
    lines += ["", "messages dropped: " + (", ".join(f"{value:,} {edge}" for edge, value in dropped.items()) or "none")]
    return lines


def _ledger_lines(ledger: dict[str, Any]) -> list[str]:
    """Return the account of each receiver: records committed, in flight, and dropped by reason."""
    lines = [f"{'receiver':<14}{'received':>14}{'committed':>14}{'in flight':>11}  dropped"]
    for name, account in ledger["sources"].items():
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in account["dropped"].items()) or "nothing"
        lines.append(f"{name:<14}{account['received']:>14,}{account['committed']:>14,}{account['in_flight']:>11,}  {dropped}")
    if ledger["breaks"]:
        lines.append(f"THE LEDGER IS BROKEN ({ledger['breaks']} times): the log says where; please report it")
    return lines
