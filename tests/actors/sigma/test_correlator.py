from __future__ import annotations

import random
from typing import Any

import msgpack
import pytest

from actors.sigma.correlation import windows
from actors.sigma.correlation.correlations import COUNTS, Correlation, count_limit, resolve
from actors.sigma.correlation.correlator import Correlator, Firing
from actors.sigma.rules.correlation_documents import read_correlation
from tests.actors.sigma.correlation_reference import Reference

SECOND = 10**9
RULES = {"a": "a", "b": "b", "c": "c"}
STREAMS = 300  # of each kind, of 60 events


def correlation(name: str, rules: str, kind: str = "event_count", **parts: Any) -> Correlation:
    given = {"type": kind, "rules": rules.split(), "timespan": "10s"} | {
        part.replace("_", "-"): each for part, each in parts.items()
    }
    return read_correlation({"title": name, "name": name, "correlation": given}, "x.yml")


def correlator(*given: Correlation, **bounds: int) -> Correlator:
    found = resolve(given, RULES)
    assert not found.refused
    return Correlator(found.correlations, **bounds)


class Maker:
    """Makes correlations and streams out of few rules, few values and little time, so that they often meet."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.newest_s = 1_000

    def expression(self, rules: list[str]) -> str:
        """Return an extended condition of all the rules that does not hold of nothing."""
        first, *rest = rules
        return " ".join([first, *(f"{self.random.choice(['and', 'or', 'and not'])} {rule}" for rule in rest)])

    def condition(self, kind: str, rules: list[str]) -> Any:
        pick = self.random.choice
        counts = pick([None, {"gte": self.random.randint(1, len(rules))}])
        count = self.random.randint(1, 4)
        counted = pick([{"gte": count}, {"gt": count}, {"eq": count}, {"gte": count, "lt": count + 2}])
        compared = {pick(["gte", "gt", "lt", "lte", "eq", "neq"]): pick([0, 2, 3.5, 6])}
        return {
            "event_count": counted,
            "value_count": counted | {"field": pick(["user", ["user", "dst"]])},
            "temporal": pick([counts, self.expression(rules)]),
            "temporal_ordered": None,
            "value_sum": {pick(["gte", "gt", "eq"]): pick([2, 3.5, 5]), "field": "amount"},
            "value_avg": compared | {"field": "amount"},
            "value_percentile": compared | {"field": "amount", "percentile": pick([0, 25, 90, 100])},
            "value_median": compared | {"field": "amount"},
            "share": {pick(["lte", "gt"]): pick([25, 50]), "field": "user"},
        }[kind]

    def correlation(self, name: str, kind: str, referred: tuple[str, ...] = ("a", "b", "c")) -> Correlation:
        rules = self.random.sample(referred, self.random.randint(1, len(referred)))
        parts: dict[str, Any] = {"group_by": self.random.choice([[], ["src"], ["who"], ["src", "user"]])}
        if "who" in parts["group_by"]:
            parts["aliases"] = {"who": {rule: {"a": "src", "b": "dst"}.get(rule, "user") for rule in rules}}
        if (condition := self.condition(kind, rules)) is not None:
            parts["condition"] = condition
        return correlation(name, " ".join(rules), "value_percentile" if kind == "share" else kind, **parts)

    def event(self, number: int, late: bool) -> tuple[int, str, list[str], dict[str, Any]]:
        pick = self.random.choice
        self.newest_s += pick([0, 0, 1, 1, 2, 3, 7, 12])
        seconds = self.newest_s - (self.random.randint(0, 10) if late and pick([True, False, False]) else 0)
        rules = self.random.sample(["a", "b", "c", "other"], self.random.randint(0, 2))
        fields = {
            "src": pick(["x", "y", None]),
            "dst": pick(["x", "y"]),
            "user": pick(["root", "eve", 7]),
            "amount": pick([0, 1, 2, 3.5, "4", "-1.25", "many", None, True]),
        }
        return seconds * SECOND, f"{number:04}", rules, {name: value for name, value in fields.items() if pick([0, 1, 1, 1, 1])}


def plain(firings: list[Firing]) -> list[tuple[Any, ...]]:
    return [(each.correlation, each.event_ns, each.event_id, each.event_ids, each.group, each.seen) for each in firings]


def counted_as_far(given: list[Correlation], fired: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return what the reference says with counts no further than the engine takes them."""
    limits = {each.id: count_limit(each) for each in given if each.type in ("event_count", "value_count")}
    return [(*each[:-1], min(each[-1], limits.get(each[0], each[-1]))) for each in fired]


