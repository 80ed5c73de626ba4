from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.files import write_whole
from actors.parsing.parse import Parser
from actors.sigma.engine import Engine
from actors.sigma.inspection.workbench import Answer, NotReady, NotThere, Order, Workbench, obey
from actors.sigma.rules.collection import collect
from actors.sigma.rules.exceptions import RuleException
from actors.sigma.rules.library import Library, Sources
from actors.sigma.rules.loading import Reader
from actors.sigma.settings import CACHE, VERSION, Settings
from actors.storage.writer import StoreWriter
from protocol.clock import NS_PER_S
from protocol.messages import BatchKey, JudgedEvent
from protocol.records import Event, Record
from protocol.snapshot import pack_snapshot
from tests.actors.sigma.site import correlation, rule

MORNING_NS = 1_778_659_200 * NS_PER_S  # 2026-05-13T08:00:00Z
LINE = "<36>1 2026-05-13T%02d:%02d:%02dZ web sshd 4 - - Failed password for %s from 192.0.2.%d port 22 ssh2"
ROOT = Path(__file__).resolve().parents[3]
RULES = (
    rule(
        "failed",
        "{s: ['Failed password'], condition: s}",
        more="tags: [attack.t1110]\nid: 5d9b9d0a-3c0b-4e0e-9d3c-0d2b8a0e6f10\n",
    ),
    rule("root", "{s: ['Failed password'], u: {user: root}, condition: s and u}"),
    rule("teletype", "{s: {tty: x}, condition: s}"),
    rule("asleep", "{s: ['Failed'], condition: s}"),
    correlation("force", "failed", "{gte: 3}"),
    correlation("dangling", "nowhere", "{gte: 3}"),
)


def line(minute: int, second: int, user: str = "bob", last: int = 7, hour: int = 8) -> str:
    return LINE % (hour, minute, second, user, last)


def parsed(*lines: str) -> list[Event]:
    records = [Record(MORNING_NS + number, "syslog", "syslog", "", each.encode()) for number, each in enumerate(lines)]
    return Parser().parse(records, 1, 1)[0]


class StateDir:
    """What a daemon leaves: rules that were read, a snapshot of their actor, and events in the store."""

    def __init__(self, folder: Path, *documents: str, exceptions: tuple[RuleException, ...] = ()) -> None:
        self.path = folder / "state"
        self.rules = folder / "rules"
        self.rules.mkdir()
        (self.rules / "site.yml").write_text("---\n".join(documents or RULES))
        self.settings = Settings(Sources((str(self.rules),), own=False), ["asleep"], list(exceptions))
        library = Library()
        library.update(self.settings.sources, Reader(self.settings.sources).read)
        library.store(self.path / CACHE)
        collection = collect([*library.documents(), *library.refusals()], ["asleep"])
        self.engine = Engine(collection, self.settings.exceptions)

    def take(self, *lines: str) -> list[Event]:
        """Store events as the recorder would, and have them judged."""
        events = parsed(*lines)
        writer = StoreWriter(self.path / "store")
        key = BatchKey("syslog", 1, 0, 1, len(events))
        writer.commit(key, [JudgedEvent(event, 0.0, 1.0, None) for event in events], [], MORNING_NS)
        writer.close()
        for event in events:
            self.engine.take(event)
        return events

    def leave(self) -> Workbench:
        """Leave the snapshot; return the workbench over it all."""
        state = {"engine": self.engine.snapshot(), "last": {}, "gaps": [], "settings": msgspec.to_builtins(self.settings)}
        write_whole(self.path / "snapshots" / "sigma.msgpack", pack_snapshot("sigma", VERSION, state))
        return Workbench.of_daemon(self.path)


