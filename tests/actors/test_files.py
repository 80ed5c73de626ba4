from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.files import SnapshotFile, uncollected, write_whole
from actors.parsing.journal import TemplateJournal
from tests.fake_context import FakeContext


def test_a_snapshot_comes_back_and_a_foreign_one_means_a_cold_start(tmp_path: Path) -> None:
    context = FakeContext(tmp_path, "hst")
    snapshot = SnapshotFile(context, 2)
    assert snapshot.load() is None and not context.report.counters.total()
    trio.run(snapshot.store, {"seen": 7})
    assert snapshot.load() == {"seen": 7}
    assert SnapshotFile(context, 3).load() is None
    assert context.report.counters["unusable_snapshots"] == 1
    assert snapshot.load() is None, "it is kept aside"
    assert (tmp_path / "snapshots" / "hst.unusable").exists()


@pytest.mark.parametrize("content", [b"", b"\xc1", bytes(1_000), b"\x80"])
def test_a_damaged_snapshot_never_ends_the_actor(tmp_path: Path, content: bytes) -> None:
    context = FakeContext(tmp_path, "hst")
    write_whole(tmp_path / "snapshots" / "hst.msgpack", content)
    assert SnapshotFile(context, 1).load() is None
    assert context.report.counters["unusable_snapshots"] == 1


def test_the_collector_rests_while_much_is_made(tmp_path: Path) -> None:
    with pytest.raises(KeyError), uncollected():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    with uncollected():
        pass
    assert not gc.isenabled()
    gc.enable()


def test_a_full_disk_costs_the_snapshot_only(small_disk: Path) -> None:
    context = FakeContext(small_disk, "hst")
    snapshot = SnapshotFile(context, 1)
    trio.run(snapshot.store, {"seen": 1})
    trio.run(snapshot.store, {"large": bytes(1 << 20)})
    assert context.report.counters["failed_snapshots"] == 1
    assert snapshot.load() == {"seen": 1}


CHANGES = st.lists(st.lists(st.lists(st.text(max_size=5), max_size=3), min_size=1, max_size=4), min_size=1, max_size=5)


@settings(deadline=None, max_examples=50)
@given(CHANGES, st.data())
def test_a_journal_gives_back_what_was_written_before_a_tear(
    tmp_path_factory: pytest.TempPathFactory, entries: list[list[list[str]]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "templates.journal"
    journal = TemplateJournal(path)
    assert journal.read() == []
    journal.begin(entries[0])
    ends = [journal.size_bytes]
    for changes in entries[1:]:
        journal.append(changes)
        ends.append(journal.size_bytes)
    journal.close()
    assert path.stat().st_size == ends[-1]
    assert TemplateJournal(path).read() == [change for changes in entries for change in changes]
    cut = data.draw(st.integers(0, ends[-1]))
    os.truncate(path, cut)
    whole = sum(end <= cut for end in ends)
    assert TemplateJournal(path).read() == [change for changes in entries[:whole] for change in changes]


def test_a_journal_on_a_full_disk_is_as_it_was(small_disk: Path) -> None:
    path = small_disk / "templates.journal"
    journal = TemplateJournal(path)
    journal.begin([["first"]])
    with pytest.raises(OSError, match="No space left"):
        journal.append([["x" * 1_000_000]])
    journal.append([["second"]])
    journal.close()
    assert TemplateJournal(path).read() == [["first"], ["second"]]
