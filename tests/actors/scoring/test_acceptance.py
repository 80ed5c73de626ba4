"""What a user counts: alerts of an ordinary day, and that the extraordinary rings once."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from protocol.clock import NS_PER_S
from protocol.columns import FEATURES, Columns
from tests.actors.scoring.simulation import Chain, Source, pass_time, run
from tests.length import SEEDS

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "parsing"
DAY_NS = 86_400 * NS_PER_S

LIVE: dict[str, Mapping[str, object]] = {
    "poisson": {},
    "regular": {"arrival": "regular"},
    "slow": {"rate": 2.0, "batch": (1, 20)},
    "sessions": {"order": "sessions", "templates": 25},
    "many rare kinds": {"templates": 40, "zipf": 1.4},
    "few kinds": {"templates": 15, "users": 3, "new_user_ratio": 0.0},
    "one by one": {"rate": 100.0, "batch": (1, 60)},
    "daily": {"daily": 0.3},
}
IMPORTED: dict[str, Mapping[str, object]] = {
    "at full speed": {"rate": 5000.0},
    "history": {"speed": 250.0, "history_ns": 20 * DAY_NS},
    "old history in small batches": {"speed": 250.0, "history_ns": 4000 * DAY_NS, "batch": (1, 200)},
}


def warmed(settings: Mapping[str, object], seed: int) -> tuple[Chain, Source]:
    chain, source = Chain(), Source(seed, **dict(settings))  # type: ignore[arg-type]
    run(chain, source, max(3000, int(source.rate * 400) if not source.history_ns and source.rate < 1000 else 0))
    assert len(chain.take_alerts()) <= 1
    return chain, source


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("case", [*LIVE, *IMPORTED])
def test_ordinary_lines_stay_quiet_and_a_new_kind_rings_once(case: str, seed: int) -> None:
    chain, source = warmed({**LIVE, **IMPORTED}[case], seed)
    run(chain, source, 50_000)
    assert len(chain.take_alerts()) <= 2
    blended = chain.feed(source.columns(1, template=999))
    run(chain, source, 500)
    (alert,) = chain.take_alerts()
    assert alert.rule_id == "anomalous_event"
    assert alert.title == "Never seen before from syslog: an empty message (drain_0999)"
    assert blended.score[0] > blended.threshold[0]
    assert sum(part.share for part in alert.explanation) == pytest.approx(float(blended.score[0]), rel=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("case", LIVE)
def test_a_burst_rings_once(case: str, seed: int) -> None:
    chain, source = warmed(LIVE[case], seed)
    run(chain, source, int(source.rate * 10 * 90), rate=source.rate * 10)
    run(chain, source, int(source.rate * 900))
    (alert,) = chain.take_alerts()
    assert alert.rule_id == "volume_change"
    assert alert.dedup_key == "blended:volume_change:syslog"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("case", LIVE)
def test_silence_rings_once(case: str, seed: int) -> None:
    chain, source = warmed(LIVE[case], seed)
    pass_time(chain, source, 300)
    (alert,) = chain.take_alerts()
    assert alert.title.startswith("syslog fell silent: 0 events in 4 min, expected ")
    pass_time(chain, source, 3600)
    run(chain, source, int(source.rate * 600))
    assert len(chain.take_alerts()) <= 1  # that it came back, an hour later, with all it held


@pytest.mark.parametrize("seed", SEEDS)
def test_silence_soon_after_a_burst_rings_too(seed: int) -> None:
    chain, source = warmed({}, seed)
    run(chain, source, int(source.rate * 10 * 60), rate=source.rate * 10)
    run(chain, source, int(source.rate * 120))
    pass_time(chain, source, 310)
    assert [alert.rule_id for alert in chain.take_alerts()] == ["volume_change", "silence"]


@pytest.mark.parametrize("case", IMPORTED)
def test_the_end_of_an_import_is_no_silence(case: str) -> None:
    chain, source = warmed(IMPORTED[case], 1)
    pass_time(chain, source, 3 * 3600)
    assert not chain.take_alerts()


@pytest.mark.parametrize("seed", SEEDS)
def test_after_a_flood_of_ordinary_lines(seed: int) -> None:
    chain, source = warmed({}, seed)
    run(chain, source, 50_000, rate=5000.0)
    run(chain, source, 20 * 60)
    (alert,) = chain.take_alerts()
    assert alert.rule_id == "volume_change"
    chain.feed(source.columns(1, template=999))
    (alert,) = chain.take_alerts()
    assert alert.rule_id == "anomalous_event"


@pytest.mark.parametrize("seed", SEEDS)
def test_new_kinds_ring_at_any_time_and_a_stream_of_them_does_not(seed: int) -> None:
    chain, source = warmed({}, seed)
    for k in range(3):
        run(chain, source, 20 * 3600)
        chain.feed(source.columns(1, template=900 + k))
    assert len(chain.take_alerts()) == 3
    for k in range(200):
        run(chain, source, 200)
        chain.feed(source.columns(1, template=2000 + k))
    assert len(chain.take_alerts()) <= 4


@pytest.mark.parametrize("seed", SEEDS)
def test_a_poor_source_stays_quiet(seed: int) -> None:
    chain, source = Chain(), Source(seed, rate=3 / 3600, templates=8, batch=(1, 1))
    for _ in range(3 * 24 * 10):
        columns = source.columns(1)
        chain.tick(source.now_ns - 30 * NS_PER_S)
        chain.feed(columns)
    assert not chain.alerts


def real_columns(system: str, repeat: int) -> Iterator[Columns]:
    """Yield a real log over and over at 20 lines a second, templated by its published truth."""
    with (DATA / system / f"{system}_2k.log_structured_corrected.csv").open(newline="") as file:
        rows = [(row["EventId"], row["Content"]) for row in csv.DictReader(file)]
    address = re.compile(r"\d+\.\d+\.\d+\.\d+|user=?\s*(\w+)")
    kinds = {kind: number for number, kind in enumerate(dict.fromkeys(kind for kind, _ in rows), 1)}
    features = np.zeros((len(rows), len(FEATURES)), np.float32)
    entities = np.zeros(len(rows), np.uint64)
    ids = np.array([kinds[kind] for kind, _ in rows], np.int32)
    known: dict[str, int] = {}
    for i, (_, text) in enumerate(rows):
        n = max(len(text), 1)
        found = address.search(text)
        if found:
            entities[i] = known.setdefault(found.group(), len(known) + 1) * 0x9E3779B97F4A7C15 % (1 << 64)
        digits, upper = sum(map(str.isdigit, text)), sum(map(str.isupper, text))
        symbols = sum(not (c.isalnum() or c.isspace()) for c in text)
        features[i, :5] = np.log2(1 + n) / 16, np.log2(1 + len(text.split())) / 10, digits / n, symbols / n, upper / n
        features[i, 6:] = bool(found) / 8, 9 / 24
    now = 1_790_000_000 * NS_PER_S
    for start in range(0, len(rows) * repeat, 100):
        index = np.arange(start, start + 100) % len(rows)
        times = now + np.arange(100) * (NS_PER_S // 20)
        now += 5 * NS_PER_S
        n = len(index)
        yield Columns(
            (system,), times, times, ids[index], np.zeros(n, np.int32), np.full(n, 9, np.int8), entities[index],
            np.zeros(n, np.int64), features[index],
        )  # fmt: skip


@pytest.mark.skipif(not DATA.is_dir(), reason="no shared data here")
@pytest.mark.parametrize("system", ["OpenSSH", "Linux", "Apache", "Zookeeper", "HealthApp"])
def test_real_logs_looped(system: str) -> None:
    chain = Chain()
    for number, columns in enumerate(real_columns(system, 26)):
        if number == 40:
            chain.take_alerts()
        for now in range(int(columns.event_ns[0]), int(columns.event_ns[-1]), NS_PER_S):
            chain.tick(now)
        chain.feed(columns)
    alerts = chain.take_alerts()
    assert len(alerts) <= 3, [alert.title for alert in alerts]
