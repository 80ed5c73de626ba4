"""Journals for tests: export text, and real journal files that systemd-journal-remote makes of it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

REMOTE = shutil.which("systemd-journal-remote", path="/usr/lib/systemd:/lib/systemd") or ""
HERE = bool(REMOTE and shutil.which("journalctl"))
Fields = Sequence[tuple[str, bytes]]


def export_field(name: str, value: bytes) -> bytes:
    """Return one field as journalctl writes it: as text if it is plain, else with its size."""
    if all(32 <= byte < 127 for byte in value):
        return name.encode() + b"=" + value + b"\n"
    return name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"


def export(entries: Iterable[Fields]) -> bytes:
    return b"".join(b"".join(export_field(name, value) for name, value in fields) + b"\n" for fields in entries)


class Journal:
    """A directory with a real journal that grows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._second = 1_700_000_000
        self._boot = 1

    def add(self, *entries: Fields) -> None:
        """Append entries, a second apart."""
        whole = []
        for fields in entries:
            self._second += 1
            meta = [
                ("__REALTIME_TIMESTAMP", b"%d000000" % self._second),
                ("__MONOTONIC_TIMESTAMP", b"%d000000" % (self._second - 1_600_000_000)),
                ("_BOOT_ID", b"%032x" % self._boot),
                ("_MACHINE_ID", b"00112233445566778899aabbccddeeff"),
                ("_HOSTNAME", b"web-1"),
            ]
            whole.append([*meta, *fields])
        command = [REMOTE, "--output", str(self.folder / "test.journal"), "-"]
        subprocess.run(command, input=export(whole), check=True, capture_output=True)

    def reboot(self) -> None:
        """Let what comes now be of another run of the machine."""
        self._boot += 1

    def say(self, *messages: str) -> None:
        """Append lines of one program."""
        self.add(*([("MESSAGE", message.encode()), ("SYSLOG_IDENTIFIER", b"app"), ("PRIORITY", b"6")] for message in messages))
