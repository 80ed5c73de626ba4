from __future__ import annotations

import numpy as np
import pytest

from actors.detectors.cusum import Cusum
from actors.detectors.detector import Detector
from actors.detectors.holt_winters import HoltWinters
from protocol.clock import NS_PER_S
from protocol.findings import Finding
from tests.actors.detectors.columns import START_NS, make_batch


def speak(detector: Detector, start_s: int, end_s: int, *, every_s: float = 1.0, lag_s: float = 0.0) -> list[Finding]:
    """Feed one event each `every_s` seconds, with a tick each second."""
    findings: list[Finding] = []
    events = np.arange(start_s, end_s, every_s)
    for second in range(start_s, end_s):
        now = [float(t) for t in events[(events >= second) & (events < second + 1)]]
        if now:
            detector.score(make_batch(len(now), event_s=now, lag_s=lag_s))
        findings += detector.tick(START_NS + int((second + 1 + lag_s) * NS_PER_S))
    return findings


def wait(detector: Detector, start_s: int, end_s: int) -> list[Finding]:
    return [f for second in range(start_s, end_s) for f in detector.tick(START_NS + second * NS_PER_S)]


@pytest.mark.parametrize("every_s", [0.1, 1.0, 3.0, 5.0])
@pytest.mark.parametrize("lag_s", [0.0, 4.0, 3600.0, -7200.0])
def test_five_minutes_of_silence_are_one_finding(every_s: float, lag_s: float) -> None:
    detector = HoltWinters()
    assert not speak(detector, 0, 300, every_s=every_s, lag_s=lag_s)
    offset = int(lag_s)
    (finding,) = wait(detector, 300 + offset, 602 + offset)
    assert finding.kind == "silence"
    assert finding.seen == 0
    assert finding.expected == pytest.approx(240 / every_s, rel=0.2)
    assert finding.probability < 1e-9
    assert not wait(detector, 602 + offset, 5000 + offset)
    again = speak(detector, 5000, 5300, every_s=every_s, lag_s=lag_s) + wait(detector, 5300 + offset, 5610 + offset)
    assert [f.kind for f in again].count("silence") <= 1


def test_an_irregular_source_may_pause() -> None:
    detector = HoltWinters()
    random = np.random.default_rng(1)
    second = 0
    findings = []
    for _ in range(60):  # a hundred lines at once, then minutes of nothing
        findings += speak(detector, second, second + 2, every_s=0.02)
        pause = int(random.exponential(300)) + 10
        findings += wait(detector, second + 2, second + pause)
        second += pause
    assert not [f for f in findings if f.kind == "silence"]


def test_history_that_ends_is_no_silence() -> None:
    detector = HoltWinters()
    for start in range(0, 4000, 10):
        detector.score(make_batch(100, event_s=(start + np.arange(100) / 10).tolist(), lag_s=30 * 86_400 + start / 250))
    assert detector.is_warm()
    day = 30 * 86_400
    assert not wait(detector, day + 4000, day + 6000)


def test_time_in_which_nobody_watched_is_nobodys_silence() -> None:
    detector = HoltWinters()
    speak(detector, 0, 600)
    assert not detector.tick(START_NS + 7200 * NS_PER_S)
    assert not wait(detector, 7201, 7320)


def test_a_burst_shows_inside_its_bucket_and_once_at_its_end() -> None:
    detector = HoltWinters()
    assert not speak(detector, 0, 600, every_s=0.1)
    scores = detector.score(make_batch(1500, event_s=(600 + np.arange(1500) / 100).tolist()))
    assert scores.raw[100] < 2
    assert scores.raw[700] > 40
    assert scores.expected[700] == pytest.approx(150, rel=0.05)
    assert scores.seen[700] == 751  # with the fifty that were in the bucket
    findings = wait(detector, 615, 650)
    assert {f.kind for f in findings} == {"burst"}
    assert sorted(f.template_id for f in findings) == [0, 1]
    assert findings[0].seen == 1050  # the rest fell into the next bucket


def test_one_template_bursts_under_a_loud_source() -> None:
    detector = HoltWinters()
    random = np.random.default_rng(2)
    for second in range(900):
        templates = np.where(random.random(40) < 0.02, 7, random.integers(1, 4, 40))
        if second >= 880:
            templates[:8] = 7
        times = (second + np.arange(40) / 40).tolist()
        scores = detector.score(make_batch(40, event_s=times, templates=templates.tolist()))
    assert scores.raw.max() > 20


def test_a_daily_season_is_learned() -> None:
    detector = HoltWinters()
    random = np.random.default_rng(3)

    def bucket(k: int) -> float:
        loud = (k * 15 // 900) % 96 == 40  # one quarter hour a day with four times the volume
        n = int(random.poisson(80 if loud else 20))
        times = np.sort(100 + k * 15 + random.random(n) * 15).tolist()  # START_NS is 100 s before a quarter
        return float(np.nan_to_num(detector.score(make_batch(n, event_s=times, lag_s=9e6)).raw.max()))

    days = [[bucket(k) for k in range(day * 5760, (day + 1) * 5760)] for day in range(4)]
    assert max(days[0]) > 30
    assert max(days[3]) < 0.6 * max(days[0])


def test_late_events_do_not_move_the_clock_back() -> None:
    detector = HoltWinters()
    speak(detector, 0, 600)
    scores = detector.score(make_batch(3, event_s=[500.0, 600.5, 590.0]))
    assert np.diff(scores.seen).tolist() == [1, 1]


@pytest.mark.parametrize("kind", [HoltWinters, Cusum])
@pytest.mark.parametrize("jump_s", [30, 300, 3_600, 86_400, 365 * 86_400, -30, -300, -3_600, -86_400])
def test_a_clock_that_is_set_is_nobodys_silence_and_no_change(kind: type[Detector], jump_s: int) -> None:
    detector = kind()
    assert not speak(detector, 0, 900, every_s=0.5)
    detector.jump(jump_s * NS_PER_S, START_NS + (900 + jump_s) * NS_PER_S)
    assert not speak(detector, 900 + jump_s, 1_500 + jump_s, every_s=0.5)
    if kind is HoltWinters:
        (finding,) = wait(detector, 1_500 + jump_s, 1_900 + jump_s)
        assert finding.kind == "silence", "a real one is heard all the same"


def test_a_clock_that_was_set_back_while_it_was_down_leaves_it_with_ears() -> None:
    detector = HoltWinters()
    speak(detector, 0, 900)
    assert not wait(detector, -86_400, -86_390)
    assert [finding.kind for finding in wait(detector, -86_390, -86_000)] == ["silence"]
