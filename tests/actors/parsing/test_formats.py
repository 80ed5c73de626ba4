"""Formats that are data: what each key does, what is said of faults, and that no other line is touched by them."""

from __future__ import annotations

import time
import tomllib
from typing import Any

import pytest

from actors.parsing.checking import check_formats
from actors.parsing.defined import builtin, builtin_texts
from actors.parsing.definitions import line_of_sample
from actors.parsing.grok import expand
from actors.parsing.settings import ParserSettings
from protocol.clock import format_time, parse_time
from protocol.records import Event, Form, Record
from tests.test_writers import SAMPLES
from tests.test_writers import parse as parse_without

READ_NS = parse_time("2026-11-26T13:00:00.000Z")
GATE = r"""
format = "Gate"
pattern = '''GATE\|(?P<time>\S+ \S+)\|(?P<level>\w+)\|(?P<user>[^|]*)\|(?P<src_ip>[^|]*)\|(?P<message>.*)'''
"""
LINE = "GATE|2026-11-26 10:00:00|warning|anna|203.0.113.9|door 7 forced"


def read(text: str, *lines: str, source: str = "file") -> list[Event]:
    form: Form = "syslog" if lines[0].startswith("<") else "line"
    records = [Record(READ_NS, source, form, "", line.encode()) for line in lines]
    assert check_formats({"own.toml": text}) == []
    return ParserSettings(formats={"own.toml": text}).parser().parse(records, 1, 1)[0]


def entities(event: Event) -> list[str]:
    return [f"{entity.type} {entity.value}" for entity in event.entities]


def test_a_format_says_time_level_message_and_fields() -> None:
    (event,) = read(GATE, LINE)
    assert format_time(event.event_ns) == "2026-11-26T10:00:00.000Z"
    assert (event.severity, event.message, event.template) == (13, "door 7 forced", "door <*> forced")
    assert event.fields == {"format": "Gate", "level": "warning", "user": "anna", "src_ip": "203.0.113.9"}
    assert entities(event) == ["user anna", "ipv4 203.0.113.9"]


def test_what_does_not_fit_is_read_as_ever() -> None:
    (event,) = read(GATE, "Nov 26 10:00:00 web sshd[1]: Failed password for root from 203.0.113.9 port 2 ssh2")
    assert "format" not in event.fields and event.fields["app"] == "sshd"


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_format_that_does_not_fit_changes_nothing(sample: dict[str, Any]) -> None:
    form: Form = "syslog" if sample["receiver"] == "syslog" else "line"
    record = Record(READ_NS, sample["receiver"], form, "192.0.2.200", sample["line"].encode())
    (event,), _ = ParserSettings(formats={"own.toml": GATE}).parser().parse([record], 1, 1)
    assert event == parse_without(sample)


def test_the_names_of_grok() -> None:
    text = r"""
format = "Gate"
pattern = '%{TIMESTAMP_ISO8601:time} %{DOOR:[door][name]} %{LOGLEVEL:level} %{USER:user} %{INT:tries:int} %{GREEDYDATA:message}'
patterns = { DOOR = 'D%{INT}' }
"""
    (event,) = read(text, "2026-11-26T10:00:00Z D7 ERROR anna 12 forced")
    assert event.fields == {"format": "Gate", "door.name": "D7", "level": "ERROR", "user": "anna", "tries": 12}
    assert (event.severity, event.message) == (17, "forced")