KINDS = [*COUNTS, "value_sum", "value_avg", "value_percentile", "value_median", "share"]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_correlation_says_what_the_specification_says(kind: str, late: bool) -> None:
    total = 0
    for seed in range(STREAMS):
        maker = Maker(seed)
        given = [maker.correlation("one", kind)]
        engine, reference = correlator(*given), Reference(resolve(given, RULES).correlations)
        for number in range(60):
            event = maker.event(number, late)
            firings = plain(engine.feed(*event))
            assert firings == counted_as_far(given, reference.feed(*event)), (seed, number, given)
            total += len(firings)
    assert total > STREAMS


@pytest.mark.parametrize("late", [False, True])
def test_chains_say_what_the_specification_says(late: bool) -> None:
    outer_fired = 0
    for seed in range(STREAMS * 3):
        maker = Maker(seed)
        kinds = maker.random.choices(["event_count", "value_count", "temporal", "temporal_ordered"], k=3)
        given = [
            maker.correlation("first", kinds[0]),
            maker.correlation("second", kinds[1], ("a", "first")),
            maker.correlation("third", kinds[2], ("b", "first", "second")),
        ]
        engine, reference = correlator(*given), Reference(resolve(given, RULES).correlations)
        for number in range(60):
            event = maker.event(number, late)
            firings = plain(engine.feed(*event))
            assert firings == counted_as_far(given, reference.feed(*event)), (seed, number)
            outer_fired += sum(each[0] == "third" for each in firings)
    assert outer_fired > STREAMS


@pytest.mark.parametrize("kind", KINDS)
def test_a_snapshot_changes_nothing(kind: str) -> None:
    for seed in range(40):
        maker = Maker(seed)
        given = [maker.correlation("one", kind), maker.correlation("two", "event_count", ("a", "one"))]
        events = [maker.event(number, late=True) for number in range(60)]
        whole, before, after = correlator(*given), correlator(*given), correlator(*given)
        expected = [whole.feed(*event) for event in events]
        found = [before.feed(*event) for event in events[:30]]
        after.restore(msgpack.unpackb(msgpack.packb(before.snapshot()), strict_map_key=False))
        found += [after.feed(*event) for event in events[30:]]
        assert found == expected
        assert after.snapshot() == whole.snapshot()


def test_an_extended_condition_looks_back_only() -> None:
    engine = correlator(correlation("t", "a b", "temporal", group_by=["src"], condition="a and not b"))
    assert not engine.feed(1 * SECOND, "1", ["b"], {"src": "x"})
    assert not engine.feed(11 * SECOND, "2", ["a"], {"src": "x"})
    (firing,) = engine.feed(12 * SECOND, "3", ["a"], {"src": "x"})
    assert firing.wanted == "(a and (not b))"
    assert not engine.feed(13 * SECOND, "4", ["b"], {"src": "x"})


MANY = correlation("many", "a", group_by=["src"], condition={"gte": 3})


def times(engine: Correlator, seconds: list[float], src: str = "x") -> list[float]:
    """Return at which of the times an event of the rule fires."""
    return [each for each in seconds if engine.feed(int(each * SECOND), str(each), ["a"], {"src": src})]


def test_a_firing_tells_what_it_saw() -> None:
    engine = correlator(MANY)
    engine.feed(1 * SECOND, "one", ["a"], {"src": "x"})
    engine.feed(2 * SECOND, "two", ["a"], {"src": "x"})
    (firing,) = engine.feed(11 * SECOND, "three", ["a", "other"], {"src": "x"})
    assert firing == Firing("many", 11 * SECOND, SECOND, "three", ("one", "two", "three"), {"src": "x"}, 3, "gte 3")


