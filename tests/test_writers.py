"""What real programs and devices write, read by the real parser: one file a writer below tests/writers; adding one needs no code.

    writer = "OpenSSH"              as `docs/formats.md` calls it
    [[sample]]
    receiver = "syslog"             or "file"
    line = "<38>Nov 26 ..."         as it arrives
    event_ts = "2026-11-26T..."     left out where the line says no time: then it is when the line was read
    severity = 9
    message = "..."
    entities = ["user root"]        all of them, in order
    fields = { app = "sshd" }       some of them, as text
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from actors.parsing.defined import builtin
from actors.parsing.definitions import Definition
from actors.parsing.parse import Parser
from protocol.clock import format_time, parse_time
from protocol.records import Event, Form, Record
from tests.hostile import Hostile

ROOT = Path(__file__).resolve().parent.parent
WRITERS = {path.stem: tomllib.loads(path.read_text("utf-8")) for path in sorted((ROOT / "tests" / "writers").glob("*.toml"))}
SAMPLES = [
    pytest.param(sample, id=f"{name}-{number}")
    for name, writer in WRITERS.items()
    for number, sample in enumerate(writer["sample"], 1)
]
FORMS: tuple[Form, ...] = ("syslog", "line")
READ_TS = "2026-11-26T13:00:00.000Z"


def parse(sample: dict[str, Any]) -> Event:
    form = "syslog" if sample["receiver"] == "syslog" else "line"
    record = Record(parse_time(READ_TS), sample["receiver"], form, "192.0.2.200", sample["line"].encode())  # type: ignore[arg-type]
    (event,), _ = Parser().parse([record], 1, 1)
    return event


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_sample_is_read_as_an_analyst_reads_it(sample: dict[str, Any]) -> None:
    event = parse(sample)
    assert format_time(event.event_ns) == sample.get("event_ts", READ_TS)
    assert (event.severity, event.message) == (sample["severity"], sample["message"])
    assert [f"{entity.type} {entity.value}" for entity in event.entities] == sample["entities"]
    wanted = sample.get("fields", {})
    assert {name: str(event.fields.get(name)) for name in wanted} == wanted
    assert "parse_error" not in event.fields and event.template


def test_there_are_enough_and_each_says_all() -> None:
    assert len(WRITERS) >= 60 and len(SAMPLES) >= 150
    for name, writer in WRITERS.items():
        assert set(writer) == {"writer", "sample"}, name
        for sample in writer["sample"]:
            assert {"receiver", "line", "severity", "message", "entities"} <= set(sample), name


def test_the_page_of_formats_names_every_writer_and_no_other() -> None:
    page = (ROOT / "docs" / "formats.md").read_text("utf-8").partition("| Writer |")[2]
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", page, re.MULTILINE)
    names = {writer["writer"] for writer in WRITERS.values()} | {each.definition.format for each in builtin()}
    assert rows == sorted(names, key=str.lower), "run: python -m tests.formats_table"


def test_the_page_of_formats_names_every_key_of_a_format() -> None:
    page = (ROOT / "docs" / "formats.md").read_text("utf-8")
    assert [key for key in Definition.__struct_fields__ if key != "sample" and f"`{key}`" not in page] == []


def test_no_mutation_of_a_real_line_breaks_the_parser() -> None:
    hostile, parser = Hostile(11), Parser()
    samples = [sample["line"].encode() for writer in WRITERS.values() for sample in writer["sample"]]
    lines = [hostile.mutate(line)[:65_536] for line in samples for _ in range(20)]
    for form in FORMS:
        records = [Record(parse_time(READ_TS), "s", form, "192.0.2.200", line) for line in lines]
        events, _ = parser.parse(records, 1, 1)
        assert [event.fields["parse_error"] for event in events if "parse_error" in event.fields] == []


def test_numbers_of_any_length_are_text() -> None:
    long = "9" * 5_000
    for line in (
        f"<13>CEF:0|a|b|1|2|c|{long}|",
        f'{{"winlog":{{"channel":"x","event_id":"{long}"}}}}',
        f'{{"level":"{long}","EventID":1,"Channel":"x"}}',
    ):
        assert "parse_error" not in parse({"receiver": "syslog", "line": line}).fields
