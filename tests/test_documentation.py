"""The documentation is tested: what the code has must stand in docs/, what docs/ names must be there."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from actors.context import Condition
from actors.detectors.registry import DETECTORS
from actors.frontend import hub
from actors.frontend.metrics import exposed_name
from actors.frontend.openapi import openapi
from actors.scoring import alerts
from daemon.cli import COMMANDS, make_parser
from daemon.configuration import Configuration, registries
from daemon.health import STATES
from daemon.routes import ANY, ROUTES
from daemon.sections import Section
from daemon.topology import child_specs
from protocol.findings import AlertSeverity, Part, RuleKind
from protocol.frames import AlertObject, EventObject, StatusFrame
from protocol.messages import Message
from protocol.metrics import DAEMON, METRICS, DropReason
from protocol.records import ENTITY_TYPES
from tests.actors.detectors.classes import detector_class

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
README = ROOT / "README.md"
CODE = [path for folder in ("actors", "daemon") for path in sorted((ROOT / folder).rglob("*.py"))]


def read(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """Return what stands under a heading, up to the next one."""
    return re.split(r"^#+ ", text.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> dict[str, str]:
    """Return the rows of all tables by the code in their first cell; cells that name several count for each."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            for name in re.findall(r"`([^`]+)`", line.split("|")[1]):
                found[name] = found.get(name, "") + line
    return found


# -- configuration


def keys(kind: type[Section], path: str = "") -> Iterator[str]:
    for field in msgspec.structs.fields(kind):
        here = f"{path}{field.name}"
        if field.name == "receivers":
            for name, section in registries()["receivers"].items():
                yield from keys(section, f"{here}.{name}.")
        elif isinstance(field.type, type) and issubclass(field.type, Section):
            yield from keys(field.type, f"{here}.")
        elif field.name == "detectors":
            yield from keys(get_args(field.type)[1], f"{here}.NAME.")
        else:
            yield here


def test_keys_are_walked() -> None:
    assert {"state_dir", "http.token", "receivers.syslog.udp", "detectors.NAME.enabled"} <= set(keys(Configuration))


@pytest.mark.parametrize("key", list(keys(Configuration)))
def test_every_configuration_key_is_documented_with_its_default_and_variable(key: str) -> None:
    row = rows(read("operations.md")).get(key)
    assert row is not None, f"docs/operations.md has no row for {key}"
    variable = "TOCSIN_" + key.replace("NAME", next(iter(DETECTORS))).replace(".", "__").upper()
    assert f"`{variable}`" in row
    default: object = Configuration()
    for part in key.replace("NAME", next(iter(DETECTORS))).split("."):
        default = default[part] if isinstance(default, dict) else getattr(default, part)
    if default != "":
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        shown = shown.lower() if isinstance(default, bool) else shown
        assert shown in row.split("|")[2], f"the default of {key} is {shown}"


def test_no_configuration_key_is_documented_that_does_not_exist() -> None:
    documented = [name for name in rows(read("operations.md")) if re.fullmatch(r"[a-z_]+(\.\w+)+|(state|runtime)_dir", name)]
    assert set(documented) - {"daemon.json", "parsing.json", "templates.journal", "rules.cache"} == set(keys(Configuration))


def test_every_detector_is_in_the_tuning_page() -> None:
    assert DETECTORS.keys() <= rows(read("tuning.md")).keys()


# -- routes


def test_the_table_of_messages_is_the_table_of_routes() -> None:
    table = [[cell.strip(" `") for cell in line.split("|")[1:5]] for line in read("architecture.md").splitlines()]
    documented = [tuple(row) for row in table if row[3:] in (["wait"], ["drop"])]
    names = {ANY: "any actor"}
    assert documented == [
        (
            route.message.__name__,
            names.get(route.sender, route.sender),
            names.get(route.receiver, route.receiver),
            route.when_full,
        )
        for route in ROUTES
    ]


# -- commands