def test_both_ends_of_a_window_belong_to_it() -> None:
    assert times(correlator(MANY), [0, 1, 10]) == [10]
    assert times(correlator(MANY), [0, 1, 10.001]) == []


def test_while_the_condition_stays_true_it_fires_once_in_a_timespan() -> None:
    assert times(correlator(MANY), list(range(40))) == [2, 12, 22, 32]


def test_after_the_condition_was_false_it_fires_at_once() -> None:
    assert times(correlator(MANY), [0, 1, 2, 11.5, 11.6]) == [2, 11.6]


def test_one_wrong_clock_neither_blinds_nor_empties_a_group() -> None:
    far = 10**6
    assert times(correlator(MANY), [far, 0, 1, 2]) == [2]
    assert times(correlator(MANY), [0, 1, far, 2]) == [2]
    assert times(correlator(MANY), [0, far, 1, far + 1, 2, far + 2]) == [2, far + 2]
    assert times(correlator(MANY), [0, far, 1, 2 * far, 2]) == [2]  # the window unused longest gave way
    others = correlator(MANY)
    times(others, [0, 1])
    times(others, [far], src="y")
    assert times(others, [2]) == [2]


def test_events_in_different_forms_of_one_value_are_one_group() -> None:
    engine = correlator(MANY)
    assert not engine.feed(0, "1", ["a"], {"src": 7}) and not engine.feed(1, "2", ["a"], {"src": "7"})
    assert engine.feed(2, "3", ["a"], {"src": ["7"]})
    lackings: tuple[dict[str, Any], ...] = ({}, {"src": None}, {"src": []})
    for lacking in lackings:
        assert not engine.feed(3, "4", ["a"], lacking)
    assert engine.statistics()["without_field"] == 3


def test_a_chain_knows_the_fields_of_the_event_that_closed_it() -> None:
    inner = correlation("inner", "a", group_by=["host"], condition={"gte": 2})
    outer = correlation("outer", "inner b", "temporal_ordered", group_by=["user"])
    engine = correlator(inner, outer)
    engine.feed(0, "1", ["a"], {"host": "web", "user": "eve"})
    assert [each.correlation for each in engine.feed(1, "2", ["a"], {"host": "web", "user": "root"})] == ["inner"]
    assert not engine.feed(2, "3", ["b"], {"user": "eve"})
    (firing,) = engine.feed(3, "4", ["b"], {"user": "root"})
    assert firing.correlation == "outer" and firing.event_ids == ("1", "2", "4") and firing.group == {"user": "root"}


def test_a_chain_may_be_of_any_length() -> None:
    links = [correlation(f"c{number}", f"c{number - 1}" if number else "a", condition={"gte": 1}) for number in range(1_500)]
    last = correlation("last", "c1499", group_by=["src"], condition={"gte": 1})
    (*_, fired) = correlator(*links, last).feed(0, "e", ["a"], {"src": "x"})
    assert fired.correlation == "last" and fired.group == {"src": "x"}


def test_an_order_survives_a_flood_of_its_first_rule_and_of_others() -> None:
    engine = correlator(correlation("chain", "a b c", "temporal_ordered"))
    engine.feed(0, "0", ["a"], {})
    engine.feed(1, "1", ["b"], {})
    for number in range(2, 1_000):
        assert not engine.feed(number, str(number), ["a"], {})
    assert engine.feed(1_000, "1000", ["c"], {})
    assert engine.statistics()["entries"] <= windows.MAX_LATE + 20


def test_an_event_before_all_that_an_order_remembers_is_counted_and_joins_no_chain() -> None:
    engine = correlator(correlation("chain", "a b", "temporal_ordered"))
    for number in range(100, 100 + 2 * windows.MAX_LATE):
        engine.feed(number, str(number), ["a"], {})
    assert not engine.feed(101, "late", ["b"], {})
    assert engine.statistics()["dropped_entries"] == 1
    assert engine.feed(300, "b", ["b"], {})