def test_the_list_says_what_is_in_force_and_how_often_it_matched(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.take(*(line(0, second) for second in range(4)))
    listing = state.leave().listing()
    found = {each.id: each for each in listing.rules}
    assert [each.state for each in listing.rules] == ["in force"] * 3 + ["switched off", "in force", "refused"]
    assert (found["failed"].matched, found["failed"].last_matched) == (4, "2026-05-13T08:00:03.000Z")
    assert (found["root"].matched, found["root"].last_matched, found["force"].matched) == (0, None, 1)
    assert found["failed"].silent and not found["root"].silent and not found["asleep"].silent
    assert found["failed"].tags == ["attack.t1110"] and found["force"].kind == "correlation"
    assert (found["root"].line, found["root"].own, found["asleep"].matched) == (9, False, None)
    (refusal,) = listing.refused
    assert "nowhere" in refusal.reason and refusal.line == found["dangling"].line


def test_rules_are_found_by_id_or_uuid_and_what_is_not_in_force_says_why(tmp_path: Path) -> None:
    bench = StateDir(tmp_path).leave()
    assert bench.choose("5d9b9d0a-3c0b-4e0e-9d3c-0d2b8a0e6f10").targets == bench.choose("failed").targets
    for name, says in (("none", "there is no rule none"), ("asleep", "switched off"), ("dangling", "refused")):
        with pytest.raises(NotThere, match=says):
            bench.choose(name)
    assert bench.entry("asleep").state == "switched off"


def test_lines_are_judged_clause_by_clause(tmp_path: Path) -> None:
    bench = StateDir(tmp_path).leave()
    (root,) = bench.test(bench.choose("root"), [line(0, 0, "root").encode()], MORNING_NS)
    (judgement,) = root.judgements
    assert root.matches() and judgement.matches and judgement.fits and all(each.holds for each in judgement.clauses)
    (other,) = bench.test(bench.choose("root"), [line(0, 0).replace("sshd", "cron").encode()], MORNING_NS)
    (judgement,) = other.judgements
    assert not judgement.matches and not judgement.fits and other.logsource.startswith("linux, cron")
    assert [each.mark for each in judgement.clauses] == ["fails", "holds", "fails"]
    (missing,) = bench.test(bench.choose("teletype"), [line(0, 0).encode()], MORNING_NS)
    assert [each.mark for each in missing.judgements[0].clauses] == ["no field"] and "user" in missing.fields


def test_a_correlation_is_fed_the_lines_in_their_order(tmp_path: Path) -> None:
    bench = StateDir(tmp_path).leave()
    lines = [line(0, second, last=last).encode() for second, last in enumerate((7, 7, 8, 7, 9))]
    judged = bench.test(bench.choose("force"), lines, MORNING_NS)
    assert [each.judgements[0].matches for each in judged] == [False, False, False, True, False]
    (inner,) = judged[3].judgements[0].rules
    assert inner.rule == "failed" and inner.matches and inner.group == {"src_ip": "192.0.2.7"}
    assert judged[0].judgements[0].wanted == "event_count gte 3"


def test_an_exception_is_named_with_its_reason(tmp_path: Path) -> None:
    scanner = RuleException("failed", {"src_ip": "192.0.2.0/28"}, MORNING_NS + 3600 * NS_PER_S, "our scanner")
    state = StateDir(tmp_path, exceptions=(scanner,))
    bench = state.leave()
    early, later = bench.test(bench.choose("failed"), [line(0, 0).encode(), line(0, 0, hour=10).encode()], MORNING_NS)
    assert early.judgements[0].excepted == "src_ip = 192.0.2.0/28, until 2026-05-13T09:00:00.000Z (our scanner)"
    assert later.judgements[0].excepted == "" and early.judgements[0].matches
    lines = [line(0, second).encode() for second in range(5)]
    assert not any(each.matches() for each in bench.test(bench.choose("force"), lines, MORNING_NS))


def test_an_exception_may_name_a_rule_by_its_uuid(tmp_path: Path) -> None:
    state = StateDir(tmp_path, exceptions=(RuleException("5d9b9d0a-3c0b-4e0e-9d3c-0d2b8a0e6f10", {"user": "bob"}),))
    state.take(line(0, 0), line(0, 1, "eve"))
    assert state.engine.matched["failed"] == 1 and state.engine.excepted == 1


def test_why_of_a_stored_event(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    events = state.take(line(0, 0), line(0, 1, "root"))
    bench = state.leave()
    assert [bench.why(bench.choose("root"), event.id).matches() for event in events] == [False, True]
    (judgement,) = bench.why(bench.choose("force"), events[0].id).judgements
    assert judgement.matches is None and judgement.rules[0].group == {"src_ip": "192.0.2.7"} and judgement.rules[0].matches
    assert bench.why(bench.choose("force"), events[0].id).matches()
    for unknown in ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense"):
        with pytest.raises(NotThere, match=unknown):
            bench.why(bench.choose("root"), unknown)


def test_a_backtest_says_what_would_have_rung(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    lines = [line(minute, 0, "root", hour=hour) for hour in (8, 9) for minute in range(12)] + [
        line(30, second, hour=22, last=9) for second in range(6)
    ]
    state.take(*lines)
    bench = state.leave()
    told: list[tuple[int, int]] = []
    found = bench.backtest(bench.choose("root"), None, None, lambda *at: not told.append(at))
    (account,) = found.rules
    assert (found.events, found.complete, found.referred_to, told[-1][0]) == (30, True, [], 30)
    assert (account.matches, account.alerts, account.share) == (24, 2, 0.8)
    assert [(day.day, day.matches, day.alerts) for day in account.days] == [("2026-05-13", 24, 2)]
    assert len(account.examples) == 10 and account.examples[0].ts == "2026-05-13T08:00:00.000Z"
    since_ns = MORNING_NS + 3600 * NS_PER_S
    part = bench.backtest(bench.choose("root"), since_ns, since_ns + 60 * NS_PER_S, lambda *_: True)
    assert (part.events, part.rules[0].matches) == (1, 1)
    chain = bench.backtest(bench.choose("force"), None, None, lambda *_: True)
    assert [(each.rule, each.matches, each.alerts) for each in chain.rules + chain.referred_to] == [
        ("force", 1, 1),
        ("failed", 30, 0),
    ]
    assert chain.referred_to[0].silent and not chain.rules[0].silent


def test_a_backtest_can_be_stopped_and_says_so(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.take(*(line(second // 60 % 60, second % 60) for second in range(1500)))
    bench = state.leave()
    found = bench.backtest(bench.choose("failed"), None, None, lambda *_: False)
    assert (found.events, found.complete) == (1000, False)


def test_a_file_is_tried_with_what_is_in_force(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    bench = state.leave()
    documents = state.rules.parent / "new.yml"
    documents.write_text(correlation("mine", "failed", "{gte: 2}") + "---\n" + rule("root", "{u: {user: bob}, condition: u}"))
    choice = bench.choose_from(Reader(Sources()).read(documents))
    assert [each.id for each in choice.targets] == ["root", "mine"]
    judged = bench.test(choice, [line(0, 0).encode(), line(0, 1).encode()], MORNING_NS)
    assert [[each.matches for each in one.judgements] for one in judged] == [[True, False], [True, True]]
    documents.write_text("title: [")
    with pytest.raises(NotThere, match=r"new.yml:2: "):
        bench.choose_from(Reader(Sources()).read(documents))


def test_coverage_and_never_are_of_the_rules_in_force(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.take(*(line(second // 60 % 60, second % 60) for second in range(1000)))
    bench = state.leave()
    assert [each["techniqueID"] for each in bench.coverage()["techniques"]] == ["T1110"]
    never = bench.never()
    assert never.enough and [each.rule for each in never.never] == ["teletype"]
    with pytest.raises(NotReady):
        Workbench(Library(), Settings(Sources()), None, state.path).never()


def test_without_a_daemon_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(NotReady):
        Workbench.of_daemon(tmp_path)
    assert obey(Order("why", str(tmp_path), "any")).status == 503


def run_process(order: dict[str, Any]) -> Any:
    done = subprocess.run(
        [sys.executable, "-P", "-s", "-m", "actors.sigma.inspection.workbench"],
        input=json.dumps(order).encode(),
        capture_output=True,
        check=True,
        timeout=60,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
    )
    return msgspec.json.decode(done.stdout, type=Answer)


def test_the_process_does_what_it_is_ordered(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    (event,) = state.take(line(0, 0, "root"))
    state.leave()
    common = {"state_dir": str(state.path), "rule": "root"}
    tested = run_process({"do": "test", "lines": [line(0, 0)], **common})
    assert tested.status == 200 and json.loads(bytes(tested.body))["lines"][0]["judgements"][0]["matches"] is False
    why = run_process({"do": "why", "event": event.id, **common})
    assert json.loads(bytes(why.body))["judgements"][0]["matches"] is True
    ran = run_process({"do": "backtest", **common})
    assert json.loads(bytes(ran.body))["rules"][0]["matches"] == 1
    assert run_process({"do": "why", "event": event.id, **common, "rule": "nil"}).status == 404
