"""What people do: committed once by its id, in one order for good, whatever is sent again and whoever dies."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import msgspec
import pytest
import trio
import trio.testing
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.frontend.actions import ANSWER_S, MAX_WAITING, ActionDesk
from actors.frontend.rest import Problem
from actors.storage.queries import StoredAction
from actors.storage.reader import StoreReader
from actors.storage.recorder import Recorder
from actors.storage.writer import StoreWriter
from protocol.clock import NS_PER_S
from protocol.identity import encode_ulid
from protocol.messages import Action, ActionDone
from tests.actors.storage.events import NOON_NS, make_alert
from tests.fake_context import FakeContext


def act(number: int, **arguments: object) -> Action:
    return Action(encode_ulid(number), "eve", "rest", "acknowledge", f"alr_{number}", arguments)


class LogUnderRepetition(RuleBasedStateMachine):
    """Actions of a few ids, with this content and that, over crashes and a main file that is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.writer = StoreWriter(self.folder)
        self.done: dict[str, tuple[ActionDone, Action]] = {}
        self.log: list[StoredAction] = []
        self.now_ns = NOON_NS
        self.greatest = self.losses = 0

    def teardown(self) -> None:
        self.writer.close()
        shutil.rmtree(self.folder)

    @rule(number=st.integers(1, 8), note=st.sampled_from(["", "", "", "other"]))
    def act(self, number: int, note: str) -> None:
        action = act(number, note=note)
        self.now_ns += 1_000
        answer = self.writer.act(action, self.now_ns)
        before = self.done.get(action.id)
        if before is None:
            assert (answer.refusal, answer.time_ns) == ("", self.now_ns) and answer.sequence > self.greatest
            self.greatest = answer.sequence
            self.done[action.id] = answer, action
            self.log.append(StoredAction(answer.sequence, answer.time_ns, action))
        elif before[1] == action:
            assert answer == before[0], "the same answer as at the first attempt"
        else:
            assert answer.sequence == 0 and "an id of its own" in answer.refusal

    @rule()
    def crash(self) -> None:
        self.writer.close()
        self.writer = StoreWriter(self.folder)

    @rule()
    def lose_main(self) -> None:
        """A disk does this once in years, here with seconds in between: a leap goes by the time."""
        self.writer.close()
        (self.folder / "main.db").write_bytes(b"no database" * 1_000)
        self.losses += 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "time_ns", lambda: NOON_NS + 2 * self.losses * NS_PER_S)
            self.writer = StoreWriter(self.folder)
        self.done, self.log = {}, []

    @invariant()
    def the_log_is_what_was_answered(self) -> None:
        reader = StoreReader(self.folder)
        assert reader.actions(0, limit=100) == self.log
        for place, entry in enumerate(self.log):
            assert reader.actions(entry.sequence, limit=2) == self.log[place + 1 : place + 3]


LogUnderRepetition.TestCase.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)
TestLogUnderRepetition = LogUnderRepetition.TestCase


@pytest.mark.parametrize("statement", ["update actions set who = 'root'", "delete from actions"])
def test_nobody_changes_the_log(tmp_path: Path, statement: str) -> None:
    writer = StoreWriter(tmp_path)
    writer.act(act(1), NOON_NS)
    with pytest.raises(apsw.ConstraintError, match="never"):
        writer._main.connection.execute(statement)
    assert len(StoreReader(tmp_path).actions(0, limit=5)) == 1
    writer.close()


@pytest.mark.parametrize(
    ("fault", "said"),
    [({"id": "1"}, "not a ULID"), ({"who": ""}, "who is empty"), ({"door": ""}, "door"), ({"verb": ""}, "verb"),
     ({"arguments": {"text": "x" * 70_000}}, "bytes")],
)  # fmt: skip
def test_an_action_with_a_fault_is_refused_and_leaves_no_trace(tmp_path: Path, fault: dict[str, object], said: str) -> None:
    writer = StoreWriter(tmp_path)
    answer = writer.act(msgspec.structs.replace(act(1), **fault), NOON_NS)
    assert answer.sequence == 0 and said in answer.refusal
    assert StoreReader(tmp_path).actions(0, limit=5) == []
    writer.close()


