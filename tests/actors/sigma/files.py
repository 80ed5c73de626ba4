"""What files of rules hold, read as the loader does, without a library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from actors.sigma.rules.library import Document, Sources
from actors.sigma.rules.loading import Reader


def load(files: Iterable[Path]) -> Iterator[Document]:
    reader = Reader(Sources())
    for path in files:
        yield from reader.read(path)
