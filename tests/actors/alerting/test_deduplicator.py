from __future__ import annotations

import msgpack
import msgspec
import pytest

from actors.alerting.deduplicator import ABREAST, ABREAST_OF_RULES, Deduplicator
from actors.scoring.alerts import alert_of_event, alert_of_finding
from protocol.findings import Alert, AlertState
from tests.actors.scoring.test_alerts import blended, event, finding


def test_whatever_notices_the_volume_is_one_alert() -> None:
    causes = [
        alert_of_event(event("10.0.0.1"), blended(holt_winters=1e-15, markov=0.5), 0),
        alert_of_finding(finding("burst", 15)),
        alert_of_finding(finding("level_up", 40)),
        alert_of_finding(finding("level_down", 400)),
    ]
    deduplicator = Deduplicator()
    assert [deduplicator.admit(alert) for alert in causes] == [True, False, False, False]
    assert deduplicator.statistics()["folded"] == 3
    assert deduplicator.admit(alert_of_finding(finding("burst", 40, source="other")))


def test_the_window_slides_but_not_for_ever() -> None:
    deduplicator = Deduplicator()
    shown = [at for at in range(0, 36_000, 600) if deduplicator.admit(alert_of_finding(finding("burst", at)))]
    assert shown == [0, 15_000, 30_000]
    assert deduplicator.admit(alert_of_finding(finding("burst", 36_000 + 901)))


def test_history_that_begins_again_is_not_folded() -> None:
    deduplicator = Deduplicator()
    assert deduplicator.admit(alert_of_finding(finding("burst", 100_000)))
    assert deduplicator.admit(alert_of_finding(finding("burst", 0)))


def of_entity(number: int) -> Alert:
    return alert_of_event(event(f"10.0.0.{number}", number), blended(markov=1e-12), 0)


def again_of_entity(number: int) -> Alert:
    return alert_of_event(event(f"10.0.0.{number}", number + 1_000), blended(markov=1e-12), 0)


def test_an_alert_that_is_sent_again_passes_again() -> None:
    deduplicator = Deduplicator()
    assert deduplicator.admit(of_entity(1))
    assert not deduplicator.admit(again_of_entity(1))
    assert deduplicator.admit(of_entity(1))


@pytest.mark.parametrize(("every_s", "number"), [(10, 2_000), (60, 1_800), (600, 600), (2_000, 100)])
@pytest.mark.parametrize("again", [1, 90, 1_000])
def test_what_is_sent_again_from_some_point_on_shows_nothing_new(every_s: int, number: int, again: int) -> None:
    """A trouble of hours is told of several times; what was folded then is not told of now."""
    alerts = [alert_of_finding(finding("burst", every_s * count)) for count in range(number)]
    deduplicator = Deduplicator()
    shown = [alert.id for alert in alerts if deduplicator.admit(alert)]
    before = deduplicator.statistics()
    sent_again = [alert.id for alert in alerts[-again:] if deduplicator.admit(alert)]
    assert sent_again == [id for id in shown if id in {alert.id for alert in alerts[-again:]}]
    assert deduplicator.statistics() == before


@pytest.mark.parametrize("missed", [0, 1, 3])
def test_what_was_shown_already_is_not_shown_under_another_name(missed: int) -> None:
    """One that died takes notice of what is stored, and goes on as if it had seen what it missed."""
    alerts = [alert_of_finding(finding("burst", 10 * count)) for count in range(3_500)]
    whole = Deduplicator()
    shown = [place for place, alert in enumerate(alerts) if whole.admit(alert)]
    assert len(shown) == 3
    for place in (*shown, shown[1] + 1, 3_000):
        died = Deduplicator()
        for alert in alerts[:place]:
            died.admit(alert)
        for known in (known for known in shown if known < place + missed):
            died.note_shown(alerts[known])
        rest = range(place + missed, len(alerts))
        assert [later for later in rest if died.admit(alerts[later])] == [later for later in rest if later in shown]


def test_what_was_shown_counts_among_those_abreast() -> None:
    deduplicator = Deduplicator()
    for number in range(ABREAST["blended"] - 1):
        deduplicator.note_shown(of_entity(number))
    assert [deduplicator.admit(of_entity(100 + number)) for number in range(3)] == [True, False, False]


def test_no_more_than_a_few_abreast() -> None:
    deduplicator = Deduplicator()
    assert sum(deduplicator.admit(of_entity(k)) for k in range(200)) == ABREAST["blended"]
    rules = Deduplicator()
    assert sum(rules.admit(msgspec.structs.replace(of_entity(k), rule_kind="sigma")) for k in range(200)) == ABREAST_OF_RULES


def test_snapshot() -> None:
    one, other = Deduplicator(), Deduplicator()
    one.admit(of_entity(1))
    one.admit(again_of_entity(1))
    other.restore(msgpack.unpackb(msgpack.packb(one.snapshot())))
    assert other.snapshot() == one.snapshot()
    assert not other.admit(again_of_entity(1))
    with pytest.raises(ValueError, match="version"):
        other.restore({"version": 9})


def test_what_is_folded_counts_for_the_alert_that_was_shown() -> None:
    deduplicator = Deduplicator()
    alerts = [alert_of_finding(finding("burst", 600 * count)) for count in range(60)]
    shown_as = [deduplicator.shown_as(alert) for alert in alerts]
    shown = [alert.id for alert in alerts if alert.id in shown_as]
    assert [shown_as.count(id) for id in shown] == [25, 25, 10]
    assert shown_as == sorted(shown_as, key=shown.index), "each counts for the last one shown before it"
    assert [deduplicator.shown_as(alert) for alert in alerts] == shown_as, "whatever comes again counts where it did"


def test_what_is_beyond_those_abreast_counts_for_the_newest_of_them() -> None:
    deduplicator = Deduplicator()
    shown_as = [deduplicator.shown_as(of_entity(number)) for number in range(20)]
    most = ABREAST["blended"]
    assert shown_as == [of_entity(number).id for number in range(most)] + [of_entity(most - 1).id] * (20 - most)


def test_one_that_died_folds_into_what_it_finds_in_the_store_for_as_long() -> None:
    """Its snapshot is gone; what was folded has moved the window, and the stored state of the alert says so."""
    alerts = [alert_of_finding(finding("burst", 600 * count)) for count in range(12)]
    first = alerts[0]
    for place in range(1, len(alerts)):
        died = Deduplicator()
        died.note_shown(first, AlertState(place, first.ts_ns, alerts[place - 1].ts_ns, []))
        assert {died.shown_as(alert) for alert in alerts[place:]} == {first.id}
