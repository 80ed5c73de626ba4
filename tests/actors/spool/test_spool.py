from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.record_log import LogFull
from actors.spool import spool as spool_module
from actors.spool.spool import Spool
from actors.syncing import Fsync, sync_all

MAX_BYTES = 1_500
Entry = tuple[int, int, bytes, dict[str, Any] | None]


class SpoolAgainstModel(RuleBasedStateMachine):
    """The model: a list of entries, what of it is acknowledged, and the newest cursor of each key."""

    fsync: Fsync = "interval"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.spool = self.open()
        self.tag = self.spool.tag
        self.entries: list[Entry] = []  # not acknowledged
        self.cursors: dict[str, Any] = {}
        self.used = 0  # the highest sequence that was ever handed out
        self.accepted = 0  # records, without those that were damaged
        self.damaged = 0

    def teardown(self) -> None:
        self.spool.close()
        shutil.rmtree(self.folder)

    def open(self) -> Spool:
        return Spool(self.folder, max_bytes=MAX_BYTES, segment_bytes=200, fsync=self.fsync)

    def crash(self) -> None:
        """End without a word: nothing is written any more."""
        spool = self.spool
        spool._store_position = lambda: True  # type: ignore[method-assign]
        spool.close()

    @rule(
        batches=st.lists(st.tuples(st.binary(max_size=60), st.integers(1, 5)), min_size=1, max_size=3),
        key=st.sampled_from(["a", "b"]),
        value=st.none() | st.integers(0, 99),
    )
    def append(self, batches: list[tuple[bytes, int]], key: str, value: int | None) -> None:
        cursor = None if value is None else {key: value}
        before = self.spool.size
        try:
            slots = self.spool.append(batches, cursor)
        except LogFull:
            assert before + sum(len(records) for records, _ in batches) > MAX_BYTES - 200
            return
        for slot, (records, count) in zip(slots, batches, strict=True):
            assert slot.first > self.used, "a sequence is given twice"
            self.used = slot.last
            self.accepted += count
            self.entries.append((slot.first, count, records, None))
        self.cursors |= cursor or {}

    @rule(part=st.floats(0, 1.2))
    def acknowledge(self, part: float) -> None:
        if not self.entries:
            return
        n = round(part * len(self.entries))
        if n:
            first, count, _, _ = self.entries[min(n, len(self.entries)) - 1]
            self.spool.acknowledge(first + count - 1 + (1_000 if part > 1 else 0))
            self.entries = self.entries[n:]

    @rule()
    def reopen(self) -> None:
        self.spool.close()
        self.spool = self.open()
        assert self.spool.torn == 0

    @rule()
    def crash_and_reopen(self) -> None:
        """What was acknowledged since the position was stored comes back; the recorder knows it. Nothing else does."""
        acknowledged = self.spool.acknowledged
        self.crash()
        self.spool = self.open()
        assert self.spool.torn == 0
        self.spool.acknowledge(acknowledged)

    @rule(data=st.data())
    def crash_in_mid_append(self, data: st.DataObject) -> None:
        """The last append stops at any byte: it was never accepted."""
        acknowledged = self.spool.acknowledged
        cursors, entries = dict(self.cursors), list(self.entries)
        size_before = {path: path.stat().st_size for path in self.folder.glob("*.segment")}
        try:
            self.spool.append([(b"torn" * 5, 2)], {"a": -1})
        except LogFull:
            return
        path = max(self.folder.glob("*.segment"))
        start = size_before.get(path, 0)
        end = path.stat().st_size
        self.crash()
        with open(path, "r+b") as file:
            file.truncate(data.draw(st.integers(start, end - 1)))
        self.spool = self.open()
        self.spool.acknowledge(acknowledged)
        self.cursors, self.entries = cursors, entries

    @rule()
    def disk_refuses_to_force(self) -> None:
        """With `always` nothing was accepted, and the sequences are not given again: the entry may be there all the same."""
        if self.fsync == "interval":
            return
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(os, "fdatasync", refuse)
            with pytest.raises((OSError, LogFull)):
                self.spool.append([(b"refused", 3)], {"a": -1})

    @precondition(lambda self: self.entries)
    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        """A byte on disk turns: its entry and what lies behind it in that segment is lost, and nothing else."""
        slot = data.draw(st.sampled_from(sorted(self.spool.slots, key=lambda slot: slot.first)))
        acknowledged = self.spool.acknowledged
        lost = {
            each.first: each.count
            for each in self.spool.slots
            if each.segment == slot.segment and each.offset >= slot.offset
        }
        place = slot.offset + data.draw(st.integers(0, slot.length - 1))
        path = self.folder / f"{slot.segment:016d}.segment"
        self.crash()
        raw = bytearray(path.read_bytes())
        raw[place] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(raw)
        self.spool = self.open()
        assert self.spool.torn == 1
        self.spool.acknowledge(acknowledged)
        self.entries = [entry for entry in self.entries if entry[0] not in lost]
        self.cursors = dict(self.spool.cursors)  # those of lost entries are older now: never newer than what is here
        self.accepted -= sum(lost.values())
        self.damaged += sum(lost.values())

    @rule()
    def boot(self) -> None:
        """The machine was started again: sequences that power loss may have taken are not given again."""
        self.spool._boot = "an earlier boot"
        self.spool.close()
        self.spool = self.open()
        assert self.spool.next > self.used + 1_000

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        spool = self.spool
        assert [(slot.first, slot.count) for slot in spool.slots] == [(first, count) for first, count, _, _ in self.entries]
        assert [spool.read(slot) for slot in spool.slots] == [records for _, _, records, _ in self.entries]
        assert spool.cursors == self.cursors
        assert spool.waiting == sum(count for _, count, _, _ in self.entries)
        assert spool.tag == self.tag
        assert spool.next > self.used
        assert spool.account().accepted == self.accepted
        assert spool.account().damaged <= self.damaged, "what was lost at the very end may not be known, but nothing is made up"
        before = spool.account().accepted - spool.waiting
        for slot in spool.slots:
            assert spool.ordinal(slot.first) == before
            before += slot.count
        assert spool.size == sum(path.stat().st_size for path in self.folder.glob("*.segment")) <= MAX_BYTES
        first = self.entries[0][0] if self.entries else spool.next
        assert spool.acknowledged == first - 1, "the recorder takes no batch that begins behind a gap"


