"""Datagrams that the kernel dropped because the buffer of a UDP socket was full, from `/proc/self/net/udp` and `udp6`.

The socket belongs to the supervisor and lives longer than the receiver, and so does the kernel's count: what is dropped
while a receiver is down is lost just as well. Each count is therefore kept in the spool's cursors, with the inode of its
socket, before it is added to the report; a successor goes on from there, and a new socket begins at 0. The kernel counts
in 32 bits and begins anew after them.

Source: linux, Documentation/networking/proc_net_udp and net/ipv4/udp.c: inode is column 10, drops the last.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

_TABLES = {socket.AF_INET: Path("/proc/self/net/udp"), socket.AF_INET6: Path("/proc/self/net/udp6")}
_INODE, _DROPS = 9, -1
_WRAP = 1 << 32


def drops_in(table: str, inode: int) -> int | None:
    """Return the drops of the socket with this inode; None if the table does not have it."""
    for line in table.splitlines()[1:]:
        columns = line.split()
        if len(columns) > _INODE + 1 and columns[_INODE] == str(inode):
            return int(columns[_DROPS]) % _WRAP
    return None


class KernelDrops:
    """Counts on from what was seen before: {"inode": ..., "drops": ...}."""

    def __init__(self, udp: socket.socket, seen: dict[str, int]) -> None:
        self._table = _TABLES[udp.family]
        self._inode = os.fstat(udp.fileno()).st_ino
        self._seen = seen["drops"] if seen.get("inode") == self._inode else 0

    def take(self) -> int:
        """Return how many datagrams were dropped since the last call; 0 where the kernel does not say."""
        try:
            now = drops_in(self._table.read_text(), self._inode)
        except OSError:
            now = None
        if now is None:
            return 0
        dropped, self._seen = (now - self._seen) % _WRAP, now
        return dropped

    def cursor(self) -> dict[str, int]:
        """Return the state that a successor needs."""
        return {"inode": self._inode, "drops": self._seen}
