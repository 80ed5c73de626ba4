"""Rules out of files: pySigma reads them, `predicates.py` makes them fast. What cannot be evaluated is refused with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml
from sigma.rule import SigmaRule

from actors.sigma.attack import attack_of
from actors.sigma.expressions import POLICY
from actors.sigma.logsource import LogSource
from actors.sigma.predicates import Predicate, compile_condition
from actors.sigma.subject import Subject
from protocol.records import Attack

MAX_FILE_BYTES = 1 << 20
SUFFIXES = (".yml", ".yaml")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml is there


class Refusal(msgspec.Struct, frozen=True):
    """A rule that is not used, and why."""

    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


class Rule(msgspec.Struct, frozen=True):
    """One rule, ready to be tried."""

    id: str  # its name, else its id, else that of its file
    title: str
    level: str  # `informational low medium high critical`
    path: str
    product: str | None
    category: str | None
    service: str | None
    attack: Attack | None
    predicate: Predicate
    conditions: Sequence[Any]  # as pySigma has them, for `why`

    def is_meant_for(self, source: LogSource) -> bool:
        return source.fits(self.product, self.category, self.service)

    def matches(self, subject: Subject) -> bool:
        return self.predicate(subject)


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


def load(files: Sequence[Path]) -> Iterator[Rule | Refusal]:
    """Yield every rule of the files, or why it is refused."""
    for path in files:
        try:
            text = _read(path)
            documents = list(yaml.load_all(text, Loader=_Loader))
        except (OSError, ValueError, yaml.YAMLError) as error:
            yield Refusal(str(path), _line_of_error(error), _one_line(error))
            continue
        yield from (_make(document, path, text) for document in documents if document is not None)


def _read(path: Path) -> str:
    raw = path.read_bytes()
    if len(raw) > MAX_FILE_BYTES:
        raise ValueError(f"has {len(raw)} bytes; a file of rules has at most {MAX_FILE_BYTES}")
    return raw.decode("utf-8")


def _make(document: Any, path: Path, text: str) -> Rule | Refusal:
    line = _line_of(text, r"^detection:")
    if not isinstance(document, dict):
        return Refusal(str(path), 1, "is no rule: a rule is a map with title, logsource and detection")
    for kind in ("correlation", "filter", "action"):
        if kind in document:
            return Refusal(str(path), _line_of(text, rf"^{kind}:"), f"{kind}: is not evaluated yet")
    try:
        rule = SigmaRule.from_dict(document, policy=POLICY)
        conditions = [each.parsed for each in rule.detection.parsed_condition]
        predicates = [compile_condition(each) for each in conditions]
    except Exception as error:  # on what is no rule pySigma raises AttributeError, KeyError and others besides its own
        return Refusal(str(path), line, _one_line(error))
    source = rule.logsource
    return Rule(
        rule.name or (str(rule.id) if rule.id else path.stem),
        rule.title,
        rule.level.name.lower() if rule.level else "medium",
        str(path),
        source.product,
        source.category,
        source.service,
        attack_of(str(tag) for tag in rule.tags),
        predicates[0] if len(predicates) == 1 else lambda subject: any(each(subject) for each in predicates),
        conditions,
    )


def _line_of(text: str, expression: str) -> int:
    found = re.search(expression, text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _line_of_error(error: Exception) -> int:
    mark = getattr(error, "problem_mark", None)
    return mark.line + 1 if mark is not None else 1


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {text}"
