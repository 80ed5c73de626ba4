"""`tocsin backup DIR`: a consistent copy of the state of a daemon, running or not. The copy is a state directory itself."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from actors.spool.copy import copy_spool
from actors.storage.backup import cut
from actors.storage.errors import STORE_ERRORS
from actors.storage.store import has_store, store_folder
from actors.syncing import sync_folder
from daemon.configuration import Configuration
from daemon.directories import ALIVE, DirectoryError, DirectoryLock, lock_state, state_directory
from protocol.packing import unpack_entries

JOURNAL = "templates.journal"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", type=Path, metavar="DIR", help="where the copy goes: not there yet, or empty")


def run_command(configuration: Configuration, arguments: argparse.Namespace) -> int:
    """Make the copy; return the exit status: 0 done, 1 not."""
    source, target = state_directory(configuration, arguments.state_dir), arguments.dir.absolute()
    os.umask(0o077)
    try:
        if not has_store(source):
            raise OSError(f"there is no store in {source}: name the daemon's --state-dir or --config")
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise OSError(f"{target} is not empty: name a directory that is not there yet")
        if target.is_relative_to(source.resolve()):
            raise OSError(f"{target} lies within the state directory itself")
        back_up(source, target)
    except (OSError, ValueError, *STORE_ERRORS) as error:
        print(f"\ntocsin: no backup was made: {error}", file=sys.stderr)
        return 1
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    print(f"tocsin: {source} is backed up in {target}, {size:,} bytes; it can be run with --state-dir as it is")
    return 0


def back_up(source: Path, target: Path) -> None:
    """Copy a state directory to one that is there as a whole or not at all. Raises OSError and what the store raises."""
    aside = Path(tempfile.mkdtemp(prefix=f"{target.name}.partial-", dir=target.parent))
    lock = _lock_if_free(source)
    try:
        with cut(store_folder(source), lambda: _copy_the_rest(source, aside)) as store:
            store.copy(store_folder(aside), _show)
        _force(aside)
        os.replace(aside, target)
        sync_folder(target.parent)
    finally:
        if lock is not None:
            lock.release()
        shutil.rmtree(aside, ignore_errors=True)


def _lock_if_free(state_dir: Path) -> DirectoryLock | None:
    """Keep a daemon from starting meanwhile; one that runs already is no matter."""
    try:
        return lock_state(state_dir)
    except DirectoryError:
        return None


def _copy_the_rest(source: Path, target: Path) -> None:
    """Copy the other files while nothing is committed, so that each record is in the store or in the spools."""
    for spool in sorted(path for path in (source / "spool").glob("*") if (path / "position").exists()):
        copy_spool(spool, target / "spool" / spool.name)
    for folder in ("snapshots", "quarantine"):
        if (source / folder).exists():
            ignored = shutil.ignore_patterns("*.new", "*.unusable")
            shutil.copytree(source / folder, target / folder, ignore=ignored, copy_function=_copy_if_there)
    if (source / JOURNAL).exists():
        raw = (source / JOURNAL).read_bytes()
        _, whole, _ = unpack_entries(raw)
        (target / JOURNAL).write_bytes(raw[:whole])
    with suppress(FileNotFoundError):
        shutil.copy2(source / ALIVE, target / ALIVE)


def _copy_if_there(source: str, target: str) -> None:
    """Copy a file; a journal that a snapshot has just taken the place of is gone."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


def _show(name: str, share: float) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{name} {share:4.0%}", end="" if share < 1 else "\n", file=sys.stderr, flush=True)


def _force(folder: Path) -> None:
    """Force a folder and all that is in it to disk."""
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
