"""Patterns of paths match what a shell would match, and walking them ends whatever links there are."""

from __future__ import annotations

import glob
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.receivers import matching
from actors.receivers.matching import Pattern, TooMany
from actors.receivers.watching import Watching

NAMES = st.sampled_from(["a", "b", "ab", "a.log", "b.log", ".a", "[x]"])
PARTS = st.sampled_from(["*", "**", "a", "a*", "?", "*.log", ".*", "[ab]", "b", "[!a]*"])


@settings(max_examples=150, deadline=None)
@given(paths=st.lists(st.lists(NAMES, min_size=1, max_size=3), max_size=8), parts=st.lists(PARTS, min_size=1, max_size=4))
def test_what_matches_is_what_glob_says(
    tmp_path_factory: pytest.TempPathFactory, paths: list[list[str]], parts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    for names in paths:
        path = folder.joinpath(*names)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError:
            continue  # a file stands where a directory should
    text = str(folder.joinpath(*parts))
    wanted = {path for path in glob.glob(text, recursive=True) if os.path.isfile(path)}
    found = [path for path in Pattern(text).find() if os.path.isfile(path)]
    assert set(found) == wanted
    everything = [os.path.join(here, name) for here, _, names in os.walk(folder) for name in names]
    assert {path for path in everything if Pattern(text).matches(path)} == wanted


def test_two_links_to_the_root_of_a_pattern_end(tmp_path: Path) -> None:
    for number in range(20):
        inner = tmp_path / f"d{number}"
        inner.mkdir()
        (inner / "a.log").touch()
        (inner / "one").symlink_to(tmp_path)
        (inner / "two").symlink_to(tmp_path)
    began_s = time.monotonic()
    found = list(Pattern(f"{tmp_path}/**/*.log").find())
    assert sorted(found) == sorted(str(path) for path in tmp_path.glob("d*/a.log")), "under their own names, once"
    assert time.monotonic() - began_s < 2


def test_a_directory_that_only_a_link_leads_to_is_searched(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.log").touch()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "link").symlink_to(tmp_path / "elsewhere")
    assert list(Pattern(f"{tmp_path}/logs/**/*.log").find()) == [f"{tmp_path}/logs/link/a.log"]


def test_the_bound_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "MAX_ENTRIES", 10)
    for number in range(20):
        (tmp_path / f"{number}.log").touch()
    with pytest.raises(TooMany):
        list(Pattern(f"{tmp_path}/*.log").find())
    watching = Watching([f"{tmp_path}/*.log", f"{tmp_path}/3.log"])
    look = watching.look()
    assert list(look.unseen) == [f"{tmp_path}/*.log"] and "make it narrower" in look.unseen[f"{tmp_path}/*.log"]
    assert (f"{tmp_path}/3.log", f"{tmp_path}/3.log") in look.files and look.directories
    watching.close()
