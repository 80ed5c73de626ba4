from __future__ import annotations

import os
from pathlib import Path

import pytest

from actors.sigma.rules.collection import collect
from actors.sigma.rules.library import Library, Sources, find_files, state_of
from actors.sigma.rules.loading import PipelineError, Reader
from actors.sigma.rules.rule import Rule
from tests.actors.sigma.test_rules import GOOD


class Site:
    """A folder of rules, and its library."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder / "rules"
        self.folder.mkdir(exist_ok=True)
        self.sources = Sources(paths=(str(self.folder),), own=False, **settings)  # type: ignore[arg-type]
        self.library = Library()
        self.read_files: list[str] = []
        self._clock = 1_000_000_000

    def write(self, name: str, text: str) -> None:
        self._clock += 1_000_000_000
        (self.folder / name).write_text(text)
        os.utime(self.folder / name, ns=(self._clock, self._clock))

    def update(self) -> None:
        reader = Reader(self.sources)
        self.read_files = []

        def read(path: Path):  # type: ignore[no-untyped-def]
            self.read_files.append(path.name)
            return reader.read(path)

        self.library.update(self.sources, read)

    def titles(self) -> list[str]:
        return [each.title for each in self.library.documents() if isinstance(each, Rule)]


def test_only_what_has_changed_is_read_again(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for name in ("a.yml", "b.yml"):
        site.write(name, GOOD.replace("Failed SSH", name))
    site.update()
    assert site.read_files == ["a.yml", "b.yml"] and site.library.state() == state_of(site.sources)
    site.library.store(tmp_path / "cache")
    site.library = Library.open(tmp_path / "cache")
    site.write("b.yml", GOOD.replace("Failed SSH", "changed"))
    (site.folder / "a.yml").rename(site.folder / "c.yml")
    assert site.library.state() != state_of(site.sources)
    site.update()
    assert site.read_files == ["b.yml", "c.yml"] and site.titles() == ["changed password", "a.yml password"]


def test_a_file_with_a_fault_changes_nothing_and_says_where(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.write("a.yml", GOOD)
    site.write("b.yml", "title: [")
    site.update()
    assert str(site.library.refusals()[0]).startswith(f"{site.folder}/b.yml:2: ")
    for text in (GOOD.replace("condition: failed", "condition: gone"), "title: ["):
        site.write("a.yml", text)
        site.update()
        assert site.titles() == ["Failed SSH password"]
        refused = site.library.refusals()[0]
        assert refused.path.endswith("a.yml") and str(refused).endswith("(what the file held before stays in force)")
    site.write("a.yml", GOOD.replace("Failed SSH", "Wrong"))
    site.write("b.yml", GOOD.replace("Failed SSH", "Other"))
    site.update()
    assert site.titles() == ["Wrong password", "Other password"] and site.library.refusals() == []


def test_another_recipe_reads_everything_again(tmp_path: Path) -> None:
    placeholder = GOOD.replace("user: root", "user|expand: '%admins%'")
    site = Site(tmp_path)
    site.write("a.yml", placeholder)
    site.update()
    assert "placeholder %admins%" in str(site.library.refusals()[0])
    site.sources = Site(tmp_path, placeholders={"admins": ["root", "eve"]}).sources
    site.update()
    assert site.titles() == ["Failed SSH password"] and site.library.refusals() == []


def test_a_pipeline_is_applied_to_every_rule(tmp_path: Path) -> None:
    pipeline = tmp_path / "pipeline.yml"
    pipeline.write_text(
        "name: ours\npriority: 10\ntransformations:\n- {id: names, type: field_name_mapping, mapping: {user: account}}\n"
    )
    site = Site(tmp_path, pipelines=(str(pipeline),))
    site.write("a.yml", GOOD)
    site.update()
    assert "account" in repr(site.library.documents()[0])
    pipeline.write_text("transformations: 7\n")
    with pytest.raises(PipelineError, match=r"pipeline.yml"):
        Reader(site.sources)


def test_a_cache_that_is_of_no_use_is_none(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"\x93nothing")
    assert Library.open(tmp_path / "cache") == Library() == Library.open(tmp_path / "none")


def test_one_odd_file_does_not_cost_the_others(tmp_path: Path) -> None:
    """Neither a document that the cache would not give back, nor a name that is no UTF-8."""
    site = Site(tmp_path)
    site.write("good.yml", GOOD)
    site.write("odd.yml", GOOD.replace("name: sshd", "name: other") + "falsepositives: [{a: 1}]\n")
    with open(os.fsencode(site.folder) + b"/\xff.yml", "w") as file:
        file.write(GOOD)
    site.update()
    site.library.store(tmp_path / "cache")
    kept = Library.open(tmp_path / "cache")
    assert kept.state() == site.library.state() == state_of(site.sources)
    assert [type(each) for each in kept.documents()] == [Rule] and len(kept.refusals()) == 2
    assert any("\\xff.yml" in str(each) for each in kept.refusals())


def test_a_folder_that_cannot_be_looked_into_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path: str):  # type: ignore[no-untyped-def]  # tests may run as root, whom no mode keeps out
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="closed"):
        find_files([str(tmp_path)])


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        find_files([str(tmp_path / "none")])


CORRELATION = """title: Many
name: many
correlation: {type: event_count, rules: [sshd_failed_password], timespan: 1m, condition: {gte: 3}}
level: high
"""


def collected(folder: Path, *texts: str, disabled: tuple[str, ...] = (), named: tuple[str, ...] = ()):  # type: ignore[no-untyped-def]
    site = Site(folder)
    for number, text in enumerate(texts):
        site.write(f"{number}.yml", text)
    site.update()
    return collect([*site.library.documents(), *site.library.refusals()], disabled, named)


def test_a_rule_that_feeds_a_correlation_is_silent(tmp_path: Path) -> None:
    found = collected(tmp_path, GOOD, CORRELATION)
    assert found.silent == {"sshd_failed_password"} and found.refusals == ()
    assert found.find("many") is found.correlations[0]


def test_what_is_switched_off_is_out_and_takes_along_what_needs_it(tmp_path: Path) -> None:
    found = collected(tmp_path, GOOD, CORRELATION, disabled=("sshd_failed_password", "unheard_of"), named=("many", "mayn"))
    assert found.rules == () and found.correlations == ()
    assert [each.reason for each in found.refusals] == [
        "rules: there is no rule mayn",
        "rules: there is no rule unheard_of",
        "rules: no rule has the name or id sshd_failed_password",
    ]


def test_a_rule_of_the_site_replaces_ours_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.sigma.rules.collection.OWN_RULES", tmp_path / "rules" / "0")
    found = collected(tmp_path, GOOD, GOOD.replace("Failed SSH", "Theirs"), GOOD.replace("Failed SSH", "Twice"))
    assert [rule.title for rule in found.rules] == ["Theirs password"]
    (refused,) = found.refusals
    assert refused.path.endswith("2.yml") and "is that of the rule in" in refused.reason
