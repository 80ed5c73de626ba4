from __future__ import annotations

import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.identity import (
    ENTITY_NAMESPACE,
    MAX_SEQUENCE,
    MAX_TAG,
    alert_id,
    decode_ulid,
    encode_ulid,
    entity_uuid,
    event_number,
    template_name,
    template_number,
)

NUMBERS = st.integers(0, (1 << 128) - 1)
PLACES = st.tuples(st.integers(0, MAX_SEQUENCE), st.integers(0, MAX_TAG), st.integers(0, MAX_SEQUENCE))


@given(NUMBERS)
@example(0)
@example((1 << 128) - 1)
def test_a_ulid_is_26_letters_that_give_the_number_back(number: int) -> None:
    text = encode_ulid(number)
    assert len(text) == 26 and not set(text) & set("ILOUilou")
    assert decode_ulid(text) == decode_ulid(text.lower()) == number


@given(NUMBERS, NUMBERS)
def test_ulids_sort_as_their_numbers(one: int, other: int) -> None:
    assert (encode_ulid(one) < encode_ulid(other)) == (one < other)


@given(st.text(max_size=40) | st.text(alphabet="0123456789ABCDEFGHJKMNPQRSTVWXYZßſKıilou", min_size=26, max_size=26))
@example("7" + "Z" * 24 + "ß")
def test_text_is_a_ulid_of_128_bits_or_a_value_error(text: str) -> None:
    try:
        number = decode_ulid(text)
    except ValueError:
        return
    assert 0 <= number < 1 << 128
    assert encode_ulid(number) == text.upper()


@given(PLACES, PLACES)
def test_an_event_number_names_time_spool_and_sequence(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    assert (event_number(*one) < event_number(*other)) == (one < other)
    assert event_number(*one) < 1 << 128


@given(st.sampled_from(["user", "ipv4", "domain"]), st.text())
def test_an_entity_uuid_is_the_standard_librarys(kind: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        assert uuid.UUID(entity_uuid(kind, value)).version == 5
    else:
        assert entity_uuid(kind, value) == str(uuid.uuid5(ENTITY_NAMESPACE, f"{kind}:{value}"))


@given(st.integers(0, 1 << 60), st.text(), st.text())
def test_an_alert_id_is_a_function_of_its_cause(time_ms: int, key: str, cause: str) -> None:
    made = alert_id(time_ms, key, cause)
    assert made == alert_id(time_ms, key, cause) != alert_id(time_ms, key, cause + "x")
    assert decode_ulid(made.removeprefix("alr_")) >> 80 == time_ms & MAX_SEQUENCE


@given(st.integers(0, 1 << 40))
def test_a_template_name_gives_its_number_back(number: int) -> None:
    assert template_number(template_name(number)) == number
    assert len(template_name(number)) >= len("drain_0000")


@pytest.mark.parametrize("name", ["", "drain", "drain_", "drain_-1", "drain_x", "rain_1", "drain_1_2", "drain_٣"])
def test_what_is_no_template_name_is_a_value_error(name: str) -> None:
    with pytest.raises(ValueError, match="not a template id"):
        template_number(name)
