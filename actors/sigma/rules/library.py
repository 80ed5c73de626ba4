"""The contents of all rule files in one cache file, so that only changed files are read again.

A file that has a fault changes nothing: where it had none before, what it held then stays in force, and the refusals say
so. The cache is of one version and of one pipeline; another one is a new cache. This module does not need pySigma.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from actors.files import write_whole
from actors.sigma.correlation.correlations import Correlation
from actors.sigma.rules.filters import Filter
from actors.sigma.rules.rule import Refusal, Rule

VERSION = 2  # of the cache, and of what is made of a rule
SUFFIXES = (".yml", ".yaml")
OWN_RULES = Path(__file__).parent.parent / "builtin"
MAX_FILES = 50_000

Document = Rule | Correlation | Filter | Refusal  # what a file holds
Signature = tuple[int, int]  # when it was changed (ns) and its size (bytes)
LibraryState = tuple[str, dict[str, Signature]]  # recipe, and the signature of every file


class Sources(msgspec.Struct, frozen=True):
    """What is to be read: files and folders, and what is applied to every rule (pySigma's processing pipelines)."""

    paths: tuple[str, ...] = ()
    own: bool = True
    placeholders: dict[str, list[str]] = {}
    pipelines: tuple[str, ...] = ()

    def all_paths(self) -> list[str]:
        return [*([str(OWN_RULES)] if self.own else ()), *self.paths]

    def recipe(self) -> str:
        """Return what beside the files themselves decides what is made of them."""
        signatures = {path: _signature(Path(path)) for path in self.pipelines}
        return msgspec.json.encode([VERSION, self.placeholders, signatures]).decode()


class Held(msgspec.Struct, array_like=True):
    """What a file held when it was last read, and what is in force of it."""

    signature: Signature
    documents: tuple[Document, ...]
    faults: tuple[Refusal, ...] = ()


class Library(msgspec.Struct):
    """State: what every file held. Bound: `MAX_FILES` files."""

    recipe: str = ""
    files: dict[str, Held] = {}

    @classmethod
    def open(cls, path: Path) -> Library:
        """Return what was kept; an empty library if that is of no use."""
        try:
            return cls.unpack(path.read_bytes())
        except (OSError, msgspec.DecodeError):
            return cls()

    @classmethod
    def unpack(cls, packed: bytes) -> Library:
        """Return a library out of what `pack` made of it. Raises msgspec.DecodeError."""
        return msgspec.msgpack.decode(packed, type=cls)

    def pack(self) -> bytes:
        return msgspec.msgpack.encode(self)

    def store(self, path: Path) -> None:
        """Keep it. Raises OSError."""
        write_whole(path, self.pack())

    def state(self) -> LibraryState:
        """Return the state of its sources."""
        return self.recipe, {path: held.signature for path, held in self.files.items()}

    def update(self, sources: Sources, read: Callable[[Path], Iterable[Document]]) -> None:
        """Read what has changed. Raises OSError if a path is not there."""
        if self.recipe != (recipe := sources.recipe()):
            self.recipe, self.files = recipe, {}
        found = signatures(sources.all_paths())
        self.files = {
            path: held if (held := self.files.get(path)) and held.signature == signature else self._read(path, signature, read)
            for path, signature in found.items()
        }

    def _read(self, path: str, signature: Signature, read: Callable[[Path], Iterable[Document]]) -> Held:
        documents = tuple(read(Path(path)))
        faults = tuple(each for each in documents if isinstance(each, Refusal))
        before = self.files.get(path)
        if faults and before is not None and all(each.kept for each in before.faults):
            return Held(signature, before.documents, tuple(msgspec.structs.replace(each, kept=True) for each in faults))
        return Held(signature, tuple(each for each in documents if not isinstance(each, Refusal)), faults)

    def documents(self) -> list[Document]:
        """Return the documents in force, in the order of the files."""
        return [document for held in self.files.values() for document in held.documents]

    def refusals(self) -> list[Refusal]:
        return [fault for held in self.files.values() for fault in held.faults]


def find_files(paths: Sequence[str]) -> list[Path]:
    """Return the rule files that paths name: files themselves, folders with all below them. Raises OSError."""
    found: dict[Path, None] = {}
    for name in paths:
        path = Path(name)
        if path.is_dir():
            found |= dict.fromkeys(sorted(_files_below(path)))
        else:
            path.stat()
            found[path] = None
    return list(found)[:MAX_FILES]


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the rule files below a folder. Raises OSError where it cannot be looked into: no rule is to go unnoticed."""
    for inside, _, names in os.walk(folder, onerror=_raise):
        paths = [Path(inside, name) for name in names]
        yield from (path for path in paths if path.suffix in SUFFIXES and path.is_file())


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # it went away meanwhile
        raise error


def state_of(sources: Sources) -> LibraryState:
    """Return what there is to be read now. Raises OSError if a path is not there."""
    return sources.recipe(), signatures(sources.all_paths())


def signatures(paths: Sequence[str]) -> dict[str, Signature]:
    """Return when each rule file was changed. Raises OSError if a path is not there."""
    return {_name(path): _signature(path) for path in find_files(paths)}


def _name(path: Path) -> str:
    """Return a path as text that can be kept; one that is not UTF-8 names no file then, which is what is said of it."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _signature(path: Path) -> Signature:
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0  # it went away between finding and looking
    return status.st_mtime_ns, status.st_size