def all_options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options of a parser and of its verbs."""
    for action in parser._actions:
        yield from (option for option in action.option_strings if option.startswith("--"))
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from all_options(verb)


def options(command: str) -> tuple[list[str], set[str]]:
    """Return the options of a command of its own, and those that all have."""
    parser = make_parser([command])
    choices = next(action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    common = {"--help", "--config", "--state-dir"}
    given = set(all_options(choices[command]))
    return sorted(given - common), given & common


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_documented(command: str) -> None:
    text = read("operations.md")
    row = next((line for line in text.splitlines() if re.match(rf"\| `tocsin {command}[` ]", line)), None)
    assert row is not None, f"docs/operations.md has no row for tocsin {command}"
    own, common = options(command)
    assert [option for option in own if option not in row] == []
    assert [option for option in common if option not in text] == []
    assert set(re.findall(r"--[a-z-]+", row)) == set(own)


# -- frames, REST and metrics


@pytest.mark.parametrize(("name", "kind"), [("event", EventObject), ("alert", AlertObject), ("status", StatusFrame)])
def test_the_keys_of_a_frame_are_documented_in_their_order(name: str, kind: type[msgspec.Struct]) -> None:
    assert tuple(rows(section(read("protocol.md"), name))) == kind.__struct_fields__


def test_every_word_of_a_frame_is_documented() -> None:
    text = read("protocol.md")
    for word in (*ENTITY_TYPES, *get_args(RuleKind), *get_args(AlertSeverity), *STATES):
        assert f"`{word}`" in text, word
    assert set(STATES) <= rows(read("operations.md")).keys()
    codes = [value for name, value in vars(hub).items() if name.startswith("CLOSE_")]
    assert len(codes) >= 2
    for code in codes:
        assert re.search(rf"^\| {code} \|", text, re.MULTILINE), code


@pytest.mark.parametrize("path", openapi()["paths"])
def test_every_route_and_its_parameters_are_documented(path: str) -> None:
    assert path in rows(section(read("protocol.md"), "REST"))
    documented, name = rows(section(read("protocol.md"), "Parameters")), path.rpartition("/")[2]
    item = openapi()["paths"][path]
    operations = [item[method] for method in ("get", "post") if method in item]
    assert operations, path
    for parameter in (each for operation in operations for each in operation.get("parameters", [])):
        row = documented.get(parameter["name"])
        assert row is not None, parameter["name"]
        assert name in row.split("|")[2], f"{parameter['name']} is a parameter of {name} too"


def metrics_of_the_code() -> dict[str, str]:
    """Return all that `/metrics` can show: {name: kind}."""
    catalogue = [*METRICS.items(), *DAEMON.items()]
    for name in DETECTORS:
        assert set(detector_class(name)().statistics()) <= METRICS.keys(), name
    return {exposed_name(name, metric.kind): metric.kind for name, metric in catalogue}


def test_every_metric_is_documented_with_its_kind_and_no_other() -> None:
    table = rows(read("protocol.md"))
    documented = {name: table[name].split("|")[2].strip() for name in table if name.startswith("tocsin_")}
    assert metrics_of_the_code() == documented


def test_every_reason_of_a_drop_is_documented() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in CODE)
    for reason in get_args(DropReason):
        assert f"`{reason}`" in rows(read("protocol.md"))["tocsin_dropped_total"], reason
        assert f'"{reason}"' in code, f"nothing is dropped for {reason}"


def test_every_condition_is_set_cleared_and_documented() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in CODE)
    documented = rows(section(read("operations.md"), "Conditions")).keys()
    assert set(get_args(Condition)) == documented
    for condition in get_args(Condition):
        for verb in ("set", "clear"):
            assert re.search(rf'report\.{verb}\("{condition}"', code), f"{condition} is never {verb}"


# -- the house


def test_every_message_and_every_actor_is_in_the_architecture_page() -> None:
    text = read("architecture.md")
    documented = rows(text)
    for message in get_args(Message):
        assert message.__name__ in documented, message
    for spec in child_specs(Configuration()):
        assert re.search(rf"\b{spec.name}\b", text), spec.name


def test_every_rule_and_every_kind_is_documented() -> None:
    rules = {value for name, value in vars(alerts).items() if name.isupper() and isinstance(value, str)}
    assert {"anomalous_event", "silence"} <= rules
    assert rows(read("rules.md").partition("## The key")[0]).keys() == rules
    for kind in get_args(RuleKind):
        assert f"`{kind}`" in read("rules.md"), kind


def test_the_explanation_is_documented() -> None:
    documented = rows(read("tuning.md"))
    assert set(Part.__struct_fields__) <= documented.keys()


# -- links and targets


def test_every_page_is_linked_from_the_readme() -> None:
    linked = re.findall(r"\]\((docs/[^)#]+)", README.read_text(encoding="utf-8"))
    assert {f"docs/{page.name}" for page in PAGES} == set(linked)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.name)
def test_relative_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name}: {target}"
        assert path.is_relative_to(ROOT), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(path), f"{page.name}: {target}"


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.name)
def test_files_of_the_code_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"`((?:actors|daemon|protocol|systemd|tests)/[\w/.]*)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_make_target_is_documented_and_no_other() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = "\n".join(page.read_text(encoding="utf-8") for page in (README, *PAGES))
    assert {"run", "test"} <= targets
    assert set(re.findall(r"(?:`|^    )make ([a-z-]+)", text, re.MULTILINE)) == targets


# -- the walk of a record


def functions_of(path: str) -> set[str]:
    """Return the names of a module's functions and methods, `Class.method`."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = {node.name for node in tree.body if isinstance(node, kinds)}
    for each in tree.body:
        if isinstance(each, ast.ClassDef):
            found |= {f"{each.name}.{node.name}" for node in each.body if isinstance(node, kinds)}
    return found


def test_every_function_of_the_walk_exists() -> None:
    named = re.findall(r"`((?:actors|daemon|protocol)/[\w/]+\.py): ([\w.]+)`", read("walk.md"))
    assert len(named) > 40
    missing = [f"{path}: {name}" for path, name in named if name not in functions_of(path)]
    assert missing == []
