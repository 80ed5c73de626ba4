"""Which day files go, and under which name they stay. Deleting only unlinks, which needs no room on a disk that is full."""

from __future__ import annotations

from pathlib import Path

from actors.storage import schema
from actors.storage.damage import damaged_files, size_of
from actors.storage.day_writer import DayWriter
from protocol.clock import NS_PER_S, format_day, parse_time


def expire(folder: Path, *, before_day: str, max_bytes: int, last_with_events: str) -> list[str]:
    """Delete day files older than `before_day`, then the oldest while all are larger than `max_bytes`; return their days.

    The newest day that has events is never deleted: it says where the commit sequence goes on. Days that were set aside
    for damage go like the others.
    """
    files = [*schema.day_files(folder), *damaged_files(folder, "events-*")]
    sizes = {path: size_of(path) for path in files}
    total = sum(sizes.values())
    gone = []
    for path in sorted(files, key=schema.day_of):
        day = schema.day_of(path)
        if day >= before_day and total <= max_bytes:
            break
        if path.suffix == ".db" and day >= last_with_events:
            continue
        for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            each.unlink(missing_ok=True)
        total -= sizes[path]
        gone.append(day)
    _delete_orphans(folder)
    return gone


def _delete_orphans(folder: Path) -> None:
    """Delete logs whose database is gone: a reader that was just opening a day made them when it was deleted."""
    for path in (*folder.glob("events-*.db-wal"), *folder.glob("events-*.db-shm")):
        if not path.with_suffix(".db").exists():
            path.unlink(missing_ok=True)


def rename_future_days(folder: Path, days: DayWriter, today: str) -> list[tuple[str, str]]:
    """Rename days that lie beyond tomorrow, keeping their order; return what was renamed, wrong and right name.

    A day that a reader has just open keeps its name for now.
    """
    tomorrow, renamed = _day_after(today), list[tuple[str, str]]()
    names = [schema.day_of(path) for path in schema.day_files(folder)]
    last = max((name for name in names if name <= tomorrow), default="")
    for name in names:
        if name <= tomorrow:
            continue
        right = max(today, _day_after(last) if last else "")
        if right >= name or not days.rename(name, right):
            break
        renamed.append((name, right))
        last = right
    return renamed


def _day_after(day: str) -> str:
    return format_day(parse_time(day) + 86_400 * NS_PER_S)
