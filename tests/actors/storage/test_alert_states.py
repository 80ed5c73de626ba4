"""What an alert has become: every draft that was folded into it counts once, whatever comes again and whoever dies."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import apsw
import msgspec
import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.alerting import actor
from actors.storage import main_writer
from actors.storage.reader import AlertQuery, StoreReader
from actors.storage.writer import StoreWriter
from protocol.findings import Alert, AlertState, Folded, Part
from protocol.messages import Drafted, Judged
from tests.actors.storage.events import NOON_NS, make_alert, make_batch
from tests.fake_context import FakeContext


def figures(number: int) -> list[Part]:
    return [Part("markov", 1 / (number + 2), 0.5, number, number, "events")]


def fold(number: int, into: int, ts_ns: int) -> Folded:
    return Folded(f"alr_draft{number}", f"alr_{into}", ts_ns, figures(number))


class StatesUnderRepetition(RuleBasedStateMachine):
    """Drafts in any order, again, in batches of which a part is known, over crashes and days that do not take their part."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.writer = StoreWriter(self.folder)
        self.drafts: dict[int, Folded] = {}
        self.alerts: set[int] = set()
        self.last = 0

    def teardown(self) -> None:
        self.writer.close()
        shutil.rmtree(self.folder)

    @rule(numbers=st.lists(st.integers(0, 30), max_size=5), alert=st.none() | st.integers(0, 3))
    def commit(self, numbers: list[int], alert: int | None) -> None:
        drafts = tuple(fold(number, number % 4, NOON_NS + number * 7 % 31) for number in numbers)
        self.writer.commit(None, [], [] if alert is None else [make_alert(alert)], NOON_NS, drafts)
        self._note(numbers, drafts, alert)

    @rule(numbers=st.lists(st.integers(0, 30), min_size=1, max_size=5))
    def fail(self, numbers: list[int]) -> None:
        """The day's transaction fails after the main one went through; the batch comes again."""
        drafts = tuple(fold(number, number % 4, NOON_NS + number * 7 % 31) for number in numbers)
        key, events = make_batch(1, self.last + 1, 3)
        really = self.writer._days.commit

        def fail(*_: object) -> list[bytes]:
            raise apsw.FullError

        self.writer._days.commit = fail  # type: ignore[method-assign, assignment]
        for _ in range(2):
            with pytest.raises(apsw.FullError):
                self.writer.commit(key, events, [], NOON_NS, drafts)
        self.writer._days.commit = really  # type: ignore[method-assign]
        self.writer.commit(key, events, [], NOON_NS, drafts)
        self.last = key.last
        self._note(numbers, drafts, None)

    def _note(self, numbers: list[int], drafts: tuple[Folded, ...], alert: int | None) -> None:
        self.drafts |= dict(zip(numbers, drafts, strict=True))
        if alert is not None:
            self.alerts.add(alert)

    @rule()
    def crash(self) -> None:
        self.writer.close()
        self.writer = StoreWriter(self.folder)

    @invariant()
    def each_draft_counts_once(self) -> None:
        reader = StoreReader(self.folder)
        alerts, _ = reader.alerts(AlertQuery())
        assert {alert.id for alert in alerts} == {f"alr_{number}" for number in self.alerts}
        states = reader.alert_states(alerts)
        for alert in alerts:
            mine = sorted((draft for draft in self.drafts.values() if draft.into == alert.id), key=lambda draft: draft.ts_ns)
            times = [alert.ts_ns, *(draft.ts_ns for draft in mine)]
            state = states[alert.id]
            assert (state.count, state.first_ns, state.last_ns) == (1 + len(mine), min(times), max(times))
            newest = [draft.explanation for draft in mine if draft.ts_ns == state.last_ns]
            assert state.explanation in newest or (state.explanation == alert.explanation and alert.ts_ns == state.last_ns)


StatesUnderRepetition.TestCase.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)
TestStatesUnderRepetition = StatesUnderRepetition.TestCase


def test_what_is_remembered_of_folded_drafts_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main_writer, "MAX_FOLDED", 50)
    writer = StoreWriter(tmp_path)
    for number in range(200):
        writer.commit(None, [], [], NOON_NS, (fold(number, 0, NOON_NS), fold(max(0, number - 49), 0, NOON_NS)))
    known = writer._main.connection.execute("select count(*), min(number), max(number) from folded").get
    assert known == (50, 151, 200)
    writer.commit(None, [], [make_alert(0)], NOON_NS)
    assert StoreReader(tmp_path).alert_states([make_alert(0)])["alr_0"].count == 201
    writer.close()


def test_a_draft_that_people_have_seen_as_an_alert_counts_for_no_other(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path)
    writer.commit(None, [], [make_alert(0), make_alert(1)], NOON_NS)
    writer.commit(None, [], [], NOON_NS, (Folded("alr_1", "alr_0", NOON_NS),))
    states = StoreReader(tmp_path).alert_states([make_alert(0), make_alert(1)])
    assert [state.count for state in states.values()] == [1, 1]
    writer.close()


async def _let_pass(folder: Path, drafts: list[Alert]) -> list[Judged]:
    """Return what an actor that starts now hands to the recorder."""
    context = FakeContext(folder, "alerts")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.run, context)
        for draft in drafts:
            context.deliver(Drafted((draft,)))
        context.drain()
    return [message for _, message, _ in context.sent if isinstance(message, Judged)]


def test_an_actor_that_died_without_a_snapshot_folds_the_same_drafts_and_they_count_once(tmp_path: Path) -> None:
    drafts = [
        msgspec.structs.replace(make_alert(number), dedup_key="sigma:rule:root", explanation=figures(number), ts_ns=at)
        for number, at in enumerate(NOON_NS + 600_000_000_000 * place for place in range(20))
    ]
    writer = StoreWriter(tmp_path / "store")
    for _ in range(3):
        shutil.rmtree(tmp_path / "snapshots", ignore_errors=True)
        for message in trio.run(_let_pass, tmp_path, drafts):
            writer.commit(None, [], message.alerts, NOON_NS, message.folded)
        alerts, _ = StoreReader(tmp_path / "store").alerts(AlertQuery())
        assert [alert.id for alert in alerts] == ["alr_0"]
        state = StoreReader(tmp_path / "store").alert_states(alerts)["alr_0"]
        assert state == AlertState(20, drafts[0].ts_ns, drafts[-1].ts_ns, figures(19))
    writer.close()


def test_an_alert_never_changes() -> None:
    with pytest.raises(AttributeError):
        make_alert(1).title = "another"  # type: ignore[misc]
