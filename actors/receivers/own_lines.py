"""Which lines of the journal are the daemon's own: it must not feed on itself.

Only what journald itself has seen is believed (fields with an underscore, systemd.journal-fields(7)): a line that merely
calls itself `tocsin` could be anybody's, and must not be hidden from the detectors. As a service the daemon is known by
its control group. Run from a terminal it shares that with the person's other programs; then it is known by its
processes, which are the supervisor and its children.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from actors.receivers.journal_export import JournalEntry

_HIERARCHIES = ("", "name=systemd")  # cgroup v2; and systemd's own where v1 is used


def own_services(text: str) -> tuple[str, ...]:
    """Return the control groups in the text of /proc/self/cgroup that are a service's, and so ours alone."""
    paths = []
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        unit = path.rpartition("/")[2]
        if controllers in _HIERARCHIES and unit.endswith(".service") and not unit.startswith("user@"):
            paths.append(path)
    return tuple(paths)


class OwnLines:
    """Tells the daemon's own lines. `supervisor_pid` is the parent of every actor."""

    def __init__(self, services: Iterable[str], supervisor_pid: int) -> None:
        self._services = tuple(services)
        self._pid = b"%d" % supervisor_pid
        self._uid = b"%d" % os.getuid()

    def covers(self, entry: JournalEntry) -> bool:
        """Tell whether an entry was written by this daemon."""
        if self._services:
            # In a container journald may see the path without what stands outside.
            group = entry.get("_SYSTEMD_CGROUP").decode("utf-8", "replace")
            return group.startswith("/") and any(path.endswith(group) for path in self._services)
        if entry.get("_UID") != self._uid:
            return False
        pid = entry.get("_PID")
        return pid == self._pid or (pid.isdigit() and _parent(pid) == self._pid)


def _parent(pid: bytes) -> bytes:
    """Return the parent of a process, b"" if it is gone."""
    try:
        stat = Path(f"/proc/{int(pid)}/stat").read_bytes()
    except (OSError, ValueError):
        return b""
    return stat.rpartition(b")")[2].split()[1]  # proc(5): pid (comm) state ppid
