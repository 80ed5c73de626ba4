"""Everything in a state directory that can be verified: databases, spools, journal of templates, snapshots, quarantine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from actors.receivers.quarantine import QuarantineFolder
from actors.spool.copy import whole_bytes
from actors.spool.position import path_of, read_position
from actors.spool.segments import segments_in
from actors.storage.check import Fault, check_store
from actors.storage.store import store_folder
from protocol.packing import PackingError, unpack, unpack_entries
from protocol.snapshot import MAGIC


def check_state(state_dir: Path, progress: Callable[[str], None]) -> Iterator[Fault]:
    """Yield every fault."""
    yield from check_store(store_folder(state_dir), progress)
    for spool in sorted((state_dir / "spool").glob("*")):
        progress(f"spool/{spool.name}")
        yield from _check_spool(spool)
    progress("the rest")
    yield from _check_journal(state_dir / "templates.journal")
    for path in sorted((state_dir / "snapshots").glob("*.msgpack")):
        yield from _check_snapshot(path)
    quarantined = QuarantineFolder(state_dir)
    for name in quarantined.names():
        try:
            quarantined.get(name)
        except LookupError:
            yield Fault(f"quarantine/{name}.msgpack", "cannot be read", "delete it: that record is lost")


def _check_spool(folder: Path) -> Iterator[Fault]:
    name = f"spool/{folder.name}"
    try:
        read_position(path_of(folder))
    except FileNotFoundError:
        if segments_in(folder):
            yield Fault(f"{name}/position", "is missing", "what the spool holds will be sent again under new ids")
    except (OSError, ValueError) as error:
        yield Fault(f"{name}/position", str(error), "what the spool holds will be sent again under new ids")
    for path in segments_in(folder):
        try:
            raw = path.read_bytes()
            if whole_bytes(raw) < len(raw) <= path.stat().st_size and whole_bytes(again := path.read_bytes()) < len(again):
                what = f"is damaged at byte {whole_bytes(again)} of {len(again)}"
                yield Fault(f"{name}/{path.name}", what, "what lies behind it is lost; the next start cuts it off")
        except FileNotFoundError:  # its records were committed meanwhile
            continue
        except OSError as error:
            yield Fault(f"{name}/{path.name}", str(error.strerror), "look at the disk: dmesg")


def _check_journal(path: Path) -> Iterator[Fault]:
    for last_try in (False, True):  # an entry that is being written now is whole the next time
        try:
            _, good, fault = unpack_entries(path.read_bytes())
        except FileNotFoundError:
            return
        if not fault:
            return
        if last_try:
            yield Fault(path.name, f"is damaged at byte {good}: {fault}", "templates born after that are forgotten")


def _check_snapshot(path: Path) -> Iterator[Fault]:
    try:
        whole = unpack(path.read_bytes())
        if isinstance(whole, dict) and whole.get("magic") == MAGIC and whole.get("actor") == path.stem:
            return
        what = "is not the snapshot of that actor"
    except (OSError, PackingError) as error:
        what = str(error)
    yield Fault(f"snapshots/{path.name}", what, "delete it: that actor learns anew")
