from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from actors.sigma.engine import Engine
from actors.sigma.inventory import MAX_NAMES, MAX_SOURCES, Seen, worded
from actors.sigma.matching.logsource import LogSource
from actors.sigma.rules.collection import collect
from protocol.snapshot import pack_snapshot, unpack_snapshot
from tests.actors.sigma.site import in_force, rule
from tests.actors.sigma.test_rules import event_of

SSHD = LogSource("linux", frozenset(), frozenset({"sshd", "auth"}))


def source(number: int) -> LogSource:
    return LogSource("linux", frozenset(), frozenset({f"app{number}"}))


@given(st.lists(st.tuples(st.integers(0, 3), st.sets(st.sampled_from("abcdef"))), max_size=30), st.integers(0, 30))
def test_what_came_is_known_and_survives_a_snapshot(events: list[tuple[int, set[str]]], cut: int) -> None:
    seen = Seen()
    for number, (app, names) in enumerate(events):
        if number == cut:
            state = unpack_snapshot(pack_snapshot("any", 1, seen.snapshot()), "any", 1)
            seen = Seen()
            seen.restore(state)
        seen.note(source(app), dict.fromkeys(names))
    assert seen.events == len(events) and seen.forgotten == 0
    for found, kind in seen.kinds():
        mine = [names for app, names in events if source(app) == found]
        assert (kind.events, kind.names) == (len(mine), set().union(*mine))


def test_made_up_programs_do_not_push_out_what_a_site_sends() -> None:
    seen = Seen()
    for _ in range(2):
        seen.note(SSHD, {"user": "root"})
    for number in range(10 * MAX_SOURCES):
        seen.note(source(number), {})
    assert len(seen) == MAX_SOURCES and seen.forgotten == 9 * MAX_SOURCES + 1
    assert seen.kinds()[0][0] == SSHD and len(list(seen.fitting("linux", None, "auth"))) == 1


def test_names_are_bounded_and_it_says_that_there_were_more() -> None:
    seen = Seen()
    seen.note(SSHD, {f"name{number}": 1 for number in range(MAX_NAMES)})
    ((_, kind),) = seen.kinds()
    assert not kind.full
    seen.note(SSHD, {"one": 1})
    assert kind.full and len(kind.names) == MAX_NAMES


def test_a_logsource_in_words() -> None:
    assert worded(SSHD) == "linux, auth sshd" and worded(LogSource("")) == "of no kind"


def test_the_engine_keeps_what_came_and_how_often_rules_matched(tmp_path: Path) -> None:
    rules = (rule("root", "{s: {user: root}, condition: s}"), rule("never", "{s: {user: x}, condition: s}"))
    collection = in_force(tmp_path, *rules)
    engine = Engine(collection)
    line = b"<36>1 2026-05-13T15:29:5%dZ web sshd 4 - - Failed password for root from 192.0.2.7 port 22 ssh2"
    events = [event_of(line % second) for second in range(3)]
    for event in events:
        engine.take(event)
    engine.take(events[0], learn=False)
    state = unpack_snapshot(pack_snapshot("sigma", 1, engine.snapshot()), "sigma", 1)
    later = Engine(collection)
    later.restore(state)
    assert later.matched == engine.matched == {"root": 3} and later.last_matched == {"root": events[2].event_ns}
    assert later.seen.events == 3 and later.snapshot() == engine.snapshot()
    without = Engine(collect(()))
    without.restore(state)
    assert without.matched == {} and without.seen.events == 3
