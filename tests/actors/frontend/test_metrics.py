from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.frontend.metrics import expose

LABEL = r'[a-z_]+="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"([a-z_][a-z0-9_]*)(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")
HELP = re.compile(r"# HELP ([a-z_][a-z0-9_]*) (\S.*)")
TYPE = re.compile(r"# TYPE ([a-z_][a-z0-9_]*) (gauge|counter)")
NAMES = st.sampled_from(
    ["accepted_records", "dropped_spool_full", "edge_parser_messages", "edge_parser_waits", "edge_hst_dropped"]
)
ACCOUNTS = st.fixed_dictionaries(
    {
        "state": st.sampled_from(["ok", "starting", "degraded", "down"]),
        "restarts": st.integers(0, 9),
        "restart_ms": st.integers(0, 9_000),
        "counters": st.dictionaries(NAMES, st.integers(0, 1 << 60), max_size=5),
        "gauges": st.dictionaries(st.sampled_from(["queue_depth", "spool_bytes", "connections"]), st.integers(0, 99), max_size=3),
    }
)
ACTORS = st.dictionaries(st.sampled_from(["syslog", "parser", "hst"]) | st.text(max_size=8), ACCOUNTS, max_size=4)


@given(ACTORS)
def test_it_is_valid_exposition(actors: dict[str, Any]) -> None:
    text = expose({"actors": actors}, throughput_eps=1, queue_depth=2, queue_max=3)
    assert text.endswith("\n")
    types: dict[str, str] = {}
    seen, current = set(), ""
    for line in text[:-1].split("\n"):
        if explained := HELP.fullmatch(line):
            assert explained[1] not in types, "a metric's lines stand together"
            current = explained[1]
            continue
        if declared := TYPE.fullmatch(line):
            assert declared[1] == current and current not in types, "HELP, TYPE and samples, in this order"
            current = declared[1]
            types[current] = declared[2]
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample, line
        assert sample[1] == current.strip() and sample[1].startswith("tocsin_")
        assert (types[sample[1]] == "counter") == sample[1].endswith("_total")
        assert (sample[1], sample[2]) not in seen
        seen.add((sample[1], sample[2]))
        float(sample[3])
    for account in actors.values():
        assert all(str(value) in text for value in account["counters"].values())


def test_hostile_labels_are_escaped() -> None:
    account = {"state": "ok", "restarts": 0, "restart_ms": 0, "counters": {}, "gauges": {}}
    text = expose({"actors": {'a"\\\nb': account}}, throughput_eps=0, queue_depth=0, queue_max=0)
    assert 'actor="a\\"\\\\\\nb"' in text