class Site:
    """A front end's desk and a recorder, with what lies between them in the hands of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.front = FakeContext(folder, "frontend", kind="front end")
        self.desk = ActionDesk(self.front)
        self.begin_recorder()
        self.passed = 0
        self.loses_answers = False

    def begin_recorder(self) -> None:
        self.back = FakeContext(self.folder, "recorder", retention_days=30, max_bytes=1 << 40)
        self.answered = 0

    async def carry(self) -> None:
        while True:
            for _, message, _ in self.front.sent[self.passed :]:
                self.back.deliver(message)
                self.passed += 1
            answers = [message for _, message, _ in self.back.sent if isinstance(message, ActionDone)]
            for message in answers[self.answered :]:
                self.answered += 1
                if not self.loses_answers:
                    self.desk.take(message)
            await trio.sleep(0.01)


@contextmanager
def said(status: int) -> Iterator[None]:
    with pytest.raises(Problem) as problem:
        yield
    assert problem.value.status == status


def test_an_action_goes_to_the_recorder_and_its_answer_comes_back(tmp_path: Path) -> None:
    async def main() -> None:
        site = Site(tmp_path)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(site.carry)
            nursery.start_soon(Recorder(site.back).run)
            first = await site.desk.submit(act(1))
            again = await site.desk.submit(act(1))
            assert first == again and first.sequence == 1 and first.time_ns > 0
            with said(409):
                await site.desk.submit(act(1, other=True))
            assert (await site.desk.submit(act(2))).sequence == 2
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert [entry.action for entry in StoreReader(tmp_path / "store").actions(0, limit=9)] == [act(1), act(2)]


def test_an_answer_that_is_lost_is_given_again_by_the_next_recorder(tmp_path: Path) -> None:
    async def main() -> None:
        site = Site(tmp_path)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(site.carry)
            site.loses_answers = True
            async with trio.open_nursery() as first_life:
                first_life.start_soon(Recorder(site.back).run)
                first_life.start_soon(site.desk.submit, act(1))
                while not site.answered:
                    await trio.sleep(0.01)
                first_life.cancel_scope.cancel()
            site.loses_answers = False
            site.begin_recorder()
            nursery.start_soon(Recorder(site.back).run)
            assert (await site.desk.submit(act(1))).sequence == 1
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert len(StoreReader(tmp_path / "store").actions(0, limit=9)) == 1


def test_a_recorder_that_is_away_holds_up_nobody_for_long_and_the_desk_is_bounded(tmp_path: Path) -> None:
    async def main() -> None:
        front = FakeContext(tmp_path, "frontend")
        front.full.add("recorder")
        desk = ActionDesk(front)
        outcomes: list[int] = []

        async def person(number: int) -> None:
            try:
                await desk.submit(act(number))
            except Problem as problem:
                outcomes.append(problem.status)

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(MAX_WAITING + 3):
                nursery.start_soon(person, number + 1)
        assert outcomes == [503] * (MAX_WAITING + 3)
        assert trio.current_time() - began == pytest.approx(ANSWER_S)
        assert desk._waits == {}

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_two_who_send_the_same_are_both_answered_and_another_under_that_id_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        desk = ActionDesk(FakeContext(tmp_path, "frontend"))
        answers: list[ActionDone] = []

        async def person() -> None:
            answers.append(await desk.submit(act(1)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(person)
            nursery.start_soon(person)
            await trio.testing.wait_all_tasks_blocked()
            with said(409):
                await desk.submit(act(1, other=True))
            desk.take(ActionDone(act(1).id, 7, NOON_NS))
        assert [answer.sequence for answer in answers] == [7, 7]
        desk.take(ActionDone(act(1).id, 7, NOON_NS))

    trio.run(main)


def test_an_action_waits_for_a_locked_store_and_is_done_when_it_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.storage.schema.BUSY_MS", 10)

    async def main() -> None:
        context = FakeContext(tmp_path, "recorder", retention_days=30, max_bytes=1 << 40)
        StoreWriter(tmp_path / "store").close()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Recorder(context).run)
            while context.report.state != "ok":
                await trio.sleep(0.01)
            locker = apsw.Connection(str(tmp_path / "store" / "main.db"))
            locker.execute("begin immediate")
            context.deliver(act(1))
            while context.report.state != "degraded":
                await trio.sleep(0.01)
            locker.close()
            while not any(isinstance(message, ActionDone) for _, message, _ in context.sent):
                await trio.sleep(0.01)
            assert context.report.state == "ok"
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert len(StoreReader(tmp_path / "store").actions(0, limit=9)) == 1


def test_actions_and_alerts_share_the_file_and_not_their_sequences(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path)
    writer.commit(None, [], [make_alert(0), make_alert(1)], NOON_NS)
    assert writer.act(act(1), NOON_NS).sequence == 1
    writer.close()
