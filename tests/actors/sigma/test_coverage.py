from __future__ import annotations

from pathlib import Path
from typing import Any

from actors.sigma.inspection.coverage import layer
from tests.actors.sigma.site import correlation, in_force, rule

DETECTION = "{s: {user: root}, condition: s}"


def layer_of(folder: Path, *tags: str) -> dict[str, Any]:
    return layer(in_force(folder, *(rule(f"r{n}", DETECTION, more=f"tags: [{each}]\n") for n, each in enumerate(tags))).all())


def techniques(found: dict[str, Any]) -> dict[tuple[str, str], Any]:
    return {(each["techniqueID"], each.get("tactic", "")): each.get("score") for each in found["techniques"]}


def test_a_technique_counts_its_rules_and_names_them(tmp_path: Path) -> None:
    found = layer_of(
        tmp_path,
        "attack.credential_access, attack.t1110.001",
        "attack.ta0006, attack.t1110.001, attack.t1110",
        "attack.execution, cve.2021-44228",
        "attack.t1059, attack.t1110.003",
    )
    assert techniques(found) == {
        ("T1059", ""): 1,
        ("T1110", "credential-access"): 1,
        ("T1110.001", "credential-access"): 2,
        ("T1110.003", ""): 1,
    }
    assert found["techniques"][2]["comment"] == "r0, r1" and found["techniques"][1]["showSubtechniques"] is True
    assert found["gradient"]["maxValue"] == 2 and found["description"].startswith("3 of the 4 ")
    assert found["versions"]["layer"] == "4.5" and found["domain"] == "enterprise-attack"


def test_a_technique_is_open_where_a_rule_leaves_its_tactic_open(tmp_path: Path) -> None:
    found = layer_of(tmp_path, "attack.execution, attack.t1053.003", "attack.execution, attack.persistence, attack.t1053.003")
    assert techniques(found) == {("T1053.003", ""): 2, ("T1053", ""): None}
    apart = layer_of(tmp_path, "attack.execution, attack.t1078", "attack.persistence, attack.t1078")
    assert techniques(apart) == {("T1078", "execution"): 1, ("T1078", "persistence"): 1}


def test_correlations_have_their_place_and_no_rules_make_an_empty_layer(tmp_path: Path) -> None:
    tagged = correlation("many", "base", "{gte: 3}", more="tags: [attack.credential_access, attack.t1110]\n")
    found = layer(in_force(tmp_path, rule("base", DETECTION), tagged).all())
    assert techniques(found) == {("T1110", "credential-access"): 1}
    assert layer(())["techniques"] == [] and layer(())["gradient"]["maxValue"] == 0
