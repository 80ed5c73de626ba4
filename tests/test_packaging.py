"""What is imported is declared: a development tool that brings a library along must not hide that it is missing."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OWN = {"protocol", "actors", "daemon"}


def imported() -> set[str]:
    names = set()
    for layer in OWN:
        for path in (ROOT / layer).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names.add(node.module)
    return {name for name in names if name.partition(".")[0] not in OWN | sys.stdlib_module_names}


def distributions(module: str) -> set[str]:
    """Return what provides a module; `google` and `opentelemetry` are shared by several."""
    shared = {
        "google.protobuf": "protobuf",
        "google.rpc": "googleapis-common-protos",
        "opentelemetry.proto": "opentelemetry-proto",
    }
    for prefix, distribution in shared.items():
        if module.startswith(prefix):
            return {distribution}
    return {name.lower() for name in packages_distributions().get(module.partition(".")[0], ())}


def test_every_library_that_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[<>=]", entry)[0].lower() for entry in project["dependencies"]}
    modules = imported()
    assert {"google.rpc.status_pb2", "zmq", "numpy"} <= modules
    missing = {module for module in modules if not distributions(module) & declared}
    assert missing == set()
