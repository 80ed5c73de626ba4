"""The table of our own rules in docs/rules.md, made of the rule files: `python -m tests.rules.table` writes it there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tests.rules.pipeline import BUILTIN, silent

PAGE = Path(__file__).parents[2] / "docs" / "rules.md"
BEGIN = "## Our own rules"


def documents() -> dict[str, dict[str, Any]]:
    """Return every rule of ours by its name, theme by theme."""
    paths = sorted(BUILTIN.rglob("*.yml"))
    return {found["name"]: found | {"path": path} for path in paths for found in yaml.safe_load_all(path.read_text())}


def section() -> str:
    """Return the section on our own rules as it has to stand in the page."""
    found, feeding = documents(), silent()
    lines = [
        BEGIN,
        "",
        f"{len(found) - len(feeding)} rules and correlations that alert and {len(feeding)} that only feed them (marked *feeds*),",
        "in `actors/sigma/builtin/`, each with lines that make it fire and near misses that do not in `tests/rules/samples/`.",
    ]
    theme = ""
    for name, rule in found.items():
        if rule["path"].parent.name != theme:
            theme = rule["path"].parent.name
            lines += [
                "",
                f"**{theme.replace('_', ' ').capitalize()}**",
                "",
                "| rule | level | what it catches | ATT&CK | false positives |",
            ]
            lines.append("|---|---|---|---|---|")
        level = "*feeds*" if name in feeding else rule["level"]
        tags = [tag.removeprefix("attack.") for tag in rule.get("tags", ())]
        techniques = ", ".join(tag.upper() for tag in tags if re.match(r"t\d", tag))
        caught = " ".join(rule["description"].split())
        lines.append(
            f"| `{name}` | {level} | {caught} | {techniques} | {'; '.join(rule['falsepositives'])} |".replace("\\", "\\\\")
        )
    return "\n".join(lines) + "\n"


def write() -> None:
    before, _, after = PAGE.read_text().partition(BEGIN)
    following = after.partition("\n## ")[2]
    PAGE.write_text(before + section() + (f"\n## {following}" if following else ""))


if __name__ == "__main__":
    write()
