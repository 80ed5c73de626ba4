"""AUC of the Markov detector on HDFS: the greatest surprisal of a block against its label, in one pass without labels.

Measured twice: with the lines alone, and with a line added after the last of each block that says that it ended.
"""

from __future__ import annotations

import csv
import gzip
import re
import sys
import time
from pathlib import Path

import numpy as np

from actors.detectors.markov import Markov
from protocol.columns import FEATURES, Columns

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "sequence"
BLOCK = re.compile(r"blk_-?\d+")
VARIABLE = re.compile(r"blk_-?\d+|/?\d+\.\d+\.\d+\.\d+(:\d+)?|\b\d+\b|/[\w/.\-]+")


def area_under_curve(score: np.ndarray, label: np.ndarray) -> float:
    """Return the probability that an abnormal block scores above a normal one, ties counting half."""
    values, inverse = np.unique(score, return_inverse=True)
    bad, good = (np.bincount(inverse[label == k], minlength=len(values)) for k in (1, 0))
    return float((bad * (np.cumsum(good) - good / 2)).sum() / (bad.sum() * good.sum()))


def main() -> None:
    if not DATA.is_dir():
        sys.exit(f"no data at {DATA}")
    with gzip.open(DATA / "hdfs_replay_labels.csv.gz", "rt") as file:
        labels = {row["block"]: int(row["anomaly"]) for row in csv.DictReader(file)}
    blocks: dict[str, int] = {}
    kinds: dict[str, int] = {}
    with gzip.open(DATA / "hdfs_replay_110k.log.gz", "rt") as file:
        rows = []
        for line in file:
            message = line.split(" ", 4)[4]
            found = BLOCK.search(message)
            kind = kinds.setdefault(VARIABLE.sub("*", message), len(kinds) + 1)
            rows.append((kind, blocks.setdefault(found.group() if found else "", len(blocks) + 1)))
    truth = {number: labels[name] for name, number in blocks.items() if name in labels}
    print(f"{len(rows)} lines, {len(kinds)} templates, {len(truth)} blocks, {sum(truth.values())} abnormal")
    last = {block: i for i, (_, block) in enumerate(rows)}
    ended = []
    for i, row in enumerate(rows):
        ended.append(row)
        if last[row[1]] == i:
            ended.append((len(kinds) + 1, row[1]))
    report("lines alone", rows, truth)
    report("with ends", ended, truth)


def report(name: str, rows: list[tuple[int, int]], truth: dict[int, int]) -> None:
    kind, block = np.array(rows).T
    detector = Markov()
    bits = np.zeros(len(rows))
    started = time.perf_counter()
    for i in range(0, len(rows), 200):
        part = slice(i, i + 200)
        zeros = np.zeros(len(kind[part]), np.int64)
        columns = Columns(
            ("hdfs",), zeros, zeros, kind[part].astype(np.int32), zeros.astype(np.int32), zeros.astype(np.int8),
            block[part].astype(np.uint64), zeros, np.zeros((len(zeros), len(FEATURES)), np.float32),
        )  # fmt: skip
        bits[part] = np.nan_to_num(detector.score(columns).raw)
    spent = time.perf_counter() - started
    greatest = np.zeros(block.max() + 1)
    np.maximum.at(greatest, block, bits)
    score = np.array([greatest[number] for number in truth])
    auc = area_under_curve(score, np.array(list(truth.values())))
    print(f"{name}: AUC {auc:.3f}, {spent / len(rows) * 1e6:.2f} us/event")


if __name__ == "__main__":
    main()