class ForcedSpoolAgainstModel(SpoolAgainstModel):
    fsync = "always"


def refuse(*_: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


ForcedSpoolAgainstModel.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
TestForcedSpoolAgainstModel = ForcedSpoolAgainstModel.TestCase
SpoolAgainstModel.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestSpoolAgainstModel = SpoolAgainstModel.TestCase


def test_what_damage_takes_between_two_segments_is_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1 << 20, segment_bytes=10)
    slots = [spool.append([(b"x" * 60, 7)])[0] for _ in range(5)]
    spool.close()
    damaged = tmp_path / f"{slots[2].segment:016d}.segment"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    for _ in range(2):
        spool = Spool(tmp_path, max_bytes=1 << 20)
        assert (spool.account().damaged, spool.account().accepted, spool.waiting) == (7, 28, 28)
        assert [spool.ordinal(slot.first) for slot in spool.slots] == [0, 7, 14, 21]
        spool.close()


@pytest.mark.parametrize("fate", ["emptied", "deleted"])
def test_a_sequence_that_was_used_is_not_given_again_where_the_segments_are_gone(tmp_path: Path, fate: str) -> None:
    spool = Spool(tmp_path, max_bytes=1 << 20)
    spool.append([(b"x", 50)])
    spool.acknowledge(50)  # the position on disk does not know it yet
    (segment,) = tmp_path.glob("*.segment")
    os.truncate(segment, 0) if fate == "emptied" else segment.unlink()
    again = Spool(tmp_path, max_bytes=1 << 20)
    assert again.append([(b"y", 1)])[0].first > 50 and again.account().is_unsure
    again.acknowledge(again.next - 1)
    assert not again.account().is_unsure
    again.close()


def test_a_segment_that_got_no_record_before_the_end_counts_for_no_damage(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1 << 20)
    spool.append([(b"x", 5)])
    spool.segments.path(spool.next).touch()  # killed between the opening and the writing
    for accepted in (5, 10, 15):
        spool = Spool(tmp_path, max_bytes=1 << 20)
        assert (spool.account().accepted, spool.account().damaged) == (accepted, 0)
        spool.append([(b"y", 5)])


def test_a_spool_that_is_older_than_the_store_gives_no_sequence_that_the_store_knows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path, max_bytes=1 << 20)
    spool.append([(b"x", 3)])
    spool.acknowledge(50)
    assert "is older than the store" in caplog.text
    assert spool.append([(b"y", 2)])[0].first > 50
    assert (spool.account().accepted, spool.waiting, spool.account().damaged) == (5, 2, 0)
    spool.close()
    spool = Spool(tmp_path, max_bytes=1 << 20)
    assert (spool.account().accepted, spool.waiting, spool.account().damaged) == (5, 2, 0)
    spool.close()


def test_acknowledged_segments_are_deleted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1 << 20, segment_bytes=100)
    for _ in range(20):
        spool.append([(b"x" * 60, 1)])
    assert len(list(tmp_path.glob("*.segment"))) >= 10
    spool.acknowledge(19)
    assert len(list(tmp_path.glob("*.segment"))) == 1
    spool.append([(b"x", 1)])
    assert spool.read(spool.slots[-1]) == b"x"
    spool.close()


