"""The files of formats of one's own: their texts, and what is wrong with them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

MAX_FILE_BYTES = 65_536
MAX_FILES = 500
_CHECK_S = 60.0
_ROOT = Path(__file__).resolve().parents[1]


def format_texts(paths: Sequence[str]) -> dict[str, str]:
    """Return the text of each file named or in a folder named, {path: text}. What cannot be read is left out."""
    texts = {}
    for file in _files(paths):
        try:
            raw = file.read_bytes()[: MAX_FILE_BYTES + 1]
            texts[str(file)] = raw.decode("utf-8", "backslashreplace")
        except OSError:
            continue
    return texts


def format_faults(paths: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with the files: those that cannot be read, and those that say what no format is."""
    for path in paths:
        if not Path(path).exists():
            yield f"{path} is not there"
    files = _files(paths)
    if len(files) > MAX_FILES:
        yield f"there are more than {MAX_FILES} files"
        return
    for file in files:
        try:
            if file.stat().st_size > MAX_FILE_BYTES:
                yield f"{file} has more than {MAX_FILE_BYTES} bytes"
            file.open("rb").close()
        except OSError as error:
            yield f"{file}: {error.strerror}"
    yield from _check(format_texts(paths))


def _files(paths: Sequence[str]) -> list[Path]:
    found = [each for path in map(Path, paths) for each in (sorted(path.glob("*.toml")) if path.is_dir() else [path])]
    return [each for each in found if each.is_file()][: MAX_FILES + 1]


def _check(texts: dict[str, str]) -> Iterator[str]:
    """Have a process read them and try them on their samples, so that who asks does not carry a parser ever after."""
    if not texts:
        return
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-s", "-m", "actors.parsing.checking"],
            input=msgspec.json.encode(texts), capture_output=True, check=False, timeout=_CHECK_S,
            env={"PYTHONPATH": str(_ROOT), "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        yield f"they could not be tried within {_CHECK_S:g} s"
        return
    if done.returncode:
        yield f"they could not be tried: {done.stderr.decode('utf-8', 'backslashreplace').strip().rpartition(chr(10))[2]}"
        return
    yield from msgspec.json.decode(done.stdout, type=list[str])
