"""Files of rules as plain data: pySigma reads them, and rules that cannot be evaluated are refused with their place.

Reading by pySigma costs a millisecond a rule and 40 MB, so what was read is kept in a cache (`library.py`), and the daemon
has it read by a process of its own: `python -m actors.sigma.rules.loading`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import yaml
from sigma.filters import SigmaFilter
from sigma.processing.pipeline import ProcessingPipeline
from sigma.rule import SigmaRule

from actors.sigma.correlation.correlations import Correlation
from actors.sigma.matching.conditions import AnyOf
from actors.sigma.rules.attack import attack_of, level_of
from actors.sigma.rules.correlation_documents import read_correlation
from actors.sigma.rules.filters import Filter
from actors.sigma.rules.library import Document, Library, Sources
from actors.sigma.rules.policy import POLICY
from actors.sigma.rules.rule import Refusal, Rule
from actors.sigma.rules.translation import read_condition

MAX_FILE_BYTES = 1 << 20
_ANCHOR = re.compile(r"&[\w-]")
_SEPARATOR = re.compile(r"---[ \t]*\r?")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # ten times as fast, where libyaml is there
    """Refuses a map that says a key twice: all but the last would be passed over silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        known: set[Any] = set()
        for key, _ in node.value if len(found) < len(node.value) else ():
            if (name := self.construct_object(key, deep=True)) in known:
                raise KeyTwice(name, key.start_mark)
            known.add(name)
        return found


class KeyTwice(yaml.YAMLError):
    """A key that a map has twice, with its place."""

    def __init__(self, key: Any, mark: Any) -> None:
        super().__init__(f"has the key {key} twice in one map; of the two only one would count")
        self.problem_mark = mark


class AliasRefused(yaml.YAMLError):
    """An alias in a file, with its place."""

    def __init__(self, mark: Any) -> None:
        super().__init__("has an alias (*name), which can stand for a billion things and which rules do not need")
        self.problem_mark = mark


class Reader:
    """Reads files of rules; processing pipelines are applied to every rule before it is read. Raises PipelineError."""

    def __init__(self, sources: Sources) -> None:
        self._pipelines = [_read_pipeline(path) for path in sources.pipelines]
        if sources.placeholders:
            self._pipelines.append(_placeholders(sources.placeholders))

    def read(self, path: Path) -> list[Document]:
        """Return the contents of a file: rules, correlations, filters, and why others are refused."""
        try:
            text = _read(path)
            documents = list(_documents(text))
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            return [Refusal(str(path), _line_of_error(error), _one_line(error))]
        lines = _lines_of_documents(text, len(documents))
        return [
            self.make(document, path, line, text)
            for document, line in zip(documents, lines, strict=True)
            if document is not None
        ]

    def make(self, document: Any, path: Path, line: int, text: str) -> Document:
        """Return the contents of a document; `line` is where it begins in the text of its file."""
        if not isinstance(document, dict):
            return Refusal(str(path), line, "is no rule: a rule is a map with title, logsource and detection")
        kind = next((key for key in ("correlation", "filter", "action") if key in document), "detection")
        makers: dict[str, Callable[[dict[str, Any], Path, int], Document]] = {
            "correlation": _make_correlation,
            "filter": _make_filter,
            "action": _refuse_action,
            "detection": self._make_rule,
        }
        try:
            return _as_kept(makers[kind](document, path, line))
        except Exception as error:  # on what is no rule pySigma raises AttributeError, KeyError and others besides its own
            return Refusal(str(path), _line_of(text, kind, line), _one_line(error))

    def _make_rule(self, document: dict[str, Any], path: Path, line: int) -> Rule:
        rule = SigmaRule.from_dict(document, policy=POLICY)
        for pipeline in self._pipelines:
            pipeline.apply(rule)
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


def _as_kept(document: Document) -> Document:
    """Return a document as the cache gives it back. Raises ValueError for one that would make all of the cache useless."""
    kept: Document = msgspec.msgpack.decode(msgspec.msgpack.encode(document), type=Document)
    return kept


def _make_correlation(document: dict[str, Any], path: Path, line: int) -> Correlation:
    return read_correlation(document, str(path), line)


def _make_filter(document: dict[str, Any], path: Path, line: int) -> Filter:
    found = SigmaFilter.from_dict(document, policy=POLICY)
    conditions = tuple(read_condition(each.parsed) for each in found.filter.parsed_condition)
    rules, source = found.filter.rules, found.logsource
    return Filter(
        found.title,
        str(path),
        line,
        () if isinstance(rules, str) else tuple(each.reference for each in rules),
        source.product,
        source.category,
        source.service,
        conditions[0] if len(conditions) == 1 else AnyOf(conditions),
    )


def _refuse_action(document: dict[str, Any], path: Path, line: int) -> Document:
    raise ValueError("action: is of an older specification; write each rule whole, in a document of its own")


class PipelineError(ValueError):
    """A processing pipeline that cannot be used; the message says which and why."""


def _read_pipeline(path: str) -> ProcessingPipeline:
    try:
        return ProcessingPipeline.from_yaml(_read(Path(path)))
    except Exception as error:  # as above
        raise PipelineError(f"{path}: {_one_line(error)}") from error


def _placeholders(values: Mapping[str, Sequence[str]]) -> ProcessingPipeline:
    """Return the pipeline that puts values in the place of `%name%` (the modifier `expand`)."""
    transformation = {"type": "value_placeholders", "include": list(values)}
    return ProcessingPipeline.from_dict({"vars": dict(values), "transformations": [transformation]})


def _read(path: Path) -> str:
    if not path.is_file():  # a pipe would be waited for, and a device has no end
        path.stat()
        raise ValueError("is no ordinary file")
    with open(path, "rb") as file:
        raw = file.read(MAX_FILE_BYTES + 1)
    if len(raw) > MAX_FILE_BYTES:
        raise ValueError(f"is too long; a file of rules has at most {MAX_FILE_BYTES} bytes")
    return raw.decode("utf-8")


def _documents(text: str) -> Iterator[Any]:
    """Yield the documents of a file. Raises YAMLError."""
    for event in yaml.parse(text, Loader=_Loader) if _ANCHOR.search(text) else ():
        if isinstance(event, yaml.AliasEvent):
            raise AliasRefused(event.start_mark)
    yield from yaml.load_all(text, Loader=_Loader)


def _lines_of_documents(text: str, count: int) -> list[int]:
    """Return the line on which each document begins."""
    ends = [number + 1 for number, line in enumerate(text.split("\n")[:-1], 1) if _SEPARATOR.fullmatch(line)]
    starts = ends if text.startswith("---") else [1, *ends]
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
    text = " ".join(str(error).split())[:300].encode("utf-8", "backslashreplace").decode()
    return text if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {text}"


class Order(msgspec.Struct):
    """What the process is to do: bring the library at `cache` up to date."""

    cache: str
    sources: Sources


def main() -> int:
    """Do what is ordered on standard input, and answer with the library; return the exit status, and say why if it is not 0.

    A disk that is full costs the cache only.
    """
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    library = Library.open(Path(order.cache))
    try:
        library.update(order.sources, Reader(order.sources).read)
    except (OSError, PipelineError) as error:
        print(_one_line(error), file=sys.stderr)  # noqa: T201  its parent reads it
        return 1
    with suppress(OSError):
        library.store(Path(order.cache))
    sys.stdout.buffer.write(library.pack())
    return 0


if __name__ == "__main__":
    sys.exit(main())