@pytest.mark.parametrize("content", [b"", b"\xc1", b"\x81\xa3tag\x01", b"\x93\x01\x02\x03", bytes(100)])
def test_a_position_that_cannot_be_read_is_said_and_costs_no_record(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path, max_bytes=1 << 20, segment_bytes=100)
    for number in range(10):
        spool.append([(b"%d" % number * 40, 1)], {"file": number})
    spool.acknowledge(4)
    held, tag = [spool.read(slot) for slot in spool.slots], spool.tag
    spool.close()
    (tmp_path / "position").write_bytes(content)
    spool = Spool(tmp_path, max_bytes=1 << 20)
    assert spool.unusable and "cannot be used" in caplog.text
    assert spool.tag != tag, "under the old tag the recorder might ignore records that it does not have"
    assert [spool.read(slot) for slot in spool.slots][-len(held) :] == held
    assert spool.cursors == {"file": 9}
    assert spool.acknowledged == spool.slots[0].first - 1
    assert (tmp_path / "position.unusable").read_bytes() == content
    spool.close()
    again = Spool(tmp_path, max_bytes=1 << 20)
    assert not again.unusable and again.tag == spool.tag
    again.close()


def test_a_full_disk_takes_an_append_whole_or_not_at_all(small_disk: Path) -> None:
    spool = Spool(small_disk / "spool", max_bytes=1 << 30, segment_bytes=50_000)
    held = []
    with pytest.raises(OSError, match="No space left"):
        for number in range(1_000):
            spool.append([(b"%04d" % number * 700, 1), (b"x" * 2_000, 1)], {"at": number})
            held.append(number)
    assert spool.cursors == {"at": held[-1]} and len(spool.slots) == 2 * len(held)
    with pytest.raises(OSError, match="No space left"):
        spool.append([(b"y" * 100_000, 1)])
    spool.close()
    spool = Spool(small_disk / "spool", max_bytes=1 << 30, segment_bytes=50_000)
    assert spool.torn == 0 and len(spool.slots) == 2 * len(held)
    spool.acknowledge(spool.slots[-1].last)  # and room is made, although the position may not find any
    spool.append([(b"fits again", 1)])
    assert spool.read(spool.slots[-1]) == b"fits again"
    spool.close()


def test_a_segment_that_cannot_be_made_leaves_the_spool_as_it_was(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", max_bytes=1 << 20, segment_bytes=10)
    spool.append([(b"first", 1)])
    (tmp_path / "spool").rename(tmp_path / "away")
    for _ in range(3):
        with pytest.raises(OSError, match="No such file"):
            spool.append([(b"refused", 1)])
    (tmp_path / "away").rename(tmp_path / "spool")
    spool.append([(b"second", 1)])
    assert [spool.read(slot) for slot in spool.slots] == [b"first", b"second"]
    spool.close()


def forced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by the name of every file that is forced to disk."""
    names: list[str] = []

    def note(descriptor: int) -> None:
        names.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))

    monkeypatch.setattr(os, "fdatasync", note)
    monkeypatch.setattr(os, "fsync", note)
    return names


def test_always_forces_each_append_and_a_new_segment_with_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "spool", max_bytes=1 << 20, segment_bytes=100, fsync="always")
    names = forced(monkeypatch)
    spool.append([(b"x" * 90, 1)])
    spool.append([(b"x" * 90, 1)])
    assert names == ["spool", f"{1:016d}.segment", "spool", f"{2:016d}.segment"]
    names.clear()
    spool.acknowledge(2)
    assert names == ["position.new", "spool"], "it is on disk before the segments go"
    assert spool.segments.unsynced.take() == []
    spool.close()


def test_interval_knows_what_is_not_forced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "spool", max_bytes=1 << 20, segment_bytes=100)
    names = forced(monkeypatch)
    for _ in range(3):
        spool.append([(b"x" * 90, 1)])
    assert names == []
    assert sync_all(spool.segments.unsynced.take()) is None
    assert {"spool", "position", *(f"{number:016d}.segment" for number in (1, 2, 3))} == set(names)
    assert spool.segments.unsynced.take() == []
    spool.close()


def test_nothing_is_accepted_under_a_tag_that_is_not_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(spool_module, "store_position", refuse)
        spool = Spool(tmp_path / "spool", max_bytes=1 << 20)
        with pytest.raises(OSError, match="No space"):
            spool.append([(b"\x90", 1)])
    spool.append([(b"\x90", 1)])
    assert Spool(tmp_path / "spool", max_bytes=1 << 20).tag == spool.tag, "after a crash it would be sent again as another"


def test_it_tells_whether_the_disk_would_take_more(small_disk: Path) -> None:
    spool = Spool(small_disk / "spool", max_bytes=1 << 20)
    spool.append([(b"\x91\x01", 1)])
    filler = small_disk / "filler"
    with suppress(OSError), open(filler, "wb", buffering=0) as file:
        while file.write(b"x" * 4_096):
            pass
    assert not spool.has_room()
    filler.unlink()
    assert spool.has_room()
    assert Spool(small_disk / "spool", max_bytes=1 << 20).torn == 0
    spool.close()
