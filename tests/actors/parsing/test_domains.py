from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.parsing.domains import kind_of_name
from actors.parsing.entities import find_entities

DOMAINS = "evil.cfd mail.example.co.uk login.bond a.b.sh update.sbs my-shop.online x1y2.onion xn--85x722f.xn--fiqs8s"
FILES_AND_CODE = "backup.zip setup.mov sys.stdin.read com.google.chrome process.env.foo org.key.events main.py java.util.map"
PEOPLE = "jan.schmidt mike.rogers anna.weber"


@pytest.mark.parametrize("name", DOMAINS.split())
def test_a_name_below_a_public_suffix_is_a_domain(name: str) -> None:
    assert kind_of_name(name) == "domain"


@pytest.mark.parametrize("name", [*FILES_AND_CODE.split(), *PEOPLE.split()])
def test_what_a_file_or_a_person_may_be_called_is_none(name: str) -> None:
    assert kind_of_name(name) == ""


@pytest.mark.parametrize("name", ["co.uk", "ac.jp", "foo.za", "local", "a..com", "-a.com", "a.nosuch", "x" * 64 + ".com"])
def test_what_nobody_can_register_is_none(name: str) -> None:
    assert kind_of_name(name) == "" and kind_of_name(name, stated=True) == ""


@pytest.mark.parametrize("text", ["GET http://evil.zip/x", "mail to eve@evil.zip refused", "seen www.evil.zip there"])
def test_where_the_text_says_that_it_is_one_the_extension_of_a_file_does_not_matter(text: str) -> None:
    found = {(each.type, each.value) for each in find_entities(text, {}, structured=False)}
    assert found & {("domain", "evil.zip"), ("domain", "www.evil.zip"), ("email", "eve@evil.zip")}


@given(st.text(max_size=300), st.booleans())
def test_any_text_is_answered(name: str, stated: bool) -> None:
    assert kind_of_name(name.lower(), stated=stated) in ("", "host", "domain")
