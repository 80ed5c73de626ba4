from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol import findings, messages, records
from protocol.columns import COLUMN_FRAMES, FEATURES, Columns, Scores
from protocol.messages import BatchKey, decode_message, encode_message, join_array
from protocol.packing import PackingError, pack, unpack, unpack_entries
from protocol.snapshot import SnapshotError, pack_snapshot, unpack_snapshot

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)
PLAIN = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False) | TEXTS | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
KEYS = st.builds(BatchKey, TEXTS, INTEGERS, INTEGERS, INTEGERS, st.integers(0, 1 << 40), st.integers(0, 1 << 40))
st.register_type_strategy(str, TEXTS)
st.register_type_strategy(int, INTEGERS)
st.register_type_strategy(float, st.floats(allow_nan=False))


def structs(kind: type) -> st.SearchStrategy:
    """Return any value of a struct, by its annotations."""
    fields = {field.name: values(field.type) for field in msgspec.structs.fields(kind)}
    return st.builds(kind, **fields)


def values(kind: object) -> st.SearchStrategy:
    if kind is BatchKey:
        return KEYS
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return structs(kind)
    inner = get_args(kind)
    origin = getattr(kind, "__origin__", None)
    if kind == dict[str, object] or (origin is dict and "Any" in str(kind)):
        return st.dictionaries(TEXTS, PLAIN, max_size=3)
    if origin is dict:
        return st.dictionaries(values(inner[0]), values(inner[1]), max_size=3)
    if origin is list:
        return st.lists(values(inner[0]), max_size=3)
    if origin is tuple:
        return st.lists(values(inner[0]), max_size=3).map(tuple)
    if inner and type(None) in inner:
        return st.none() | values(next(each for each in inner if each is not type(None)))
    if inner and all(isinstance(each, str) for each in inner):
        return st.sampled_from(inner)
    if "Any" in str(kind):
        return PLAIN
    return st.from_type(kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", get_args(messages.Message), ids=lambda kind: kind.__name__)
def test_every_message_arrives_as_it_was_sent(kind: type) -> None:
    @given(structs(kind), st.lists(st.binary(max_size=50), max_size=4))
    def arrives(header: messages.Header, frames: list[bytes]) -> None:
        read, behind = decode_message(encode_message(header, frames))
        assert type(read) is kind and read == header and list(behind) == frames

    arrives()


@pytest.mark.parametrize(
    "kind",
    [records.Record, records.OtlpRecord, records.Event, messages.JudgedEvent, findings.Alert, findings.Part],
    ids=lambda kind: kind.__name__,
)
def test_every_struct_arrives_as_it_was_sent(kind: type) -> None:
    decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder(kind).decode

    @given(structs(kind))
    def arrives(value: msgspec.Struct) -> None:
        assert decode(messages.encode(value)) == value

    arrives()


@given(st.binary(max_size=60))
def test_foreign_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, msgspec.ValidationError)):
        decode_message([raw])


@given(st.lists(PLAIN, max_size=40))
@example([])
@example(list(range(15)))
@example(list(range(16)))
@example([1] * 65_535)
@example([1] * 65_536)
def test_joined_arrays_are_what_msgspec_makes_of_the_list(items: list[object]) -> None:
    assert join_array([messages.encode(item) for item in items]) == messages.encode(items)


@given(PLAIN)
def test_packed_data_is_read_as_it_was(value: object) -> None:
    assert unpack(pack(value)) == value


@given(st.binary(max_size=60))
def test_damaged_data_is_a_packing_error_or_a_value(raw: bytes) -> None:
    with contextlib.suppress(PackingError):
        unpack(raw)


@given(st.lists(st.lists(PLAIN, max_size=3), max_size=5), st.data())
def test_a_torn_journal_gives_the_entries_before_the_tear(entries: list[list[object]], data: st.DataObject) -> None:
    packed = [pack(entry) for entry in entries]
    raw = b"".join(packed)
    cut = data.draw(st.integers(0, len(raw)))
    ends = [sum(map(len, packed[:n])) for n in range(len(packed) + 1)]
    whole = max(n for n, end in enumerate(ends) if end <= cut)
    assert unpack_entries(raw)[:2] == (entries, len(raw))
    read, good, fault = unpack_entries(raw[:cut])
    assert (read, good, bool(fault)) == (entries[:whole], ends[whole], cut > ends[whole])


STATES = st.dictionaries(TEXTS, PLAIN, max_size=4)


@given(STATES)
def test_a_snapshot_is_taken_up_by_its_own_actor_and_version_only(state: dict[str, object]) -> None:
    raw = pack_snapshot("hst", 3, state)
    assert unpack_snapshot(raw, "hst", 3) == state
    with pytest.raises(SnapshotError, match="belongs to 'hst'"):
        unpack_snapshot(raw, "cusum", 3)
    with pytest.raises(SnapshotError, match="has version 3"):
        unpack_snapshot(raw, "hst", 4)


@given(STATES, st.data())
def test_a_damaged_snapshot_is_refused_and_never_anything_else(state: dict[str, object], data: st.DataObject) -> None:
    raw = pack_snapshot("hst", 3, state)
    with pytest.raises(SnapshotError):
        unpack_snapshot(raw[: data.draw(st.integers(0, len(raw) - 1))], "hst", 3)
    place, value = data.draw(st.integers(0, len(raw) - 1)), data.draw(st.integers(0, 255))
    with contextlib.suppress(SnapshotError):
        assert isinstance(unpack_snapshot(raw[:place] + bytes([value]) + raw[place + 1 :], "hst", 3), dict)


@given(st.integers(0, 50), st.randoms(use_true_random=False))
def test_columns_are_mapped_as_they_were_packed(n: int, random: object) -> None:
    seed = np.random.default_rng(n)
    batch = Columns(
        ("a", "b"),
        seed.integers(-(1 << 62), 1 << 62, n),
        seed.integers(-(1 << 62), 1 << 62, n),
        seed.integers(0, 99, n).astype(np.int32),
        seed.integers(0, 2, n).astype(np.int32),
        seed.integers(1, 25, n).astype(np.int8),
        seed.integers(0, 1 << 63, n).astype(np.uint64),
        seed.integers(0, 1 << 62, n),
        seed.random((n, len(FEATURES))).astype(np.float32),
    )
    frames = batch.pack()
    assert len(frames) == COLUMN_FRAMES
    read = Columns.unpack(("a", "b"), frames)
    assert len(read) == n and not read.features.flags.writeable
    for name in Columns.__struct_fields__[1:]:
        assert np.array_equal(getattr(read, name), getattr(batch, name))
    scores = Scores.unpack(Scores.absent(n).pack())
    assert len(scores.raw) == n and np.isnan(scores.seen).all()


def test_columns_of_different_lengths_are_refused() -> None:
    frames = Columns.unpack((), [b""] * COLUMN_FRAMES).pack()
    with pytest.raises(ValueError, match="differ in length"):
        Columns.unpack((), [*frames[:1], bytes(8), *frames[2:]])
