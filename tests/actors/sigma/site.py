"""Small rules, written in a line, and what is in force of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actors.sigma.rules.collection import Collection, collect
from actors.sigma.rules.library import Sources
from actors.sigma.rules.loading import Reader

SSHD = "{product: linux, service: sshd}"


def rule(name: str, detection: str, *, source: str = SSHD, level: str = "low", more: str = "") -> str:
    return f"title: Title of {name}\nname: {name}\nlogsource: {source}\ndetection: {detection}\nlevel: {level}\n{more}"


def correlation(
    name: str, rules: str, condition: str, *, kind: str = "event_count", group: str = "src_ip", more: str = ""
) -> str:
    return (
        f"title: Title of {name}\nname: {name}\nlevel: high\ncorrelation:\n  type: {kind}\n  rules: [{rules}]\n"
        f"  group-by: [{group}]\n  timespan: 1m\n  condition: {condition}\n{more}"
    )


def in_force(folder: Path, *documents: str, **settings: Any) -> Collection:
    path = folder / "rules.yml"
    path.write_text("---\n".join(documents))
    return collect(Reader(Sources()).read(path), **settings)
