"""Realised against requested risk of SPOT and DSPOT on measured series."""

from __future__ import annotations

import csv
import gzip
import sys
from collections import deque
from pathlib import Path

import numpy as np

from actors.scoring.spot import Spot

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "numeric" / "spot"

COLUMNS = (
    ("mawi_170812_50_50.csv.gz", "rSYN"),
    ("mawi_170812_50_50.csv.gz", "packet_rate"),
    ("edf_stocks.csv.gz", "CLOSE"),
    ("physics.dat.gz", ""),
)


class DriftSpot:
    """DSPOT: SPOT on the distance to the mean of the last `window` ordinary values (Siffer et al. 2017, Algorithm 3).

    Measured beside SPOT, which the blend uses, because its values are already relative to the recent past.
    """

    def __init__(self, risk: float = 1e-4, calibration: int = 1000, window: int = 20) -> None:
        self.spot = Spot(risk, calibration)
        self._recent: deque[float] = deque(maxlen=window)

    def learn(self, value: float) -> bool:
        """Learn one value and tell whether it was beyond the threshold."""
        if len(self._recent) < (self._recent.maxlen or 0):
            self._recent.append(value)
            return False
        alarm = bool(self.spot.learn(np.array([value - sum(self._recent) / len(self._recent)]))[0])
        if not alarm:
            self._recent.append(value)
        return alarm


def read(path: Path, column: str) -> np.ndarray:
    """Return one column of a file with a heading, or all numbers of one without."""
    with gzip.open(path, "rt", newline="") as file:
        if column:
            return np.array([float(row[column]) for row in csv.DictReader(file) if row[column]])
        return np.array([float(number) for number in file.read().replace("\n", ",").split(",") if number.strip()])


def main() -> None:
    if not DATA.is_dir():
        sys.exit(f"no data at {DATA}")
    series = {f"{name} {column}": read(DATA / name, column) for name, column in COLUMNS}
    series["exponential"] = np.random.default_rng(1).exponential(size=100_000)
    series["pareto 3"] = np.random.default_rng(2).pareto(3, 100_000)
    series["normal"] = np.random.default_rng(3).normal(size=100_000)
    for name, values in series.items():
        shuffled = np.random.default_rng(4).permutation(values)
        for risk in (1e-2, 1e-3, 1e-4):
            spot, mixed, drift = Spot(risk), Spot(risk), DriftSpot(risk)
            alarms, in_any_order = spot.learn(values).sum(), mixed.learn(shuffled).sum()
            drifting = sum(drift.learn(value) for value in values.tolist())
            n = len(values) - 1000
            print(
                f"{name:28} n {n:6} requested {risk:.0e}: SPOT {alarms / n:.1e}, shuffled {in_any_order / n:.1e}, "
                f"DSPOT {drifting / n:.1e}"
            )


if __name__ == "__main__":
    main()
