"""`make bench-scenarios`: who is behind a line, what became of it, and who is alerted, on logs that others have labelled.

    python -m tests.benchmarks.scenarios [--data DIR] [--show PART]

auditd: share of the audit records whose every golden field is right (go-libaudit), under the names of `GOLDEN_NAMES`.
fail2ban: share of the lines with a host whose host is found, and F1 of telling failures from the rest: a failure is an
event whose `outcome` is `failure` and which names an address. crowdsec: share of the lines with a source address, and with
a user, in which ours is the same (of a user, a realm behind `@` aside).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from actors.parsing.parse import Parser
from actors.sigma.matching.fields import fields_of
from protocol.clock import parse_time
from protocol.records import Event, Record
from tests.benchmarks import alerts
from tests.daemon_process import DATA

OBSERVED_NS = parse_time("2026-11-23T12:00:00Z")
ROUNDS = 20

# Names of go-libaudit and ours, where they differ; `subj_*` and `obj_*` are parts of ours.
GOLDEN_NAMES = {
    "syscall": "SYSCALL",
    "arch": "ARCH",
    "auid": "AUID",
    "ses": "SES",
    "exit": "EXIT",
    "sig": "SIG",
    "old-auid": "OLD_AUID",
}
USERS = ("Meta.target_user", "Meta.username", "Meta.user", "Meta.source_user")


NOBODY = ("-", "undefined")


def events_of(lines: list[str]) -> list[Event]:
    records = [Record(OBSERVED_NS, "file", "line", "", line.encode()) for line in lines]
    return Parser().parse(records, 1, 1)[0]


def people(event: Event) -> tuple[set[str], set[str]]:
    """Return all addresses and hosts, and all users, that an event names."""
    addresses = {each.value for each in event.entities if each.type in ("ipv4", "ipv6", "host", "domain")}
    return addresses, {each.value for each in event.entities if each.type == "user"}


class Share:
    """Counts of what is right of all, and of which some are shown."""

    def __init__(self, name: str, show: bool) -> None:
        self.name, self.right, self.total, self._show = name, 0, 0, show

    def add(self, right: bool, *shown: Any) -> None:
        self.total += 1
        self.right += right
        if self._show and not right:
            print(f"  {self.name}:", *shown)

    def __str__(self) -> str:
        return f"{self.name}: {self.right} of {self.total} ({self.right / max(1, self.total):.1%})"


def measure_auditd(folder: Path, show: bool) -> None:
    share, fields_right = Share("auditd records field-exact", show), Share("auditd fields", False)
    for golden in sorted(folder.glob("*.golden")):
        lines = [line for line in golden.with_suffix("").read_text().splitlines() if line.strip()]
        parsed = dict(zip(lines, map(fields_of, events_of(lines)), strict=True))
        for record in filter(None, json.loads(golden.read_text())):
            got = next((fields for line, fields in parsed.items() if record["raw_msg"] in line), {})
            wanted = record.get("data") or {}
            wrong = {name: (value, _named(got, name)) for name, value in wanted.items() if _named(got, name) != value}
            share.add(not wrong, record["record_type"], wrong)
            for name in wanted:
                fields_right.add(name not in wrong)
    print(share, fields_right, sep="\n")


def _named(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(GOLDEN_NAMES.get(name, name), fields.get(name))
    return None if value is None else str(value)


def measure_fail2ban(path: Path, show: bool) -> None:
    rows = [row for row in map(json.loads, path.read_text().splitlines()) if row["label"]]
    hosts, exact = Share("fail2ban host named", show), Share("fail2ban host is src_ip", False)
    told, wanted, both = 0, 0, 0
    for row, event in zip(rows, events_of([row["line"] for row in rows]), strict=True):
        fields, label = fields_of(event), row["label"]
        if label.get("host"):
            source = {fields.get("src_ip"), fields.get("src_host")}
            hosts.add(label["host"].lower() in people(event)[0] | source, label["host"], row["line"][:200])
            exact.add(label["host"].lower() in source)
        failure = fields.get("outcome") == "failure" and bool(source_of(fields))
        told, wanted, both = told + failure, wanted + label["match"], both + (failure and label["match"])
        if show and failure != label["match"]:
            print("  fail2ban", "told wrongly" if failure else "missed", row["service"], row["line"][:200])
    print(hosts, exact, sep="\n")
    print(f"fail2ban failures: precision {both / told:.3f}, recall {both / wanted:.3f}, F1 {2 * both / (told + wanted):.3f}")


def source_of(fields: dict[str, Any]) -> Any:
    return fields.get("src_ip") or fields.get("src_host")


def scenarios(folder: Path) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Yield each scenario's truth and its lines."""
    for line in (folder / "ground_truth.jsonl").read_text().splitlines():
        truth = json.loads(line)
        yield truth, (folder / truth["log"]).read_text("utf-8", "backslashreplace").splitlines()


