"""The decoder of the export format, on what journalctl writes and on what nobody should."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.receivers.journal_export import MAX_FIELDS, ExportDecoder, ExportError, JournalEntry
from tests.journal import Fields, export

names = st.from_regex(r"[A-Z_][A-Z0-9_]{0,63}", fullmatch=True)
entries = st.lists(st.lists(st.tuples(names, st.binary(max_size=40)), min_size=1, max_size=6), max_size=5)


def decode(raw: bytes, sizes: list[int], decoder: ExportDecoder | None = None) -> list[JournalEntry]:
    """Return the entries of bytes that come in pieces of these sizes, over and over."""
    decoder = decoder or ExportDecoder()
    found, offset, turn = [], 0, 0
    while offset < len(raw):
        size = sizes[turn % len(sizes)]
        found += decoder.feed(raw[offset : offset + size])
        offset, turn = offset + size, turn + 1
    return found


@given(entries, st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_what_was_written_is_read_in_pieces_of_any_size(written: list[Fields], sizes: list[int]) -> None:
    assert [entry.fields for entry in decode(export(written), sizes)] == written


@given(st.binary(max_size=300) | st.text("AB=\n", max_size=60).map(str.encode), st.lists(st.integers(1, 50), min_size=1))
def test_hostile_bytes_are_entries_or_an_error_and_the_pieces_do_not_matter(raw: bytes, sizes: list[int]) -> None:
    outcomes = []
    for chosen in (sizes, [len(raw) + 1]):
        try:
            outcomes.append(decode(raw, chosen))
        except ExportError as error:
            outcomes.append(str(error))  # type: ignore[arg-type]
    if isinstance(outcomes[0], list) and isinstance(outcomes[1], list):
        assert outcomes[0] == outcomes[1]
    else:
        assert isinstance(outcomes[0], str) and isinstance(outcomes[1], str)


@given(entries, st.integers(0, 30), st.lists(st.integers(1, 7), min_size=1, max_size=3))
def test_values_are_cut_at_the_bound_and_said_to_be(written: list[Fields], bound: int, sizes: list[int]) -> None:
    for entry, fields in zip(decode(export(written), sizes, ExportDecoder(bound)), written, strict=True):
        assert entry.fields == [(name, value[:bound]) for name, value in fields]
        assert set(entry.cut) == {name for name, value in fields if len(value) > bound}


@pytest.mark.parametrize("value", [b"x" * 5_000_000, b"\x00" * 5_000_000], ids=["text", "binary"])
def test_a_huge_value_takes_no_memory(value: bytes) -> None:
    raw = export([[("HUGE", value), ("MESSAGE", b"said")], [("MESSAGE", b"next")]])
    decoder = ExportDecoder(1_000)
    found, most = [], 0
    for offset in range(0, len(raw), 4_096):
        found += decoder.feed(raw[offset : offset + 4_096])
        most = max(most, len(decoder._buffer) + len(decoder._value))
    assert [entry.get("MESSAGE") for entry in found] == [b"said", b"next"]
    assert found[0].get("HUGE") == value[:1_000] and found[0].cut == ["HUGE"]
    assert most < 10_000


def test_an_entry_is_bounded_and_its_message_has_its_room() -> None:
    fields = [(f"F{n}", b"x" * 100) for n in range(2 * MAX_FIELDS)]
    raw = export([[("A", b"y" * 100), ("B", b"z" * 100), ("MESSAGE", b"m" * 100), ("C", b"c")], fields])
    first, second = decode(raw, [1_000], ExportDecoder(max_entry_bytes=150))
    assert first.fields == [("A", b"y" * 100), ("B", b"z" * 50), ("MESSAGE", b"m" * 100), ("C", b"")]
    assert first.cut == ["B", "C"]
    assert len(second.fields) == MAX_FIELDS and sum(len(value) for _, value in second.fields) == 150


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"lower=1\n\n", "is not the name of a field"),
        (b"A\n\xff\xff\xff\xff\xff\xff\xff\xff", "says that it has 18446744073709551615 bytes"),
        (b"A\n\x01\0\0\0\0\0\0\0xy", "does not end with a newline"),
        (b"A" * 70_000, "is not the name of a field"),
    ],
)
def test_what_is_no_export_is_said(raw: bytes, fault: str) -> None:
    with pytest.raises(ExportError, match=fault):
        ExportDecoder().feed(raw)
