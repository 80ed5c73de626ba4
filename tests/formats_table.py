"""The table of docs/formats.md: a row for each writer in tests/writers and each format that comes with Tocsin.

    python -m tests.formats_table       adds the rows that are missing, takes away those that are of nobody
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from actors.parsing.defined import builtin_texts

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "formats.md"
HEAD = "| Writer | What its samples show |\n|---|---|\n"
_PARTS = {
    "user": "users", "ipv4": "addresses", "ipv6": "addresses", "domain": "domains", "email": "mail addresses", "url": "URLs",
    "file": "files", "process": "processes",
}  # fmt: skip


def samples() -> dict[str, list[dict[str, Any]]]:
    """Return the samples of each writer and format, by its name."""
    found: dict[str, list[dict[str, Any]]] = {}
    texts = [path.read_text("utf-8") for path in (ROOT / "tests" / "writers").glob("*.toml")]
    for table in map(tomllib.loads, [*texts, *builtin_texts().values()]):
        found.setdefault(table.get("writer") or table["format"], []).extend(table["sample"])
    return found


def row(name: str, given: Iterable[dict[str, Any]]) -> str:
    """Return the row of a writer: what its samples hold the parser to."""
    parts = dict.fromkeys(["time"])
    for sample in given:
        fields = sample.get("fields", {})
        parts |= {part: None for part in ("level",) if sample.get("severity") not in (None, 9, "info")}
        parts |= {part: None for key, part in (("host", "host"), ("app", "program"), ("component", "component")) if key in fields}
        parts |= {_PARTS[kind]: None for kind in (each.split()[0] for each in sample.get("entities", ())) if kind in _PARTS}
    return f"| {name} | {', '.join(parts)} |"


def main() -> int:
    before, _, table = PAGE.read_text("utf-8").partition(HEAD)
    known = {line.split(" | ")[0].removeprefix("| "): line for line in table.splitlines()}
    rows = [known.get(name) or row(name, given) for name, given in samples().items()]
    PAGE.write_text(before + HEAD + "\n".join(sorted(rows, key=lambda each: each.split(" | ")[0].lower())) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
