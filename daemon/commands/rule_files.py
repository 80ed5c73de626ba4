"""The rules that the configuration or a person names: out of the daemon's cache where that is current, else read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from actors.sigma.inspection.workbench import Workbench
from actors.sigma.rules.library import Document, Library, Sources, find_files, state_of
from actors.sigma.settings import CACHE, Settings, read_snapshot
from daemon.configuration import Configuration

SHOW_EVERY = 50  # files


class RulesUnreadable(Exception):
    """Rules cannot be read at all; the message says which and why."""


def open_workbench(configuration: Configuration, state_dir: Path, paths: Sequence[str] = ()) -> Workbench:
    """Return the workbench over the configured rules, or over these paths alone. Raises RulesUnreadable."""
    settings = msgspec.convert(configuration.rules.settings(), Settings)
    if paths:
        settings = Settings(msgspec.structs.replace(settings.sources, paths=tuple(paths), own=False))
    library = read_library(settings.sources, state_dir / CACHE)
    return Workbench(library, settings, None if paths else read_snapshot(state_dir), state_dir)


def read_library(sources: Sources, cache: Path) -> Library:
    """Return the library of these sources. Raises RulesUnreadable."""
    library = Library.open(cache)
    try:
        if library.state() != state_of(sources):
            library.update(sources, _reader(sources, len(find_files(sources.all_paths()))))
    except OSError as error:
        raise RulesUnreadable(f"{error.filename}: {error.strerror}") from error
    return library


def read_documents(sources: Sources, path: str) -> list[Document]:
    """Return the documents of a file, or of all files of a folder. Raises RulesUnreadable."""
    try:
        files = find_files([path])
        read = _reader(sources, len(files))
        return [document for file in files for document in read(file)]
    except OSError as error:
        raise RulesUnreadable(f"{error.filename}: {error.strerror}") from error


def _reader(sources: Sources, total: int) -> Callable[[Path], Iterable[Document]]:
    """Return a reader of files that shows a count on the terminal: all of SigmaHQ takes some seconds. Raises RulesUnreadable."""
    from actors.sigma.rules.loading import PipelineError, Reader  # pySigma costs a third of a second and 40 MB

    try:
        reader = Reader(sources)
    except PipelineError as error:
        raise RulesUnreadable(str(error)) from error
    done = 0

    def read(path: Path) -> Iterable[Document]:
        nonlocal done
        done += 1
        if done % SHOW_EVERY == 0 or done == total:
            show(f"{done:,} of {total:,} files" if done < total else "")
        return reader.read(path)

    return read


def show(text: str) -> None:
    """Show on a terminal how far long work is; "" takes it away."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
