"""Stores that earlier versions wrote, and stores that a later one did."""

from __future__ import annotations

import tarfile
from pathlib import Path

import apsw

STORES = Path(__file__).parent / "stores"
LAYOUTS = sorted(path.name.removesuffix(".tar.gz") for path in STORES.glob("*.tar.gz"))
EVENTS, ALERTS = 60, 6  # in each of them


def unpack(name: str, folder: Path) -> Path:
    """Lay out one of the stores in a folder that is not there yet; return it."""
    folder.mkdir(parents=True)
    with tarfile.open(STORES / f"{name}.tar.gz") as tar:
        tar.extractall(folder, filter="data")
    return folder


def make_newer(path: Path, layout: int = 99) -> None:
    """Give a file of a store the number of a layout that nobody knows yet."""
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", layout)
    connection.close()


def layout_of(path: Path) -> int:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return int(connection.pragma("user_version"))
    finally:
        connection.close()
