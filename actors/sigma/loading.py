"""Files of rules as plain data: pySigma reads them, and what cannot be evaluated is refused with its place.

Reading by pySigma costs a millisecond a rule and 40 MB, so what was read is kept in a cache (`cache.py`), and the daemon
has it read by a process of its own: `python -m actors.sigma.loading`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from sigma.processing.pipeline import ProcessingPipeline
from sigma.rule import SigmaRule

from actors.sigma.attack import attack_of
from actors.sigma.conditions import AnyOf
from actors.sigma.expressions import POLICY
from actors.sigma.reading import read_condition
from actors.sigma.rules import Refusal, Rule

MAX_FILE_BYTES = 1 << 20
SUFFIXES = (".yml", ".yaml")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml is there
_ANCHOR = re.compile(r"&[\w-]")


class AliasRefused(yaml.YAMLError):
    """An alias in a file, with its place."""

    def __init__(self, mark: Any) -> None:
        super().__init__("has an alias (*name), which can stand for a billion things and which rules do not need")
        self.problem_mark = mark


def find_files(paths: Sequence[str]) -> list[Path]:
    """Return the rule files that paths name: files themselves, folders with all below them. Raises OSError."""
    found: list[Path] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            found += sorted(each for each in path.rglob("*") if each.suffix in SUFFIXES and each.is_file())
        else:
            path.stat()
            found.append(path)
    return found


class Reader:
    """Reads files of rules. `pipeline` is applied to every rule before it is read."""

    def __init__(self, pipeline: ProcessingPipeline | None = None) -> None:
        self._pipeline = pipeline

    def read(self, path: Path) -> list[Rule | Refusal]:
        """Return every rule of a file, or why it is refused."""
        try:
            text = _read(path)
            documents = list(_documents(text))
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            return [Refusal(str(path), _line_of_error(error), _one_line(error))]
        lines = _lines_of_documents(text, len(documents))
        return [
            self._make(document, path, line, text)
            for document, line in zip(documents, lines, strict=True)
            if document is not None
        ]

    def _make(self, document: Any, path: Path, line: int, text: str) -> Rule | Refusal:
        if not isinstance(document, dict):
            return Refusal(str(path), line, "is no rule: a rule is a map with title, logsource and detection")
        for kind in ("correlation", "filter", "action"):
            if kind in document:
                return Refusal(str(path), _line_of(text, kind, line), f"{kind}: is not evaluated yet")
        try:
            return self._make_rule(document, path, line)
        except Exception as error:  # on what is no rule pySigma raises AttributeError, KeyError and others besides its own
            return Refusal(str(path), _line_of(text, "detection", line), _one_line(error))

    def _make_rule(self, document: dict[str, Any], path: Path, line: int) -> Rule:
        rule = SigmaRule.from_dict(document, policy=POLICY)
        if self._pipeline is not None:
            self._pipeline.apply(rule)
        conditions = tuple(read_condition(each.parsed) for each in rule.detection.parsed_condition)
        source, uuid = rule.logsource, str(rule.id or "")
        return Rule(
            rule.name or uuid or path.stem,
            uuid,
            rule.title,
            level_of(rule.level),
            str(path),
            line,
            source.product,
            source.category,
            source.service,
            attack_of(str(tag) for tag in rule.tags),
            tuple(str(tag) for tag in rule.tags),
            rule.description or "",
            tuple(rule.falsepositives or ()),
            conditions[0] if len(conditions) == 1 else AnyOf(conditions),
        )


def level_of(level: Any) -> Any:
    """Return the level in the words of alerts; a rule that has none is `medium`."""
    return level.name.lower() if level else "medium"


def load(files: Sequence[Path]) -> Iterator[Rule | Refusal]:
    """Yield every rule of the files, or why it is refused."""
    reader = Reader()
    for path in files:
        yield from reader.read(path)


def _read(path: Path) -> str:
    raw = path.read_bytes()
    if len(raw) > MAX_FILE_BYTES:
        raise ValueError(f"has {len(raw)} bytes; a file of rules has at most {MAX_FILE_BYTES}")
    return raw.decode("utf-8")


def _documents(text: str) -> Iterator[Any]:
    """Yield the documents of a file. Raises YAMLError."""
    for event in yaml.parse(text, Loader=_Loader) if _ANCHOR.search(text) else ():
        if isinstance(event, yaml.AliasEvent):
            raise AliasRefused(event.start_mark)
    yield from yaml.load_all(text, Loader=_Loader)


def _lines_of_documents(text: str, count: int) -> list[int]:
    """Return the line on which each document begins."""
    starts = [1, *(text.count("\n", 0, found.end()) + 1 for found in re.finditer(r"^---[ \t]*\r?\n", text, re.MULTILINE))]
    if text.startswith("---"):
        starts = starts[1:]
    return (starts + [starts[-1]] * count)[:count]


def _line_of(text: str, key: str, start: int) -> int:
    """Return the line of a key at the margin, from the line `start` on."""
    for number, line in enumerate(text.splitlines()[start - 1 :], start):
        if line.startswith(f"{key}:"):
            return number
    return start


def _line_of_error(error: Exception) -> int:
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark is not None else 1


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {text}"
