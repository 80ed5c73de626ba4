"""The imports, function bodies included: daemon -> actors -> protocol, no cycles, each heavy library in its one home."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = {"protocol": {"protocol"}, "actors": {"protocol", "actors"}, "daemon": {"protocol", "actors", "daemon"}}
HOMES = {
    "zmq": ("daemon/transport.py",),
    "apsw": ("actors/storage/",),
    "quart": ("actors/frontend/",),
    "quart_trio": ("actors/frontend/",),
    "hypercorn": ("actors/http/",),
    "msgpack": ("protocol/",),
    "sigma": ("actors/sigma/",),
    "re2": ("actors/sigma/", "actors/parsing/defined.py", "actors/receivers/turns.py", "daemon/sections.py"),
    "ahocorasick": ("actors/sigma/", "actors/parsing/users.py"),
    "yaml": ("actors/sigma/",),
    "trio_websocket": ("daemon/commands/tail.py",),
    "opentelemetry": ("actors/receivers/otlp_protobuf.py",),
}
FILES = {
    str(path.relative_to(ROOT)): path
    for layer in LAYERS
    for path in sorted((ROOT / layer).rglob("*.py"))
}


def module_of(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = {module_of(name) for name in FILES}


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports; `from a import b` is `a.b` where that is a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)


IMPORTS = {name: sorted(set(imports(path))) for name, path in FILES.items()}


def is_actor(path: Path) -> bool:
    return any(
        isinstance(node, ast.AsyncFunctionDef) and node.name == "run" and [each.arg for each in node.args.args][:1] == ["context"]
        for node in ast.parse(path.read_text()).body
    )


ACTORS = {module_of(name) for name, path in FILES.items() if name.startswith("actors/") and is_actor(path)}


def test_there_is_something_to_look_at() -> None:
    assert len(FILES) > 60
    assert {"actors.receivers.syslog", "actors.storage.recorder", "actors.broadcaster"} <= ACTORS
    assert "daemon.transport" in IMPORTS["daemon/runner.py"]


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_imports_only_its_own_layer_and_those_below(name: str) -> None:
    layers = {module.partition(".")[0] for module in IMPORTS[name]} & LAYERS.keys()
    assert layers <= LAYERS[name.partition("/")[0]]
    assert not any(module.partition(".")[0] == "tests" for module in IMPORTS[name])


def test_nothing_is_circular() -> None:
    graph = {module_of(name): {module for module in modules if module in MODULES} for name, modules in IMPORTS.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a cycle: {error.args[1]}")


@pytest.mark.parametrize("library", sorted(HOMES))
def test_a_heavy_library_has_one_home(library: str) -> None:
    users = {name for name, modules in IMPORTS.items() if any(module.partition(".")[0] == library for module in modules)}
    assert users, f"{library} is not used at all: take it off the list"
    assert {name for name in users if not name.startswith(HOMES[library])} == set()


def test_no_actor_imports_another() -> None:
    faults = {
        name: sorted(ACTORS.intersection(modules))
        for name, modules in IMPORTS.items()
        if name.startswith("actors/") and ACTORS.intersection(modules)
    }
    assert faults == {}


STORE = "actors/storage/"
SEAM = {f"actors.storage.{name}" for name in ("backup", "check", "errors", "queries", "store")}  # what others may import
FILES_OF_THE_STORE = re.compile(r"^store/|main\.db|events-.*\.db|\.db(-wal|-shm)?$")


def texts(path: Path) -> Iterator[str]:
    """Yield every text in a file that is no docstring."""
    tree = ast.parse(path.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def joined(path: Path) -> Iterator[str]:
    """Yield every text that is joined to a path with `/`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
            yield str(node.right.value)


def knows_the_store(name: str) -> set[str]:
    """Return what a file knows of the store that only the store may know."""
    inside = {module for module in IMPORTS[name] if module.startswith("actors.storage.")} - SEAM
    files = {text for text in texts(FILES[name]) if FILES_OF_THE_STORE.search(text)}
    return inside | files | {text for text in joined(FILES[name]) if text == "store"}


def test_only_the_store_knows_by_what_it_is_kept_and_where() -> None:
    """Another engine can stand in for SQLite only where nobody else has a path of its files, or one of its classes."""
    faults = {name: known for name in FILES if not name.startswith(STORE) and (known := knows_the_store(name))}
    assert faults == {}
    assert all(name.startswith(STORE) for name in FILES if "apsw" in IMPORTS[name])
    assert len(knows_the_store("actors/storage/schema.py")) > 2, "the check sees nothing"


HEAVY = {"numpy", "apsw", "quart", "hypercorn", "sigma", "re2", "publicsuffixlist", "google.protobuf"}  # what actors compute with


def test_the_supervisor_stays_lean() -> None:
    """It lives as long as the daemon, and a command is to answer at once."""
    program = "import sys, daemon.cli, daemon.commands.run, daemon.commands.status; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(done.stdout.split())
