"""What is sent again is judged again the same: real detectors and the real scorer, over deaths anywhere behind the spool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from actors.answers import Answers
from actors.detectors import actor as detector_actor
from actors.detectors.registry import DETECTORS
from actors.journal import Journal
from actors.parsing.parse import Parser
from actors.scoring import actor as scoring_actor
from protocol.findings import Finding
from protocol.messages import BatchKey, Events, Findings, Judged, Parsed, Scored, encode
from protocol.records import Record
from tests.fake_context import FakeContext

START_NS = 1_790_000_000_000_000_000
TAG = 7
SIZE = 100
WARM, NEW = 40, 11  # batches of ordinary lines, then batches with a line of a new kind each
KINDS = ("alpha", "bravo", "candle", "desert", "eleven", "forest", "gravel", "hazard", "island", "jungle", "kettle")


class Batch:
    """A parsed batch, as the parser sends it."""

    def __init__(self, parser: Parser, number: int, lines: list[bytes]) -> None:
        first = number * SIZE + 1
        records = [
            Record(START_NS + (number * SIZE + i) * 50_000_000, "app", "line", "here", line) for i, line in enumerate(lines)
        ]
        events, columns = parser.parse(records, TAG, first)
        self.key = BatchKey("file", TAG, first - 1, first, len(lines), 0, first - 1)
        self.sources = columns.sources
        self.frames = [*columns.pack(), encode(events)]


def batches() -> Iterator[Batch]:
    parser = Parser()
    for number in range(WARM + NEW):
        lines = [f"user {i % 5} asked for page {number * i % 17}".encode() for i in range(SIZE)]
        if number >= WARM:
            lines[40] = f"{KINDS[number - WARM]} {KINDS[number - WARM]} collapsed under its own weight".encode()
        yield Batch(parser, number, lines)


class Site:
    """Detectors and a scorer in one process; any of them may be killed, and comes back with what is on disk."""

    def __init__(self, folder: Path, nursery: trio.Nursery) -> None:
        self._folder = folder
        self._nursery = nursery
        self.contexts: dict[str, FakeContext] = {}
        self._scopes: dict[str, trio.CancelScope] = {}

    async def start(self, name: str) -> None:
        context = FakeContext(self._folder, name, alerts_per_day=2.0)
        run = scoring_actor.run if name == "scorer" else detector_actor.run
        self.contexts[name], scope = context, trio.CancelScope()
        self._scopes[name] = scope

        async def live() -> None:
            with scope:
                await run(context)

        self._nursery.start_soon(live)
        while context.report.state != "ok":
            await trio.sleep(0.001)

    async def kill(self, name: str) -> None:
        await trio.testing.wait_all_tasks_blocked()  # a kill is anywhere; here it is where pytest sees no generator left over
        self._scopes[name].cancel()
        await trio.testing.wait_all_tasks_blocked()
        await self.start(name)

    async def judge(self, batch: Batch) -> tuple[list[str], bytes]:
        """Send a batch to all; return its alerts and the packed scores and thresholds."""
        scorer = self.contexts["scorer"]
        before = len(scorer.sent)
        scorer.deliver(Parsed(batch.key, batch.sources, tuple(DETECTORS)), batch.frames)
        for name in DETECTORS:
            detector = self.contexts[name]
            answered = len(detector.sent)
            detector.deliver(Events(batch.key, batch.sources), batch.frames[:-1])
            while len(detector.sent) == answered:
                await detector.changed.wait()
            _, header, frames = detector.sent[-1]
            assert isinstance(header, Scored)
            scorer.deliver(header, frames)
        while len(scorer.sent) == before:
            await scorer.changed.wait()
        _, judged, frames = scorer.sent[-1]
        assert isinstance(judged, Judged) and judged.key is not None and judged.key.first == batch.key.first
        return [encode(alert).hex() for alert in judged.alerts], b"".join(map(bytes, frames[1:]))

    def stop(self) -> None:
        for scope in self._scopes.values():
            scope.cancel()


@pytest.fixture(autouse=True)
def no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector_actor, "wall_ns", lambda: START_NS)
    monkeypatch.setattr(detector_actor, "elapsed_ns", lambda: START_NS)
    monkeypatch.setattr(detector_actor, "SETTLED_S", 0.0)


def lead(folder: Path, disturb: Callable[[Site], object] | None) -> list[tuple[list[str], bytes]]:
    """Return what was said of the batches with new kinds; each is sent again after a disturbance."""

    async def main() -> list[tuple[list[str], bytes]]:
        said = []
        async with trio.open_nursery() as nursery:
            site = Site(folder, nursery)
            for name in (*DETECTORS, "scorer"):
                await site.start(name)
            for number, batch in enumerate(batches()):
                first = await site.judge(batch)
                if number < WARM:
                    continue
                said.append(first)
                if disturb is not None:
                    await disturb(site)  # type: ignore[misc]
                    assert await site.judge(batch) == first, f"batch {number - WARM} is judged otherwise when it is sent again"
            await trio.testing.wait_all_tasks_blocked()
            site.stop()
        return said

    return trio.run(main)


async def nothing_dies(site: Site) -> None:
    """The recorder, or alerts, died: those before it only hear of it."""


async def scorer_dies(site: Site) -> None:
    await site.kill("scorer")


def test_resent_equals_first_to_the_last_bit(tmp_path: Path) -> None:
    undisturbed = lead(tmp_path / "undisturbed", None)
    assert sum(bool(alerts) for alerts, _ in undisturbed) >= 5, "the new kinds have to ring for this to say anything"
    assert lead(tmp_path / "recorder", nothing_dies) == undisturbed
    assert lead(tmp_path / "scorer", scorer_dies) == undisturbed


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_that_died_says_the_same_of_what_it_had_learned(tmp_path: Path, name: str) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            site = Site(tmp_path, nursery)
            for each in (*DETECTORS, "scorer"):
                await site.start(each)
            for batch in batches():
                first = await site.judge(batch)
            site.contexts[name].drain()  # it writes its snapshot, which holds the last batch
            await trio.sleep(0.2)
            await site.kill(name)
            assert await site.judge(batch) == first
            await trio.testing.wait_all_tasks_blocked()
            site.stop()

    trio.run(main)


def finding() -> Finding:
    return Finding("cusum", "silence", "app", 0, START_NS, 1e-9, 120.0, 0.0, "events in 7 min")


def test_a_finding_that_was_on_its_way_is_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        context = FakeContext(tmp_path, "cusum")
        monkeypatch.setattr(detector_actor, "TICK_S", 0.01)
        async with trio.open_nursery() as nursery:
            actor = detector_actor.DetectorActor(context)
            said = [[finding()]]
            monkeypatch.setattr(actor._detector, "tick", lambda now_ns: said.pop() if said else [])
            nursery.start_soon(actor.run)
            while not context.sent:
                await context.changed.wait()
            context.announce_loss()  # the scorer died with it
            while len(context.sent) < 2:
                await context.changed.wait()
            context.drain()
        again = FakeContext(tmp_path, "cusum")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(detector_actor.run, again)
            while not again.sent:
                await again.changed.wait()
            nursery.cancel_scope.cancel()
        assert context.told == [("silence", "source app fell silent: no event in 7 min, where 120 are its habit")]
        assert again.told == [], "told once, however often the finding is sent"
        assert [header for _, header, _ in (*context.sent, *again.sent)] == [Findings((finding(),))] * 3

    trio.run(main)


# -- answers


def key(first: int, count: int, base: int = 0) -> BatchKey:
    return BatchKey("file", TAG, base, first, count)


def cut(text: str, start: int, end: int) -> str:
    return text[start:end]


def test_answers_are_recalled_whole_and_in_part_and_forgotten_once_committed() -> None:
    answers = Answers(cut)
    answers.keep(key(1, 5), "abcde")
    answers.keep(key(6, 5), "fghij")
    assert answers.recall(key(1, 5)) == "abcde" and answers.recall(key(7, 2)) == "gh" and answers.recall(key(5, 2)) is None
    assert answers.recall(BatchKey("file", TAG + 1, 0, 1, 5)) is None
    restored = Answers(cut)
    restored.restore(answers.snapshot(str), str)
    assert restored.recall(key(6, 1)) == "f" and len(restored) == 10
    answers.keep(key(11, 1, base=5), "k")
    assert answers.recall(key(1, 5)) is None and answers.recall(key(6, 5)) == "fghij" and len(answers) == 6


def test_answers_stay_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.answers.MAX_RECORDS", 10)
    answers = Answers(cut)
    for first in range(1, 1_000, 3):
        answers.keep(key(first, 3), "abc")
    assert len(answers) <= 10 and answers.given_up > 300
    for tag in range(1_000):
        answers.keep(BatchKey("file", tag, 0, 1, 3), "abc")
    assert len(answers) <= 64 * 3


# -- journal


def test_a_journal_gives_back_what_came_after_a_snapshot(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "scorer")
    journal.turn()
    journal.append(["before"])
    number = journal.turn()
    for entry in range(3):
        journal.append([entry])
    assert list(Journal(tmp_path, "scorer").read(number)) == [[0], [1], [2]]
    journal.forget(number)
    after = Journal(tmp_path, "scorer")
    assert list(after.read(0)) == [[0], [1], [2]]
    assert after.turn() == number + 1
    after.append([3])
    assert list(after.read(number)) == [[0], [1], [2], [3]]


def test_a_torn_entry_ends_a_journal_and_a_refusing_disk_costs_no_more_than_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, "scorer")
    number = journal.turn()
    journal.append(["whole"])
    path = tmp_path / f"scorer.{number}.journal"
    path.write_bytes(path.read_bytes() + b"\x93\x01")
    assert list(journal.read(number)) == [["whole"]]
    monkeypatch.setattr("actors.journal.MAX_BYTES", 1)
    journal.append(["too much"])
    journal.append(["and behind it"])
    assert list(journal.read(number)) == [["whole"]] and journal.failed_writes == 1
