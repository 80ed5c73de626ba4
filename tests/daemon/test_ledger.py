"""The ledger against simulated lives: silent while nothing is lost, loud as soon as something is."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.ledger import EdgeAccount, Ledger
from daemon.transport import count_message
from protocol.messages import Beat, Passed, SpoolAccount, account_name

TAG = 7


def receiver_beat(accepted: int, acknowledged: int, damaged: int = 0, tag: int = TAG, *, unsure: bool = False) -> Beat:
    return Beat("syslog", 1, "ok", "", {}, {}, SpoolAccount(tag, accepted, acknowledged, damaged, unsure))


def recorder_beat(committed: int, tag: int = TAG) -> Beat:
    return Beat("recorder", 1, "ok", "", {}, {}, committed={account_name("syslog", tag): committed})


class Life:
    """A receiver and a recorder that move at random; their reports arrive late, or not at all."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.ledger = Ledger()
        self.accepted = self.committed = self.acknowledged = 0

    def second(self, *, receiver_down: bool = False, recorder_down: bool = False) -> list[str]:
        for _ in range(4):
            if not receiver_down:
                self.accepted += self.random.randrange(1_000)
            late = self.acknowledged
            if not recorder_down:
                self.committed += self.random.randint(0, self.accepted - self.committed)
            if not receiver_down:
                self.acknowledged = self.random.randint(late, self.committed)
                if self.random.random() < 0.9:
                    self.ledger.take_beat(receiver_beat(self.accepted, self.acknowledged))
            if not recorder_down and self.random.random() < 0.9:
                self.ledger.take_beat(recorder_beat(self.committed))
        return self.ledger.check()


@given(st.integers(), st.lists(st.sampled_from(["both", "receiver", "recorder", "none"]), max_size=40))
def test_a_stream_that_loses_nothing_is_never_accused(seed: int, downs: list[str]) -> None:
    life = Life(seed)
    for down in downs:
        broken = life.second(receiver_down=down in ("receiver", "both"), recorder_down=down in ("recorder", "both"))
        assert broken == []
    assert life.ledger.breaks == 0


@pytest.mark.parametrize(("accepted", "acknowledged", "committed", "word"), [(90, 80, 70, "lost"), (90, 80, 95, "twice")])
def test_a_single_record_too_few_or_too_many_is_told_once(accepted: int, acknowledged: int, committed: int, word: str) -> None:
    ledger, said = Ledger(), []
    for _ in range(10):
        ledger.take_beat(receiver_beat(accepted, acknowledged))
        ledger.take_beat(recorder_beat(committed))
        said += ledger.check()
    assert len(said) == ledger.breaks == 1
    assert word in said[0] and "syslog" in said[0]


def test_the_account_adds_up_and_names_every_reason() -> None:
    ledger = Ledger()
    ledger.take_beat(receiver_beat(100, 60, damaged=5))
    ledger.take_beat(recorder_beat(70))
    ledger.check()
    shown = ledger.sources["syslog"].describe({"spool_full": 3, "spool_error": 0})
    assert shown == {"received": 108, "committed": 70, "in_flight": 30, "dropped": {"spool_full": 3, "damaged": 5}}


def test_a_spool_that_was_deleted_begins_a_new_account() -> None:
    ledger = Ledger()
    for tag, accepted in ((1, 1_000), (2, 10)):
        for _ in range(5):
            ledger.take_beat(receiver_beat(accepted, accepted, tag=tag))
            ledger.take_beat(recorder_beat(accepted, tag=tag))
            assert ledger.check() == []
    assert ledger.sources["syslog"].describe({})["committed"] == 10


def test_what_a_spool_has_forgotten_and_the_store_has_is_no_break() -> None:
    ledger = Ledger()

    def check(accepted: int, committed: int, *, unsure: bool) -> list[str]:
        ledger.take_beat(receiver_beat(accepted, accepted, unsure=unsure))
        ledger.take_beat(recorder_beat(committed))
        return ledger.check()

    assert [check(0, 50, unsure=True) for _ in range(5)] == [[]] * 5
    assert check(10, 50, unsure=False) == [], "the recorder's report may be the older one"
    assert [check(10, 10, unsure=False) for _ in range(5)] == [[]] * 5
    assert any(check(10, 11, unsure=False) for _ in range(5)), "from then on each record counts again"


class Edge:
    """Two actors that live, die and report now and then; between them a queue that dies with either."""

    def __init__(self) -> None:
        self.account = EdgeAccount()
        self.sender = self.receiver = 1
        self.queue: list[tuple[int, int]] = []
        self.sent = 0
        self.passed: Passed | None = None

    def do(self, step: str) -> None:
        if step == "send":
            self.sent += 1
            self.queue.append((self.sender, self.sent))
        elif step == "handle" and self.queue:
            self.passed = count_message(self.passed, *self.queue.pop(0))
        elif step == "sender dies":
            self.sender, self.sent = self.sender + 1, 0
            self.queue = self.queue[: len(self.queue) // 2]
        elif step == "receiver dies":
            self.receiver, self.passed, self.queue = self.receiver + 1, None, []
        elif step == "report":
            self.report()

    def report(self) -> None:
        self.account.take_sent(self.sender, self.sent)
        if self.passed is not None:
            seen = (self.passed.incarnation, self.passed.number)
            self.account.take_passed(self.receiver, seen, self.passed.handled, self.passed.gaps)


STEPS = st.sampled_from(["send"] * 4 + ["handle"] * 4 + ["report", "sender dies", "receiver dies"])


@given(st.lists(STEPS, max_size=200))
def test_an_edge_adds_up_over_every_death_and_has_no_gap(steps: list[str]) -> None:
    edge = Edge()
    for step in steps:
        edge.do(step)
    edge.report()
    shown = edge.account.describe()
    assert shown["sent"] == shown["handled"] + shown["lost"] + shown["in_flight"]
    assert all(value >= 0 for value in shown.values())
    assert edge.account.gaps == 0
    if not {"sender dies", "receiver dies"} & set(steps):
        assert shown == {
            "sent": steps.count("send"),
            "handled": steps.count("send") - len(edge.queue),
            "lost": 0,
            "in_flight": len(edge.queue),
        }


def test_a_message_that_is_missing_between_two_living_processes_breaks_the_ledger() -> None:
    passed = None
    for number in (1, 2, 5):
        passed = count_message(passed, 1, number)
    assert passed is not None and passed.gaps == 2
    ledger = Ledger()
    ledger.take_beat(Beat("scorer", 1, "ok", "", {}, {}, passed={"parser": passed}))
    assert ledger.check() == ["2 messages from parser to scorer are missing, and both are alive"]
    assert ledger.check() == []
