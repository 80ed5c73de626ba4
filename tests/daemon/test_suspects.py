from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from daemon.suspects import BUDGET, MAX_SUSPECTS, PATIENCE, PERIOD_S, Suspects
from daemon.trace import MAX_FAILURE_CHARACTERS, Trace, take_failure, take_trace, write_failure
from protocol.messages import BatchKey


def key(first: int, count: int = 1, tag: int = 7) -> BatchKey:
    return BatchKey("syslog", tag, first - 1, first, count)


@given(st.integers(1, 500), st.data())
def test_the_culprit_is_found_among_any_batch_and_nothing_else_is_put_aside(count: int, data: st.DataObject) -> None:
    """A receiver that does what it is told, an actor that dies of some records, and a supervisor that judges."""
    poison = data.draw(st.sets(st.integers(1, count), min_size=1, max_size=4))
    suspects, aside, isolated, deaths = Suspects(), set[int](), False, 0
    done = 0
    while done < count:
        batch = key(done + 1) if isolated else key(done + 1, count)
        inside = set(range(batch.first, batch.last + 1))
        if inside & (poison - aside):
            deaths += 1
            verdict = suspects.judge("parser", batch, is_detector=False)
            isolated = isolated or verdict == "isolate"
            if verdict == "quarantine":
                aside |= inside
        else:
            done = batch.last
    assert aside == poison
    assert deaths <= 1 + 2 * len(poison)


def test_a_batch_of_which_no_single_record_kills_is_put_aside_whole_in_the_end() -> None:
    suspects = Suspects()
    verdicts = [suspects.judge("scorer", key(1, 100), is_detector=False) for _ in range(PATIENCE)]
    assert verdicts == ["isolate"] * (PATIENCE - 1) + ["quarantine"]


def test_a_detector_passes_over_what_it_died_of_twice() -> None:
    suspects = Suspects()
    assert suspects.judge("hst", key(1, 100), is_detector=True) is None
    assert suspects.poison("hst") == ()
    assert suspects.judge("hst", key(51, 100), is_detector=True) == "pass over"
    assert suspects.poison("hst") == ((7, 51, 150),)
    assert suspects.poison("markov") == ()
    assert suspects.judge("hst", key(51, 100, tag=8), is_detector=True) is None, "another spool"


def test_deaths_of_batches_are_forgiven_up_to_a_budget() -> None:
    suspects = Suspects()
    assert [suspects.forgives(0.1 * number) for number in range(BUDGET + 5)] == [True] * BUDGET + [False] * 5
    assert suspects.forgives(PERIOD_S), "the first is long ago"
    assert not suspects.forgives(PERIOD_S)


def test_suspects_are_bounded() -> None:
    suspects = Suspects()
    for number in range(3 * MAX_SUSPECTS):
        suspects.judge("parser", key(1 + 10 * number), is_detector=False)
    assert len(suspects._suspects) == MAX_SUSPECTS


def test_a_trace_says_what_was_handled_last(tmp_path: Path) -> None:
    assert take_trace(tmp_path, "parser") is None
    trace = Trace(tmp_path, "parser")
    assert take_trace(tmp_path, "parser") is None
    for batch in (key(1, 500), BatchKey("a_receiver_with_a_long_name", 1 << 31, 1 << 47, 1 << 47, 1 << 20, 99, 1 << 47), key(2)):
        trace = Trace(tmp_path, "parser")
        trace.write(batch)
        assert take_trace(tmp_path, "parser") == batch
        assert take_trace(tmp_path, "parser") is None, "the next has died before it took up anything"
    trace = Trace(tmp_path, "parser")
    trace.write(key(1))
    trace.write(None)
    assert take_trace(tmp_path, "parser") is None
    (tmp_path / "parser.trace").write_bytes(b"\0\7garbage")
    assert take_trace(tmp_path, "parser") is None


def test_a_failure_is_read_once(tmp_path: Path) -> None:
    assert take_failure(tmp_path, "hst") == ""
    write_failure(tmp_path, "hst", "x" * 100_000 + "ValueError: \ud800")
    failure = take_failure(tmp_path, "hst")
    assert len(failure) <= MAX_FAILURE_CHARACTERS + 10 and failure.endswith("\\ud800")
    assert take_failure(tmp_path, "hst") == ""
