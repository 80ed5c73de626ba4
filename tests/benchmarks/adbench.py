"""AUC of Half-Space Trees on labelled points in their natural order; features scaled to [0, 1] by their range."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from actors.detectors.hst import HalfSpaceTrees
from protocol.columns import FEATURES, Columns
from tests.benchmarks.sequence import area_under_curve

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "numeric" / "adbench"


def main() -> None:
    if not DATA.is_dir():
        sys.exit(f"no data at {DATA}")
    for path in sorted(DATA.glob("*.npz")):
        file = np.load(path)
        points, label = file["X"].astype(float), file["y"]
        points = (points - points.min(axis=0)) / np.maximum(np.ptp(points, axis=0), 1e-12)
        # Eight features are taken; columns repeat where there are fewer.
        points = points[:, np.arange(len(FEATURES)) % points.shape[1]].astype(np.float32)
        detector = HalfSpaceTrees()
        raw = np.zeros(len(points))
        for i in range(0, len(points), 200):
            batch = points[i : i + 200]
            zeros = np.zeros(len(batch), np.int64)
            columns = Columns(
                ("points",), zeros, zeros, zeros.astype(np.int32), zeros.astype(np.int32), zeros.astype(np.int8),
                zeros.astype(np.uint64), zeros, batch,
            )  # fmt: skip
            raw[i : i + 200] = np.nan_to_num(detector.score(columns).raw)
        print(f"{path.stem}: {len(points)} points, {int(label.sum())} abnormal, AUC {area_under_curve(raw, label):.3f}")


if __name__ == "__main__":
    main()