def measure_people(folder: Path, show: bool) -> None:
    sources, named, users = Share("crowdsec src_ip", show), Share("crowdsec address named", False), Share("crowdsec user", show)
    for truth, lines in scenarios(folder):
        events = events_of(lines)
        for parsed in truth.get("parsed", ()):
            place = _place_of(parsed, lines)
            if place is None:
                continue
            event, fields = events[place], fields_of(events[place])
            addresses, names = people(event)
            address, user = parsed.get("Meta.source_ip"), next((parsed[key] for key in USERS if parsed.get(key)), None)
            if address:
                address = address.removeprefix("::ffff:")
                sources.add(fields.get("src_ip") == address, truth["test"], address, fields.get("src_ip"), lines[place][:220])
                named.add(address in addresses)
            if user and user not in NOBODY:
                names |= {name.partition("@")[0] for name in names} | {str(fields.get("user"))}
                users.add(user in names, truth["test"], user, names, lines[place][:220])
    print(sources, named, users, sep="\n")


def _place_of(parsed: dict[str, Any], lines: list[str]) -> int | None:
    """Return the line that a record speaks of: the one that holds its message, else the one at its place."""
    message = parsed.get("Parsed.message", "")
    for each in (message, message.replace('\\"', '"').replace("\\\\", "\\")):
        found = [place for place, line in enumerate(lines) if each and each in line]
        if found:
            return parsed["idx"] if parsed["idx"] in found else found[0]
    return parsed["idx"] if parsed["idx"] < len(lines) else None


def measure_cost(path: Path) -> None:
    if not path.exists():
        return
    events = events_of(path.read_text("utf-8", "backslashreplace").splitlines())
    began_s = time.process_time()
    for _ in range(ROUNDS):
        for event in events:
            fields_of(event)
    print(f"fields_of: {(time.process_time() - began_s) / ROUNDS / len(events) * 1e6:.1f} us a line of {path.name}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--show", default="", help="print what is wrong of auditd, fail2ban, crowdsec, alerts or web")
    options = parser.parse_args()
    if not options.data.exists():
        print(f"{options.data} is not there", file=sys.stderr)
        return 2
    measure_auditd(options.data / "auth" / "auditd", options.show == "auditd")
    measure_fail2ban(options.data / "auth" / "fail2ban_lines.jsonl", options.show == "fail2ban")
    measure_people(options.data / "scenarios" / "crowdsec", options.show == "crowdsec")
    for name in ("OpenSSH", "Linux"):
        measure_cost(options.data / "parsing" / name / f"{name}_2k.log")
        alerts.measure_cost(options.data / "parsing" / name / f"{name}_2k.log")
    alerts.measure_scenarios(options.data / "scenarios" / "crowdsec", options.show == "alerts")
    alerts.measure_web(options.data / "web", options.show == "web")
    return 0


if __name__ == "__main__":
    sys.exit(main())
