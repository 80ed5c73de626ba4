"""Templates: what they read like, and the laws of their ids."""

from __future__ import annotations

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.parsing.drain import Drain

_WORDS = "open close user root GET POST 42 7 10.0.0.1 /var/log x=1 x=2 uid= done STATE_A STATE_B"
WORDS = st.sampled_from(_WORDS.split())
MESSAGES = st.lists(st.lists(WORDS, max_size=5).map(" ".join), max_size=60)


def test_a_template_reads_as_the_statement_that_wrote_it() -> None:
    drain = Drain()
    for user, address in (("root", "10.0.1.42"), ("admin", "10.0.1.43"), ("bob", "192.168.7.1")):
        template = drain.learn(f"Failed password for {user} from {address}")
    assert template.text == "Failed password for <*> from <*>"
    assert template.id == 1
    assert len(drain) == 1


def test_states_and_keys_are_constants() -> None:
    drain = Drain()
    numbers = {drain.learn(f"task 17 went from NEW to {state}").id for state in ("RUNNING", "DONE")}
    numbers |= {drain.learn("check uid=0 rhost=1.2.3.4").id, drain.learn("check uid=0 user=bob").id}
    assert len(numbers) == 4


def test_ids_are_not_reused_and_templates_are_bounded() -> None:
    drain = Drain(max_templates=3)
    words = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot"]
    assert [drain.learn(f"{word} happened").id for word in words] == [1, 2, 3, 4, 5, 6]
    assert len(drain) == 3
    assert drain.learn("alpha happened").id == 7


@settings(deadline=None)
@given(MESSAGES, MESSAGES)
def test_restoring_between_two_halves_changes_nothing(first: list[str], second: list[str]) -> None:
    straight, halved = Drain(max_templates=8), Drain(max_templates=8)
    for message in first:
        straight.learn(message)
        halved.learn(message)
    restored = Drain(max_templates=8)
    restored.restore(msgpack.unpackb(msgpack.packb(halved.snapshot())))
    assert [straight.learn(message).id for message in second] == [restored.learn(message).id for message in second]
    assert straight.snapshot() == restored.snapshot()


@settings(deadline=None)
@given(st.lists(MESSAGES, max_size=4))
def test_replaying_the_journal_gives_the_same_templates(batches: list[list[str]]) -> None:
    drain, replayed = Drain(max_templates=8), Drain(max_templates=8)
    for batch in batches:
        for message in batch:
            drain.learn(message)
        replayed.restore_changes(msgpack.unpackb(msgpack.packb(drain.take_changes())))
    ours = sorted((number, tokens) for number, tokens, _ in drain.snapshot()["templates"])
    theirs = sorted((number, tokens) for number, tokens, _ in replayed.snapshot()["templates"])
    assert ours == theirs
    assert drain.take_changes() == []


@given(st.text(max_size=200))
def test_any_text_has_a_template_and_keeps_it(message: str) -> None:
    drain = Drain()
    assert drain.learn(message).id == drain.learn(message).id == 1