@pytest.mark.parametrize(
    ("name", "fits", "not_so"),
    [
        ("IP", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"], ["192.0.2", "door"]),
        ("MAC", ["00:00:5e:00:53:a4", "00-00-5E-00-53-A4", "0000.5e00.53a4"], ["00:00:5e"]),
        ("QUOTEDSTRING", ['"a \\" b"', "'x'"], ['"a']),
        ("UUID", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567"]),
        ("HTTPDATE", ["26/Nov/2026:10:00:00 +0100"], ["26 Nov"]),
        ("SYSLOGTIMESTAMP", ["Nov  6 10:00:00"], ["6 Nov 10:00"]),
        ("URI", ["https://example.org:8443/a?b=c"], ["example.org"]),
        ("EMAILADDRESS", ["ann@example.org"], ["ann"]),
        ("NUMBER", ["-1", "2.5", ".5"], ["x"]),
        ("IPORHOST", ["web-1.example.org", "192.0.2.1"], ["!"]),
        ("WINPATH", ["C:\\Windows\\x.exe"], ["/etc"]),
    ],
)
def test_a_name_of_grok_means_what_it_says(name: str, fits: list[str], not_so: list[str]) -> None:
    import re2

    pattern = re2.compile(expand(f"%{{{name}:x}}").pattern)
    assert all(pattern.fullmatch(text) for text in fits) and not any(pattern.fullmatch(text) for text in not_so)


def test_columns() -> None:
    text = """
format = "Gate"
begins = 'G[0-9],'
columns = ["", "time", "level", "user", "note"]
levels = { K = "critical" }
fields = { vendor = "Acme" }
template = ["level"]
"""
    first, second = read(text, 'G1,2026-11-26 10:00:00,K,CORP\\anna,"door, 7"', "G1,2026-11-26 10:00:01,-,anna")
    assert first.fields == {
        "format": "Gate", "vendor": "Acme", "level": "K", "user": "CORP\\anna", "note": "door, 7"
    }  # fmt: skip
    assert (first.severity, first.template, entities(first)) == (18, "Gate K", ["user anna"])
    assert second.fields == {"format": "Gate", "vendor": "Acme", "user": "anna"}


def test_columns_that_the_file_declares() -> None:
    text = """
format = "Table"
begins = '[0-9]{4}-'
separator = " "
declared_by = "#Fields: "
columns = ["date", "time", "who"]
rename = { cs-who = "user", x-time = "time" }
"""
    lines = "2026-11-26 10:00:00 anna", "#Fields: date x-time c-ip cs-who", "2026-11-26 10:00:01 203.0.113.9 bob"
    before, _, after = read(text, *lines)
    assert before.fields == {"format": "Table", "who": "anna"}
    assert after.fields == {"format": "Table", "c-ip": "203.0.113.9", "user": "bob"}
    assert format_time(after.event_ns) == "2026-11-26T10:00:01.000Z"


def test_a_format_of_a_source_or_program_is_for_no_other() -> None:
    text = GATE + 'sources = ["gate"]\n'
    assert read(text, LINE, source="gate")[0].fields["format"] == "Gate"
    assert "format" not in read(text, LINE)[0].fields
    text = GATE + 'programs = ["gated"]\n'
    mine, other = (read(text, f"<14>Nov 26 10:00:00 web {program}[7]: {LINE}")[0] for program in ("gated", "other"))
    assert (mine.fields["format"], mine.fields["app"], mine.message) == ("Gate", "gated", "door 7 forced")
    assert "format" not in other.fields


def test_the_message_is_read_as_any_is() -> None:
    objects, pairs = read(GATE, LINE.replace("door 7 forced", '{"msg":"forced","door":7}'), LINE.replace("7", "door=7"))
    assert (objects.message, objects.fields["door"]) == ("forced", 7)
    assert pairs.fields["door"] == "7"


def test_a_time_that_cannot_be_read_leaves_that_of_arrival_and_says_so() -> None:
    (event,) = read(GATE, LINE.replace("2026-11-26 10:00:00", "2026-99-99 10:00:00"))
    assert event.event_ns == READ_NS and "2026-99-99" in str(event.fields["time_error"])


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('format = "x"\npattern = "(?P<a>("\n', 2, "is no regular expression of RE2"),
        ('format = "x"\n\npattern = "%{NOSUCH:a}"\n', 3, "%{NOSUCH} is not known"),
        ('format = "x"\npattern = "%{A:a}"\n[patterns]\nA = "%{A}"\n', 2, "leads to itself"),
        ('format = "x"\npattern = "(?=a)"\n', 2, "is no regular expression of RE2"),
        ('format = "x"\n', 1, "pattern or columns: one of the two is needed"),
        ('format = "x"\ncolumns = ["a"]\n', 1, "begins is missing"),
        ('format = "x"\npattern = "a"\nseparator = ", "\n', 3, "is not one character"),
        ('format = "x"\npattern = "a"\nstarts = ["b", ""]\n', 3, "has an empty text"),
        ('format = "x"\npattern = "a"\nseverity = "bad"\n', 3, "is no level"),
        ('format = "x"\npattern = "a"\n\n[levels]\nB = "bad"\n', 4, "is no level"),
        ('format = "x"\npattern = "a"\nlevel = 3\n', 3, "unknown field"),
        ('format = "x"\npattern = 3\n', 2, "Expected str"),
        ('format = "x\n', 1, ""),
        ('format = "x"\npattern = "a"\n[[sample]]\nline = "a"\n[[sample]]\nline = "b"\n', 5, "is not recognised as 'x'"),
        ('format = "x"\npattern = "a"\n[[sample]]\nline = "a"\nseverity = "error"\n', 3, "severity is 9, not 17"),
        ('format = "x"\npattern = "a"\n[[sample]]\nline = "a"\nfields = { b = "c" }\n', 3, "fields.b is None, not 'c'"),
    ],
)
def test_a_fault_is_named_with_file_and_line(text: str, line: int, reason: str) -> None:
    (fault,) = check_formats({"/etc/tocsin/formats/own.toml": text})
    assert str(fault).startswith(f"/etc/tocsin/formats/own.toml:{line}: ") and reason in fault.reason


def test_a_faulty_file_does_not_take_the_others_with_it() -> None:
    texts = {"a.toml": 'format = "x"\n', "b.toml": GATE}
    (event,), _ = ParserSettings(formats=texts).parser().parse([Record(READ_NS, "file", "line", "", LINE.encode())], 1, 1)
    assert event.fields["format"] == "Gate"


def test_no_pattern_takes_more_than_its_text_is_long() -> None:
    text = GATE.replace("GATE", "(?:(a+)+)+b")
    began_s = time.process_time()
    read(text, "a" * 60_000)
    assert time.process_time() - began_s < 2


def test_those_that_come_with_tocsin_hold_to_their_samples() -> None:
    texts = builtin_texts()
    assert check_formats(texts) == [] and len(texts) >= 15
    for text in texts.values():
        assert tomllib.loads(text)["sample"], "each has a sample"


def test_a_format_of_ones_own_goes_before_those_that_come_with_tocsin() -> None:
    squid = next(each.definition for each in builtin() if each.definition.format == "Squid access")
    line = squid.sample[0].line
    text = f"format = 'Mine'\npattern = '''{squid.pattern}'''\n"
    assert read(text, line)[0].fields["format"] == "Mine"


def test_the_line_of_a_sample() -> None:
    assert line_of_sample("a = 1\n[[sample]]\nline = 'x'\n\n[[sample]]\n", 1) == 5
