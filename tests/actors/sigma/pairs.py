"""Random rules and events, and both engines' word on them."""

from __future__ import annotations

import json
import random
from typing import Any

from sigma.collection import SigmaCollection

from actors.sigma.matching.predicates import compile_condition
from actors.sigma.matching.prefilter import Prefilter, fields_named, text_of
from actors.sigma.matching.subject import Subject
from actors.sigma.rules.translation import read_condition
from tests.actors.sigma import reference
from tests.actors.sigma.reference import Tree

FIELDS = ("Image", "CommandLine", "user", "port", "ok")
WORDS = ("cmd", "Evil", "a*b", "\\", "x.exe", "10.0.1.42", "é", "-n", "", "4688", "?", "ABC", "..", "\\x")


class Maker:
    """Makes rules and events out of the same few words, so that they often meet."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def text(self) -> str:
        return "".join(self.random.choice(WORDS) for _ in range(self.random.randint(0, 3)))

    def pattern(self) -> str:
        parts = [self.random.choice((*WORDS, "*", "?", "\\*", "\\\\")) for _ in range(self.random.randint(1, 4))]
        return "".join(parts)

    def event(self) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for name in FIELDS:
            kind = self.random.randrange(7)
            if kind < 4:
                fields[name] = self.text()
            elif kind == 4:
                fields[name] = self.random.choice((4688, 22, 1.5, True, False, "22", "10.0.1.42", "10.0.2.1"))
            elif kind == 5:
                fields[name] = self.random.choice((None, [self.text(), self.text()], []))
        return fields

    def item(self) -> tuple[str, Any]:
        field = self.random.choice(FIELDS)
        kind = self.random.randrange(12)
        if kind < 5:
            modifier = self.random.choice(("", "|contains", "|startswith", "|endswith", "|cased", "|neq", "|contains|cased"))
            return field + modifier, self.pattern()
        if kind < 8:
            modifier = self.random.choice(("", "|contains", "|contains|all", "|startswith", "|endswith", "|contains|neq"))
            return field + modifier, [self.pattern() for _ in range(self.random.randint(2, 4))]
        return self.random.choice(
            (
                (field, self.random.choice((None, 4688, 22, ""))),
                (f"{field}|{self.random.choice(('lt', 'lte', 'gt', 'gte'))}", self.random.choice((22, 100, 4688))),
                (f"{field}|exists", self.random.choice((True, False))),
                (f"{field}|cidr", self.random.choice(("10.0.1.0/24", "10.0.0.0/8", "::/0"))),
                (f"{field}|re{self.random.choice(('', '|i'))}", self.random.choice(("^cmd", "evil$", "[0-9]{4}", "a.b|x", "^$"))),
                (f"{field}|fieldref", self.random.choice(FIELDS)),
            )
        )

    def search(self) -> Any:
        kind = self.random.randrange(6)
        if kind == 0:
            return [self.random.choice([word for word in WORDS if word.isalnum()]) for _ in range(2)]
        if kind == 1:
            return [dict([self.item()]) for _ in range(2)]
        return dict([self.item() for _ in range(self.random.randint(1, 3))])

    def tree(self, names: list[str], depth: int = 0) -> Tree:
        if depth > 2 or self.random.random() < 0.35:
            return self.random.choice(names)
        word = self.random.choice(("not", "and", "or"))
        count = 1 if word == "not" else 2
        return (word, *(self.tree(names, depth + 1) for _ in range(count)))


def written(tree: Tree) -> str:
    if isinstance(tree, str):
        return tree
    word, *inner = tree
    if word == "not":
        return f"not ({written(inner[0])})"
    return f" {word} ".join(f"({written(each)})" for each in inner)


def differences(seed: int, rules: int, events: int) -> list[str]:
    """Return every pair of a rule and an event on which the engine and the reference differ."""
    maker, found = Maker(seed), []
    for _ in range(rules):
        searches = {name: maker.search() for name in ("one", "two", "three")}
        tree = maker.tree(list(searches))
        text = json.dumps(
            {
                "title": "random",
                "logsource": {"product": "linux"},
                "detection": {**searches, "condition": written(tree)},
            }
        )
        (rule,) = SigmaCollection.from_yaml(text).rules
        (parsed,) = rule.detection.parsed_condition  # type: ignore[union-attr]
        condition = read_condition(parsed.parsed)
        predicate = compile_condition(condition)
        prefilter, names = Prefilter([condition]), fields_named(condition)
        for _ in range(events):
            fields, message = maker.event(), maker.text()
            wanted = reference.holds(tree, searches, fields, message)
            tried = bool(prefilter.candidates(text_of(fields, message, names), fields))
            if predicate(Subject(fields, message)) is not wanted or (wanted and not tried):
                found.append(f"{text}\n{fields!r} {message!r}: {wanted} by the specification")
    return found
