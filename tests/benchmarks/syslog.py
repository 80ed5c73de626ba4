"""Compare the syslog parser and framing with the vectors of three implementations, field by field.

python -m tests.benchmarks.syslog [--data DIR]
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from actors.parsing.syslog import FACILITIES, SyslogMessage, parse_syslog
from actors.parsing.times import Clock
from actors.receivers.framing import Framing
from protocol.clock import parse_time

DATA = Path(__file__).parents[3] / "shared" / "data" / "syslog"

NOT_MEASURED = "NOT MEASURED"  # the benchmark does not know that kind

# What a vector expects because of an option that Tocsin does not have, or against another vector.
OPTION_FLAGS = {
    "0": "host names switched off",
    "LP_NO_HEADER": "header parsing switched off",
    "LP_SANITIZE_UTF8": "host names switched off, so a first word without colon is a tag",
}
OPTION_INPUTS = {
    "some message": "syslog-ng takes the first word of a bare text for a tag, rsyslog for a host; both lose text",
    "This is a message!": "as above",
}


def normalise(value: Any) -> Any:
    return value or None


def unescape(value: str) -> str:
    """The vectors of go-syslog give parameters as its builder takes them, that is with their escapes."""
    return re.sub(r'\\(["\\\]])', r"\1", value)


def expected_fields(row: dict[str, Any]) -> dict[str, Any]:
    expect = row["expect"]
    names = ("host", "app", "procid", "msgid")
    if "ts_sec" in expect:  # syslog-ng: null is not checked, "" is empty
        fields = {name: normalise(expect[name]) for name in names if expect[name] is not None}
    else:
        fields = {name: normalise(expect.get(name)) for name in names}
    fields["message"] = (expect.get("msg") or "").removeprefix("\ufeff")
    fields["pri"] = expect.get("pri")
    if "version" in expect:
        fields["version"] = expect["version"]
    if "sd" in expect:
        fields["sd"] = {
            name: {key: unescape(value) for key, value in element.items()} for name, element in expect["sd"].items()
        }
    if expect.get("timestamp"):
        fields["time_ns"] = parse_time(expect["timestamp"])
    if expect.get("ts_sec", 0) > 1 and b">1 - " not in row["input"][:8]:
        fields["time_ns"] = expect["ts_sec"] * 10**9 + expect["ts_usec"] * 1000
    return fields


def actual_fields(parsed: SyslogMessage, names: Any) -> dict[str, Any]:
    every = {
        "host": parsed.host, "app": parsed.app, "procid": parsed.procid, "msgid": parsed.msgid,
        "message": parsed.message, "pri": 13 if parsed.priority is None else parsed.priority,
        "version": parsed.version, "sd": parsed.structured_data, "time_ns": parsed.time_ns,
    }  # fmt: skip
    texts = ("host", "app", "procid", "msgid")
    return {name: normalise(every[name]) if name in texts else every[name] for name in names}


def compare_row(row: dict[str, Any], clock: Clock, observed_ns: int) -> tuple[str, str]:
    parsed = parse_syslog(row["input"], clock, observed_ns)
    expect = row["expect"]
    is_error = str(expect.get("msg") or "").startswith("Error processing log message")
    if expect.get("valid") is False or is_error:
        text = row["input"].decode("utf-8", "backslashreplace").rstrip("\r\n\0")
        noted = parsed.error is not None or parsed.message == text
        return ("invalid, kept", "") if noted else ("invalid, read leniently", repr(parsed))
    wanted = expected_fields(row)
    got = actual_fields(parsed, wanted)
    if got == wanted:
        return "exact", ""
    reason = OPTION_FLAGS.get(str(row.get("flags"))) or OPTION_INPUTS.get(row["input"].decode(errors="replace"))
    differing = {name: (wanted[name], got[name]) for name in wanted if wanted[name] != got[name]}
    return ("option", reason) if reason else ("DIFFERENT", f"{row['input'][:120]!r} {differing}")


def compare_batch(row: dict[str, Any], clock: Clock) -> list[tuple[str, str]]:
    """Compare the rows of rsyslog, where a template says which fields a line shows."""
    if not row["template"] or not row["inputs"] or not row["expected_lines"]:
        return []
    lines = set(row["expected_lines"])
    results = []
    for text in row["inputs"]:
        text = text.replace('\\"', '"')
        parsed = parse_syslog(text.encode(), clock, parse_time("2026-07-01T00:00:00Z"))
        line = render(row["template"], parsed, text)
        # rsyslog keeps the space between tag and message as part of the message.
        loose = {re.sub(r"(?<=[-,]) ", "", each) for each in lines}
        if line in lines or line in loose:
            results.append(("exact", ""))
        elif text in OPTION_INPUTS:
            results.append(("option", OPTION_INPUTS[text]))
        elif not row["aligned"]:
            results.append(("option", f"dropped by an option of rsyslog: {text!r}"))
        else:
            results.append(("DIFFERENT", f"{text!r}: {line!r}"))
    return results


def render(template: str, parsed: SyslogMessage, text: str) -> str:
    code = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"][parsed.severity]
    stamp = ""
    if parsed.time_ns is not None:
        stamp = datetime.fromtimestamp(parsed.time_ns / 1e9, UTC).strftime("%b %d %H:%M:%S")
    colon = ":" if parsed.app and f"{parsed.app}:" in text else ""
    values = {
        "PRI": str(parsed.facility * 8 + parsed.severity), "syslogfacility-text": FACILITIES[parsed.facility],
        "syslogseverity-text": code, "timestamp": stamp, "hostname": parsed.host or "$RS_HOSTNAME",
        "programname": parsed.app or "", "syslogtag": (parsed.app or "") + colon, "msg": parsed.message, "rawmsg": text,
    }  # fmt: skip
    filled = re.sub(r"%([\w-]+)[^%]*%", lambda found: values[found[1]], template)
    return filled.removesuffix("\\n")


def compare_wire(folder: Path) -> tuple[str, str]:
    """One message per expected metric, none lost or merged; UDP cases are one message a packet."""
    wire = (folder / "input.txt").read_bytes()
    if "udp" in (folder / "telegraf.conf").read_text():
        messages = [wire]
    else:
        framing = Framing()
        messages = [body for body, _ in framing.feed(wire)] + [body for body, _ in framing.close()]
    shown = (folder / "expected.out").read_text(encoding="utf-8") if (folder / "expected.out").exists() else None
    if shown is None:
        return ("exact", "") if len(messages) == 1 else ("DIFFERENT", f"{folder.name}: {len(messages)} messages")
    clock = Clock(UTC)
    metrics = [line for line in shown.splitlines() if line]
    checks = [check_metric(body, metric, clock) for body, metric in zip(messages, metrics, strict=False)]
    errors = [wrong for wrong in checks if wrong]
    if len(messages) < len(metrics) or errors:
        return "DIFFERENT", f"{folder.name}: {errors or len(messages)}"
    return "exact", ""


def check_metric(body: bytes, metric: str, clock: Clock) -> str:
    parsed = parse_syslog(body, clock, parse_time("2026-11-23T00:00:00Z"))
    names = "hostname|appname|procid|msgid|version|facility_code|severity_code"
    stated = dict(re.findall(rf'({names})="?([^," ]+)', metric))
    got = {
        "hostname": parsed.host, "appname": parsed.app, "procid": parsed.procid, "msgid": parsed.msgid,
        "version": None if parsed.version is None else f"{parsed.version}u",
        "facility_code": f"{parsed.facility}i", "severity_code": f"{parsed.severity}i",
    }  # fmt: skip
    wrong = {name: (value, got[name]) for name, value in stated.items() if got[name] != value}
    message = re.search(r'message="((?:[^"\\]|\\.)*)"', metric, re.DOTALL)
    if message:
        text = re.sub(r'\\(["\\n])', lambda found: "\n" if found[1] == "n" else found[1], message[1])
        if text != parsed.message:
            wrong["message"] = (text[:80], parsed.message[:80])
    return f"{wrong}" if wrong else ""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, default=DATA)
    data = arguments.parse_args().data
    if not (data / "syslog_vectors.jsonl").exists():
        print(f"no syslog_vectors.jsonl in {data}; name its folder with --data", file=sys.stderr)
        return 2
    budapest, observed_ns = Clock(ZoneInfo("Europe/Budapest")), parse_time("2019-12-01T00:00:00Z")
    results = []
    for line in (data / "syslog_vectors.jsonl").read_text().splitlines():
        try:
            row = json.loads(line)
            if row["fmt"] == "batch":
                results += compare_batch(row, Clock(UTC))
            else:
                row["input"] = base64.b64decode(row["input_b64"])
                results.append(compare_row(row, budapest, observed_ns))
        except Exception as error:  # a vector of a kind that is not known here: the others are measured all the same
            results.append((NOT_MEASURED, f"{line[:160]}: {error!r}"))
    wires = []
    for folder in sorted((data / "telegraf").iterdir()) if (data / "telegraf").is_dir() else ():
        try:
            wires += [compare_wire(folder)] if folder.is_dir() else []
        except Exception as error:
            wires.append((NOT_MEASURED, f"{folder.name}: {error!r}"))
    for title, found in (("vectors", results), ("wire cases", wires)):
        kinds = sorted({kind for kind, _ in found})
        print(title, {kind: sum(each == kind for each, _ in found) for kind in kinds})
        for kind, detail in found:
            if detail:
                print(f"  {kind}: {detail}")
    return 1 if any(kind in ("DIFFERENT", NOT_MEASURED) for kind, _ in results + wires) else 0


if __name__ == "__main__":
    raise SystemExit(main())
