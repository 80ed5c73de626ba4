"""A map that keeps its most recently used keys, and the way a batch is taken apart by source."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from protocol.columns import Columns

K = TypeVar("K")
V = TypeVar("V")

Index = slice | npt.NDArray[np.int64]


class Recent(OrderedDict[K, V]):
    """At most `limit` entries, in the order of their last use; the one that was unused longest gives way."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def use(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of `key`, made if it is new, and count this as its last use."""
        value = self.get(key)
        if value is None:
            value = self[key] = make()
            if len(self) > self.limit:
                self.popitem(last=False)
        else:
            self.move_to_end(key)
        return value


def split_by_source(batch: Columns) -> Iterator[tuple[str, Index]]:
    """Yield the name and the positions of each source in the batch, positions in the order of the events."""
    n = len(batch)
    if not n:
        return
    codes = batch.source
    if len(batch.sources) == 1 or bool((codes == codes[0]).all()):
        yield batch.sources[int(codes[0])], slice(None)
        return
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=codes[order[0]] - 1))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), n], strict=True):
        yield batch.sources[int(codes[order[start]])], order[start:end]
