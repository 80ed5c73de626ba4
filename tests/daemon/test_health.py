from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from daemon.health import STATES, ChildHealth, make_status
from daemon.logs import escape_controls
from daemon.topology import ChildSpec
from protocol.messages import Beat


def make_child(role: str = "receiver", name: str = "syslog") -> ChildHealth:
    return ChildHealth(ChildSpec(name, role, "actors.none", {}))  # type: ignore[arg-type]


def beat(state: str = "ok", depth: int = 0, **counters: int) -> Beat:
    return Beat("syslog", 1, state, "", counters, {"queue_depth": depth})


def status(*children: ChildHealth) -> dict[str, str]:
    shown = make_status(children, ts_ns=0, throughput_eps=1, queue_max=100, about={"version": "1"})
    assert shown.health["version"] == "1" and shown.queue_max == 100
    return shown.receivers | shown.detectors


def test_a_death_between_two_frames_is_seen_in_exactly_one() -> None:
    child = make_child()
    child.take_beat(beat())
    assert status(child) == {"syslog": "ok"}
    child.take_death(down=False, note="was ended by SIGKILL")
    child.take_beat(beat())
    assert status(child) == {"syslog": "starting"}
    assert status(child) == {"syslog": "ok"}


def test_down_stays_down_until_a_beat() -> None:
    child = make_child("detector", "hst")
    child.take_death(down=True, note="died")
    assert status(child) == status(child) == {"hst": "down"}
    child.take_beat(beat("drained"))
    assert status(child) == {"hst": "starting"}, "only documented words are shown"


@given(st.lists(st.one_of(st.integers(0, 50), st.none()), max_size=30))
def test_counters_only_grow_over_deaths(steps: list[int | None]) -> None:
    child, count, total, shown = make_child(), 0, 0, 0
    for step in steps:
        if step is None:
            child.take_death(down=False, note="")
            count = 0
        else:
            count += step
            total += step
            child.take_beat(beat(accepted=count))
        assert child.counters.get("accepted", 0) == total >= shown
        shown = total
    assert child.restarts == steps.count(None)


def test_the_depth_of_the_queue_is_that_of_the_receivers() -> None:
    receivers, parser = [make_child(name="syslog"), make_child(name="file")], make_child("parser", "parser")
    for depth, child in enumerate((*receivers, parser), 5):
        child.take_beat(beat(depth=depth))
    shown = make_status((*receivers, parser), ts_ns=0, throughput_eps=0, queue_max=1, about={})
    assert shown.queue_depth == 11
    assert set(shown.receivers) == {"syslog", "file"} and shown.detectors == {}
    assert set(shown.health["actors"]) == {"syslog", "file", "parser"}
    assert all(account["state"] in STATES for account in shown.health["actors"].values())


@given(st.text())
def test_no_control_code_survives(text: str) -> None:
    escaped = escape_controls(text)
    assert not [letter for letter in escaped if unicodedata.category(letter) == "Cc" and letter not in "\t\n"]
    if not any(unicodedata.category(letter) == "Cc" for letter in text):
        assert escaped == text
