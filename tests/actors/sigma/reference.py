"""Sigma evaluated slowly and obviously, straight from the words of the specification; no pySigma, no compilation."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

Fields = dict[str, Any]
Token = tuple[str, str]  # ("text", letter), ("any", "") or ("one", "")
ANY: Token = ("any", "")
Tree = str | tuple[Any, ...]  # a search identifier; ("not", tree), ("and", tree, ...), ("or", tree, ...)


def holds(tree: Tree, searches: dict[str, Any], fields: Fields, message: str) -> bool:
    """Tell whether a condition, as a tree, holds for an event."""
    if isinstance(tree, str):
        return search_holds(searches[tree], fields, message)
    word, *inner = tree
    results = [holds(each, searches, fields, message) for each in inner]
    return not results[0] if word == "not" else all(results) if word == "and" else any(results)


def search_holds(search: Any, fields: Fields, message: str) -> bool:
    if isinstance(search, dict):
        return all(item_holds(key, value, fields) for key, value in search.items())
    if isinstance(search, list):
        return any(
            search_holds(each, fields, message)
            if isinstance(each, dict)
            else matches([ANY, *tokens(str(each)), ANY], message, cased=False)
            for each in search
        )
    raise TypeError(search)


def item_holds(key: str, value: Any, fields: Fields) -> bool:
    field, *modifiers = key.split("|")
    values = value if isinstance(value, list) else [value]
    results = [value_holds(field, modifiers, each, fields) for each in values]
    result = all(results) if "all" in modifiers else any(results)
    return not result if "neq" in modifiers else result


def value_holds(field: str, modifiers: list[str], wanted: Any, fields: Fields) -> bool:
    if "exists" in modifiers:
        return (field in fields) is wanted
    if wanted is None:
        return fields.get(field) is None
    return any(one_holds(modifiers, wanted, each, fields) for each in values_of(fields.get(field)))


def values_of(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [] if found is None else [found]


def shown(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def one_holds(modifiers: list[str], wanted: Any, seen: Any, fields: Fields) -> bool:
    text = shown(seen)
    for name, compare in (("lt", float.__lt__), ("lte", float.__le__), ("gt", float.__gt__), ("gte", float.__ge__)):
        if name in modifiers:
            return is_number(text) and compare(float(text), float(wanted))
    if "cidr" in modifiers:
        try:
            return ipaddress.ip_address(text) in ipaddress.ip_network(wanted)
        except (ValueError, TypeError):
            return False
    if "re" in modifiers:
        flags = re.IGNORECASE if "i" in modifiers else 0
        return re.search(wanted, text, flags) is not None
    if "fieldref" in modifiers:
        return text.lower() in (shown(each).lower() for each in values_of(fields.get(wanted)))
    if isinstance(wanted, bool):
        return text.lower() == str(wanted).lower()
    if isinstance(wanted, int):
        return is_number(text) and float(text) == wanted
    pattern = tokens(wanted)  # first, or a backslash at its end would escape the wildcard behind it
    if "contains" in modifiers or "endswith" in modifiers:
        pattern = [ANY, *pattern]
    if "contains" in modifiers or "startswith" in modifiers:
        pattern = [*pattern, ANY]
    return matches(pattern, text, cased="cased" in modifiers)


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def tokens(pattern: str) -> list[Token]:
    """Return the letters and wildcards of a string with escapes."""
    out: list[Token] = []
    i = 0
    while i < len(pattern):
        letter, following = pattern[i], pattern[i + 1 : i + 2]
        if letter == "\\" and following in ("*", "?", "\\"):
            out.append(("text", following))
            i += 2
            continue
        out.append(("any", "") if letter == "*" else ("one", "") if letter == "?" else ("text", letter))
        i += 1
    return out


def matches(pattern: list[Token], text: str, *, cased: bool) -> bool:
    if not cased:
        pattern, text = [(kind, letter.lower()) for kind, letter in pattern], text.lower()
    reached = {0}  # how much of the text may be consumed by what was read of the pattern
    for kind, letter in pattern:
        if kind == "any":
            reached = set(range(min(reached), len(text) + 1)) if reached else set()
        elif kind == "one":
            reached = {place + 1 for place in reached if place < len(text)}
        else:
            reached = {place + 1 for place in reached if text[place : place + 1] == letter}
    return len(text) in reached
