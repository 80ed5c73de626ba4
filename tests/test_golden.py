"""Golden cases: lines in, frames out. A case is a folder below tests/golden; adding one needs no code.

    tocsin.toml     optional: the configuration, as the daemon reads it (zones and names of sources)
    lines.txt       what arrives, one record a line
    expected.json   {"receiver": "syslog" or "file", "observed_ts": when the lines were read, "events": [...]}

`events` has one object for each line: any keys of the documented event that must be equal. Entities are written as
[type, value]. Keys that are not named are not compared.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from actors.parsing.parse import Parser
from daemon.configuration import Configuration
from daemon.configuration_loader import read_configuration
from protocol.clock import parse_time
from protocol.frames import EventObject, event_object
from protocol.messages import JudgedEvent
from protocol.records import Form, Record

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(folder.name for folder in GOLDEN.iterdir() if folder.is_dir())
FORMS: dict[str, Form] = {"syslog": "syslog", "file": "line"}
TAG, FIRST_SEQUENCE = 7, 1


def read_case(folder: Path) -> tuple[Configuration, list[bytes], dict[str, Any]]:
    toml = folder / "tocsin.toml"
    configuration = read_configuration(toml if toml.exists() else None, environment={})
    lines = (folder / "lines.txt").read_bytes().removesuffix(b"\n").split(b"\n")
    return configuration, lines, json.loads((folder / "expected.json").read_text(encoding="utf-8"))


def objects_of(configuration: Configuration, lines: list[bytes], receiver: str, observed_ns: int) -> list[dict[str, Any]]:
    """Return the event objects of the frames that these lines become, entities as [type, value]."""
    source = configuration.receivers[receiver].source
    parser = Parser({name: ZoneInfo(zone) for name, zone in configuration.zones().items()})
    records = [Record(observed_ns, source, FORMS[receiver], "192.0.2.1", line) for line in lines]
    events, _ = parser.parse(records, TAG, FIRST_SEQUENCE)
    shown = [msgspec.to_builtins(event_object(JudgedEvent(event, 0.0, 1.0, None))) for event in events]
    return [one | {"entities": [[entity["type"], entity["value"]] for entity in one["entities"]]} for one in shown]


@pytest.mark.parametrize("case", CASES)
def test_golden_case(case: str) -> None:
    configuration, lines, expected = read_case(GOLDEN / case)
    got = objects_of(configuration, lines, expected["receiver"], parse_time(expected["observed_ts"]))
    assert len(expected["events"]) == len(lines), f"{case}: one object for each line of lines.txt"
    for number, (wanted, event) in enumerate(zip(expected["events"], got, strict=True), 1):
        assert wanted, f"{case}/lines.txt:{number}: nothing is expected of it"
        assert {key: event.get(key, "no such key") for key in wanted} == wanted, f"{case}/lines.txt:{number}"


def test_cases_name_only_keys_of_the_documented_event() -> None:
    for case in CASES:
        _, _, expected = read_case(GOLDEN / case)
        assert set(expected) == {"receiver", "observed_ts", "events"}, case
        assert expected["receiver"] in FORMS, case
        for wanted in expected["events"]:
            assert set(wanted) <= set(EventObject.__struct_fields__), case