def test_one_that_adopts_keeps_its_own_bounds() -> None:
    before, after = correlator(MANY), correlator(MANY, max_groups=3)
    for number in range(10):
        times(before, [float(number)], f"s{number}")
    after.adopt(before)
    times(after, [10.0], "s10")
    assert after.statistics()["groups"] == 3


def test_groups_are_bounded_and_the_one_unused_longest_gives_way() -> None:
    engine = correlator(MANY, max_groups=3)
    for source in "vwxv":
        engine.feed(0, source, ["a"], {"src": source})
    engine.feed(0, "y", ["a"], {"src": "y"})
    assert engine.statistics()["groups"] == 3 and engine.statistics()["evicted_groups"] == 1
    assert times(engine, [0], src="v") == [0]  # the third of its group
    assert times(engine, [0, 0], src="w") == []


def test_entries_are_bounded_over_all_groups() -> None:
    engine = correlator(
        correlation("sum", "a", "value_sum", group_by=["src"], condition={"gt": 10**9, "field": "n"}), max_entries=500
    )
    for number in range(5_000):
        engine.feed(number, str(number), ["a"], {"src": str(number % 50), "n": 1})
        assert engine.statistics()["entries"] <= 500
    assert engine.statistics()["evicted_groups"] > 0


def test_groups_that_are_over_leave_by_themselves() -> None:
    engine = correlator(MANY)
    for second in range(1_000):
        engine.feed(second * SECOND, str(second), ["a"], {"src": str(second)})
    assert engine.statistics()["groups"] <= 23 and engine.statistics()["evicted_groups"] == 0


def test_counts_keep_no_more_than_decides_them() -> None:
    distinct = correlation("users", "a", "value_count", condition={"gte": 3, "field": "user"})
    engine = correlator(MANY, distinct)
    for number in range(1_000):
        engine.feed(number, str(number), ["a"], {"src": "x", "user": number})
    assert engine.statistics()["entries"] == 2 * (4 + 20)


def test_numbers_beyond_the_bound_give_way_and_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "MAX_ENTRIES", 5)
    engine = correlator(correlation("sum", "a", "value_sum", condition={"gte": 6, "field": "n"}))
    assert not [firing for number in range(9) for firing in engine.feed(number, str(number), ["a"], {"n": 1})]
    assert engine.statistics()["dropped_entries"] == 4


@pytest.mark.parametrize("hostile", ["nan", "inf", "1e999", 10**400, 1e300, float("nan"), "9" * 100_000, [1], {"a": 1}, True, ""])
def test_what_is_no_number_does_not_spoil_a_sum(hostile: Any) -> None:
    engine = correlator(correlation("sum", "a", "value_sum", condition={"gte": 0.3, "field": "n"}))
    assert not engine.feed(0, "0", ["a"], {"n": hostile}) and not engine.feed(0, "1", ["a"], {"n": 0.1})
    assert engine.feed(0, "2", ["a"], {"n": "0.2"})[0].seen == 0.3


def test_long_values_are_told_apart_and_not_kept() -> None:
    engine = correlator(MANY)
    first, second = "x" * 100_000 + "1", "x" * 100_000 + "2"
    assert times(engine, [0, 1], src=first) == [] and times(engine, [1, 1.5], src=second) == []
    assert times(engine, [2], src=first) == [2]
    assert len(msgpack.packb(engine.snapshot())) < 2_000


def test_a_correlation_that_changed_begins_anew_and_others_do_not() -> None:
    engine, changed = correlator(MANY), correlator(correlation("many", "a", group_by=["src"], condition={"gte": 2}))
    times(engine, [0, 1])
    changed.restore(engine.snapshot())
    assert changed.statistics()["groups"] == 0 and times(changed, [1]) == []
    same = correlator(MANY, correlation("new", "b", condition={"gte": 2}))
    same.restore(engine.snapshot())
    assert times(same, [2]) == [2]


def test_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 7, this program reads 1"):
        correlator(MANY).restore(correlator(MANY).snapshot() | {"version": 7})
