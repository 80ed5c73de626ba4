"""The directories of the daemon: the state directory, its lock, and the private directory of its sockets."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from daemon.configuration import Configuration

ABOUT = "daemon.json"
ALIVE = "alive"
MADE_HERE = "tocsin-"
MAX_RUNTIME_DIR_BYTES = 80  # a socket's whole path has at most 107, see unix(7)


class DirectoryError(Exception):
    """A directory cannot be used; the message says which, why, and what to do."""


def state_directory(configuration: Configuration, given: Path | None) -> Path:
    """Return the state directory: given, configured, systemd's, /var/lib/tocsin if writable, else below the home."""
    if given is not None:
        return given.resolve()
    if configuration.state_dir:
        return Path(configuration.state_dir)
    if managed := os.environ.get("STATE_DIRECTORY"):
        return Path(managed.partition(":")[0])
    system = Path("/var/lib/tocsin")
    if os.access(system if system.exists() else system.parent, os.W_OK):
        return system
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "tocsin"


def make_private(folder: Path) -> Path:
    """Make a directory that only we may enter. Raises DirectoryError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DirectoryError(f"cannot write to {folder}: {error.strerror}; choose another with --state-dir") from error
    return folder


def runtime_directory(configuration: Configuration) -> Path:
    """Return a private directory for sockets: configured, systemd's, or a new one. Raises DirectoryError."""
    configured = configuration.runtime_dir or os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if not configured:
        return Path(tempfile.mkdtemp(prefix=MADE_HERE, dir=os.environ.get("XDG_RUNTIME_DIR") or None))
    if len(os.fsencode(configured)) > MAX_RUNTIME_DIR_BYTES:
        raise DirectoryError(f"runtime_dir {configured} is too long for sockets: at most {MAX_RUNTIME_DIR_BYTES} bytes")
    return make_private(Path(configured))


def remove_leftovers(state_dir: Path) -> None:
    """Remove the runtime directory of a daemon that was killed here, if it was made for that run. Call with the lock."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        left = Path(json.loads((state_dir / ABOUT).read_text())["runtime_dir"])
        if left.name.startswith(MADE_HERE) and left.stat().st_uid == os.getuid():
            shutil.rmtree(left, ignore_errors=True)


class DirectoryLock:
    """Held for as long as the daemon runs; the kernel lets go of it whatever kills us."""

    def __init__(self, folder: Path, name: str, advice: str) -> None:
        """Raises DirectoryError with the advice if another daemon holds it."""
        self._path = folder / name
        self._file = open(self._path, "a+")  # noqa: SIM115
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise DirectoryError(f"another tocsin runs on {folder}; stop it, or {advice}") from error

    def release(self) -> None:
        self._file.close()


def lock_state(state_dir: Path) -> DirectoryLock:
    """Return the lock of a state directory. Raises DirectoryError."""
    return DirectoryLock(state_dir, "lock", "choose another --state-dir")


def lock_runtime(runtime_dir: Path) -> DirectoryLock:
    """Return the lock of a runtime directory, where two daemons would take each other's sockets. Raises DirectoryError."""
    return DirectoryLock(runtime_dir, "runtime.lock", "set another runtime_dir")


def write_about(state_dir: Path, about: dict[str, Any]) -> bool:
    """Leave word of where the running daemon is to be found; False if the disk takes none now."""
    try:
        (state_dir / ABOUT).write_text(json.dumps(about))
    except OSError:
        return False
    return True


def read_about(state_dir: Path) -> dict[str, Any]:
    """Return the note that the running daemon wrote. Raises DirectoryError if there is none."""
    try:
        about: dict[str, Any] = json.loads((state_dir / ABOUT).read_text())
        os.kill(about["pid"], 0)
    except (OSError, ValueError, KeyError) as error:
        raise DirectoryError(f"no tocsin runs on {state_dir}; start one, or name its --state-dir") from error
    return about


def mark_alive(state_dir: Path) -> None:
    """Leave word that the daemon runs now; a full disk takes that too."""
    with suppress(OSError):
        (state_dir / ALIVE).touch()


def last_alive_ns(state_dir: Path) -> int | None:
    """Return when a daemon last ran here, in nanoseconds since the epoch; None if none ever did."""
    try:
        return (state_dir / ALIVE).stat().st_mtime_ns
    except OSError:
        return None
