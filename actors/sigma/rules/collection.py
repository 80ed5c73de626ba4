"""The rules and correlations that are in force: duplicates, those switched off and filters settled, references resolved. Pure.

A rule of the site's own paths with the name of one of ours replaces it. Two of one name on the same side: the first counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from actors.sigma.correlation.correlations import Correlation, resolve
from actors.sigma.rules.filters import Filter, apply_filters
from actors.sigma.rules.library import OWN_RULES, Document
from actors.sigma.rules.rule import Refusal, Rule


class Collection(msgspec.Struct, frozen=True):
    """What is in force. `silent`: the ids of what feeds a correlation and does not ring of its own."""

    rules: tuple[Rule, ...] = ()
    correlations: tuple[Correlation, ...] = ()
    silent: frozenset[str] = frozenset()
    refusals: tuple[Refusal, ...] = ()

    def all(self) -> Iterator[Rule | Correlation]:
        yield from self.rules
        yield from self.correlations

    def find(self, name: str) -> Rule | Correlation | None:
        """Return the rule or correlation of this name or UUID."""
        return next((each for each in self.all() if name in (each.id, each.uuid)), None)

    def closure(self, targets: Iterable[Rule | Correlation]) -> Collection:
        """Return these and all that they refer to, as a collection of its own."""
        known = {each.id: each for each in self.all()}
        wanted: dict[str, Rule | Correlation] = {}
        waiting = list(targets)
        while waiting:
            each = waiting.pop()
            if each.id not in wanted:
                wanted[each.id] = each
                waiting += [known[name] for name in each.rules] if isinstance(each, Correlation) else []
        rules = tuple(rule for rule in self.rules if rule.id in wanted)
        return Collection(rules, tuple(each for each in self.correlations if each.id in wanted), self.silent)

    def id_of(self, name: str) -> str:
        """Return the id that a name or UUID stands for; the name itself if nothing in force has it."""
        found = self.find(name)
        return name if found is None else found.id


def collect(documents: Iterable[Document], disabled: Iterable[str] = (), named: Iterable[str] = ()) -> Collection:
    """Return what is in force. `disabled`: ids of what is switched off; `named`: of what exceptions speak of."""
    documents, off = list(documents), set(disabled)
    refusals = [each for each in documents if isinstance(each, Refusal)]
    known = {name for each in documents if isinstance(each, Rule | Correlation) for name in (each.id, each.uuid)}
    refusals += [Refusal("configuration", 0, f"rules: there is no rule {name}") for name in sorted({*off, *named} - known)]
    unique, twice = _unique(each for each in documents if isinstance(each, Rule | Correlation))
    in_force = [each for each in unique if not off & {each.id, each.uuid}]
    filters = [each for each in documents if isinstance(each, Filter)]
    rules, unused = apply_filters([each for each in in_force if isinstance(each, Rule)], filters)
    names = {name: rule.id for rule in rules for name in (rule.id, rule.uuid) if name}
    resolution = resolve((each for each in in_force if isinstance(each, Correlation)), names)
    refusals += twice + unused + [Refusal(each.path, each.line, reason) for each, reason in resolution.refused]
    return Collection(tuple(rules), resolution.correlations, resolution.silent(), tuple(refusals))


def _unique(found: Iterable[Rule | Correlation]) -> tuple[list[Rule | Correlation], list[Refusal]]:
    """Return each id once, and a refusal of what is there twice."""
    unique: dict[str, Rule | Correlation] = {}
    refusals: list[Refusal] = []
    for each in found:
        other = unique.get(each.id)
        if other is None or (is_own(other) and not is_own(each)):
            unique[each.id] = each
        else:
            refusals.append(Refusal(each.path, each.line, f"the name {each.id} is that of the rule in {other.path} already"))
    return list(unique.values()), refusals


def is_own(document: Rule | Correlation | Filter) -> bool:
    """Tell whether it is one of those that come with Tocsin."""
    return document.path.startswith(str(OWN_RULES))
