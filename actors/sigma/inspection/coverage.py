"""The rules in force as a layer of the ATT&CK Navigator, so that one sees which techniques somebody watches for. Pure.

A technique's score is the number of rules that name it, its comment their ids. Rules name tactics and techniques without
saying which belong together, so a technique has the tactic only if each rule that names it names one tactic alone; else it
is shown under all that ATT&CK puts it under. (ATT&CK Navigator, layer file format 4.5.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from actors.sigma.correlation.correlations import Correlation
from actors.sigma.rules.attack import TACTICS
from actors.sigma.rules.rule import Rule

ATTACK_VERSION = "17"
LAYER_VERSION = "4.5"
NAVIGATOR_VERSION = "5.1.0"
COLOURS = ["#ffe8d6", "#e07a1f"]
_TECHNIQUE = re.compile(r"t[0-9]{4}(\.[0-9]{3})?")

Named = dict[str, dict[str, list[str]]]  # {technique: {tactic, "" if it is open: rules}}


def layer(rules: Iterable[Rule | Correlation]) -> dict[str, Any]:
    """Return the layer of these rules, as it is to be written as JSON."""
    rules = list(rules)
    named = _named(rules)
    techniques = [_entry(technique, tactic, ids) for technique in sorted(named) for tactic, ids in _settled(named[technique])]
    parents = {technique.partition(".")[0] for technique in named if "." in technique}
    for entry in techniques:
        if entry["techniqueID"] in parents:
            entry["showSubtechniques"] = True
    techniques += [{"techniqueID": parent, "showSubtechniques": True} for parent in sorted(parents - named.keys())]
    placed = {rule for tactics in named.values() for ids in tactics.values() for rule in ids}
    return {
        "name": "Tocsin",
        "versions": {"attack": ATTACK_VERSION, "navigator": NAVIGATOR_VERSION, "layer": LAYER_VERSION},
        "domain": "enterprise-attack",
        "description": f"{len(placed)} of the {len(rules)} rules and correlations in force name a technique.",
        "techniques": techniques,
        "gradient": {"colors": COLOURS, "minValue": 0, "maxValue": max((each.get("score", 0) for each in techniques), default=0)},
        "legendItems": [],
        "metadata": [{"name": "rules in force", "value": str(len(rules))}, {"name": "techniques", "value": str(len(named))}],
        "showTacticRowBackground": False,
        "selectTechniquesAcrossTactics": False,
    }


def _named(rules: Iterable[Rule | Correlation]) -> Named:
    named: Named = {}
    for rule in rules:
        tactics, techniques = places_of(rule)
        tactic = tactics.pop() if len(tactics) == 1 else ""
        for technique in techniques:
            named.setdefault(technique, {}).setdefault(tactic, []).append(rule.id)
    return named


def places_of(rule: Rule | Correlation) -> tuple[set[str], set[str]]:
    """Return the tactics and the techniques that a rule names."""
    tactics = {rule.attack.tactic} if rule.attack else set()
    techniques = {rule.attack.technique} if rule.attack else set()
    for tag in rule.tags:
        namespace, _, name = tag.lower().partition(".")
        if namespace == "attack" and _TECHNIQUE.fullmatch(name):
            techniques.add(name.upper())
        elif namespace == "attack":
            tactics.add(TACTICS.get(name, name.replace("_", "-")))
    return tactics & set(TACTICS.values()), techniques - {""}


def _settled(tactics: Mapping[str, list[str]]) -> list[tuple[str, list[str]]]:
    """Return the tactics of a technique with their rules; all under none if it is open for one of the rules."""
    if "" not in tactics:
        return sorted(tactics.items())
    return [("", [rule for ids in tactics.values() for rule in ids])]


def _entry(technique: str, tactic: str, ids: list[str]) -> dict[str, Any]:
    entry: dict[str, Any] = {"techniqueID": technique, "score": len(ids), "comment": ", ".join(sorted(ids)), "enabled": True}
    return entry | {"tactic": tactic} if tactic else entry
