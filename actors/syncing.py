"""Written data that is not yet forced to disk, and forcing it: the option `daemon.fsync`.

`always` forces each append before it counts, on the actor's own loop: nothing that counts can be lost, and the actor
waits for its disk. `interval` forces what was appended once a second in a thread: a slow disk stops nobody, and a power
loss may take the last second.

The kernel tells a failed write-back once, to those who had the file open then, and may take the pages for clean after it:
to try again would succeed and prove nothing. So the descriptors that are forced are duplicates of those that were written
with, and after a failure nobody writes to that file any more.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Literal

Fsync = Literal["interval", "always"]
SYNC_S = 1.0


class Unsynced:
    """A descriptor of each file that was written since it was last taken, by a name of the caller's."""

    def __init__(self) -> None:
        self._descriptors: dict[str, int] = {}

    def add(self, name: str, descriptor: int) -> None:
        """Note that a file was written. Raises OSError if there is no descriptor left."""
        if name not in self._descriptors:
            self._descriptors[name] = os.dup(descriptor)

    def forget(self, name: str) -> None:
        """Note that a file is deleted."""
        if (descriptor := self._descriptors.pop(name, None)) is not None:
            os.close(descriptor)

    def take(self) -> list[int]:
        """Return the descriptors, for `sync_all`."""
        taken = list(self._descriptors.values())
        self._descriptors.clear()
        return taken


def sync_all(descriptors: Iterable[int]) -> OSError | None:
    """Force files to disk and close them; return the first error. All are tried."""
    first: OSError | None = None
    for descriptor in descriptors:
        try:
            os.fdatasync(descriptor)
        except OSError as error:
            first = first or error
        finally:
            os.close(descriptor)
    return first


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Force a directory's entries to disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
