"""Templates: the constant words of messages, learned as they come (Drain).

Finds groups of messages that differ only in their variables, one message at a time, without training. Misses: messages
of one statement whose number of words varies, and statements that differ in one word only, when that word is far back.

A message is masked (`masking`), split at white space and led down a tree: by its number of tokens, then by its first
`depth` tokens, a token with a digit or `<*>` counting as any. In the leaf the most similar template is taken if its
similarity reaches `threshold`, and positions that differ become `<*>`; else a template is born.
Ids are integers from 1, never reused; the least recently used template leaves when there are `max_templates`.
A cache of token tuples answers repeated shapes; an entry holds while its leaf is as it was.

State: at most `max_templates` templates of at most 96 tokens, 128 of them in a leaf, and the cache.
Cost: about 1.5 us a message on a cache hit; a miss costs a look at each template of its leaf.
Source: P. He, J. Zhu, Z. Zheng, M. R. Lyu, Drain: An Online Log Parsing Approach with Fixed Depth Tree, ICWS 2017.
Departures: similarity is of the words that differ, equal / (equal + different), where a variable on one side counts a
quarter and on both sides nothing; words in upper case (`RUNNING`, `GET`) and words of state (`started`, `paused`, `true`)
are constants unless ten templates differ in one, for a change of state is what a detector has to see, and so are the keys
of `key=value`; tokens beyond the 96th do not count; a tie goes to the older; a full leaf loses
its least recently used template; empty nodes leave.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from actors.parsing.features import variables_ratio
from actors.parsing.masking import STATES, VARIABLE, Masking

_MAX_TOKENS = 96
_MAX_CACHE = 16_384
_MAX_LEAF = 128  # templates under one path, so that a flood of nonsense stays cheap
_LEARNED_WEIGHT = 0.25  # of a position that is a variable on one side only, against 1 for two words that differ
_MAX_VARIANTS = 10  # templates that differ in a keyword only; with more of them it is a variable


_PUNCTUATION = ".,;:!()[]{}<>'\""


class Template:
    """Constant tokens with `<*>` for each variable, under an id for life."""

    __slots__ = ("id", "leaf", "path", "text", "tokens", "used", "variables_ratio")

    def __init__(self, number: int, tokens: Sequence[str], path: tuple[str, ...], leaf: Leaf) -> None:
        self.id = number
        self.used = 0  # when it was last seen, counted in messages
        self.path = path
        self.leaf = leaf
        self.set_tokens(tokens)

    def set_tokens(self, tokens: Sequence[str]) -> None:
        self.tokens = tuple(tokens)
        self.text = " ".join(self.tokens)
        self.variables_ratio = variables_ratio(self.text)


class Leaf:
    """The templates of one path, oldest first; `version` moves whenever one of them does."""

    __slots__ = ("path", "templates", "version")

    def __init__(self, path: tuple[str, ...]) -> None:
        self.path = path
        self.templates: list[Template] = []
        self.version = 0


Node = dict[str, Any]  # token -> Node, or Leaf at the last level
Change = tuple[int, list[str] | None, list[str]]  # id, tokens (None: it left), path


class Drain:
    """Learns templates from messages. Same messages, same templates: there is no chance in it."""

    def __init__(
        self, max_templates: int = 20_000, threshold: float = 0.65, depth: int = 2, max_children: int = 100
    ) -> None:
        if max_templates < 1:
            raise ValueError(f"max_templates must be at least 1, not {max_templates}")
        self._max_templates = max_templates
        self._threshold = threshold
        self._depth = depth
        self._max_children = max_children
        self._masking = Masking()
        self._root: Node = {}
        self._templates: dict[int, Template] = {}  # least recently used first
        self._next_id = 1
        self._messages = 0
        self._cache: dict[tuple[str, ...], tuple[Template, int]] = {}
        self._changed: dict[int, None] = {}
        self._left: list[int] = []

    def __len__(self) -> int:
        return len(self._templates)

    def learn(self, message: str) -> Template:
        """Return the template of a message, which may be new or have changed by it."""
        tokens = self._masking.tokens(message, _MAX_TOKENS)
        cached = self._cache.get(tokens)
        if cached is not None and cached[1] == cached[0].leaf.version:
            template = cached[0]
        else:
            template = self._place(tokens)
            if len(self._cache) >= _MAX_CACHE:
                self._cache.clear()
            self._cache[tokens] = (template, template.leaf.version)
        templates = self._templates
        templates[template.id] = templates.pop(template.id)
        self._messages += 1
        template.used = self._messages
        return template

    def _place(self, tokens: tuple[str, ...]) -> Template:
        leaf = self._find_leaf(tokens)
        template = self._most_similar(leaf, tokens) if leaf else None
        if template is None:
            return self._give_birth(tokens)
        merged = [_merge(old, new) for old, new in zip(template.tokens, tokens, strict=True)]
        if tuple(merged) != template.tokens:
            template.set_tokens(merged)
            template.leaf.version += 1
            self._changed[template.id] = None
        return template

    def _find_leaf(self, tokens: tuple[str, ...]) -> Leaf | None:
        node: Any = self._root.get(str(len(tokens)))
        for token in tokens[: self._depth]:
            if node is None:
                return None
            node = node.get(_step(token)) or node.get(VARIABLE)
        return None if node is None else node.get("") if isinstance(node, dict) else node

    def _most_similar(self, leaf: Leaf, tokens: tuple[str, ...]) -> Template | None:
        """Return the template that agrees best; the older of two that agree as well."""
        best, most, variants = None, self._threshold, 0
        apart, max_apart = None, self._threshold
        for template in leaf.templates:
            similarity, keyword_differs = _compare(template.tokens, tokens)
            if keyword_differs:
                variants += similarity >= self._threshold
                if similarity > max_apart or apart is None:
                    apart, max_apart = template, similarity
            elif similarity > most or (best is None and similarity >= most):
                best, most = template, similarity
        return apart if best is None and variants >= _MAX_VARIANTS else best

    def _give_birth(self, tokens: tuple[str, ...]) -> Template:
        path = self._path(tokens)
        leaf = self._find_leaf(tokens)
        if leaf and leaf.path == path and len(leaf.templates) >= _MAX_LEAF:
            self._remove(min(leaf.templates, key=lambda each: each.used))
        elif len(self._templates) >= self._max_templates:
            self._remove(next(iter(self._templates.values())))
        template = self._insert(self._next_id, tokens, self._path(tokens))
        self._next_id += 1
        self._changed[template.id] = None
        return template

    def _path(self, tokens: tuple[str, ...]) -> tuple[str, ...]:
        """Return the way down for a new template; where a node is full, its `<*>` child takes the rest."""
        path = [str(len(tokens))]
        node = self._root.get(path[0], {})
        for token in tokens[: self._depth]:
            step = _step(token)
            if step not in node and len(node) >= self._max_children:
                step = VARIABLE
            path.append(step)
            node = node.get(step, {})
        path.append("")
        return tuple(path)

    def _insert(self, number: int, tokens: Sequence[str], path: tuple[str, ...]) -> Template:
        node = self._root
        for step in path[:-1]:
            node = node.setdefault(step, {})
        leaf: Leaf = node.setdefault(path[-1], Leaf(path))
        template = Template(number, tokens, path, leaf)
        leaf.templates.append(template)
        leaf.templates.sort(key=lambda each: each.id)
        leaf.version += 1
        self._templates[number] = template
        self._messages += 1
        template.used = self._messages
        return template

    def _remove(self, template: Template) -> None:
        del self._templates[template.id]
        template.leaf.templates.remove(template)
        template.leaf.version += 1
        self._changed.pop(template.id, None)
        self._left.append(template.id)
        if not template.leaf.templates:
            self._prune(template.path)

    def _prune(self, path: tuple[str, ...]) -> None:
        nodes = [self._root]
        for step in path[:-1]:
            nodes.append(nodes[-1][step])
        for node, step in zip(reversed(nodes), reversed(path), strict=True):
            if isinstance(node[step], Leaf) or not node[step]:
                del node[step]

    def take_changes(self) -> list[Change]:
        """Return the templates that were added, changed or removed since the last call, for a journal."""
        changes: list[Change] = [(number, None, []) for number in self._left]
        for number in self._changed:
            template = self._templates[number]
            changes.append((number, list(template.tokens), list(template.path)))
        self._left.clear()
        self._changed.clear()
        return changes

    def restore_changes(self, changes: Iterable[Change]) -> None:
        """Apply a journal's changes in the order in which they were taken."""
        for number, tokens, path in changes:
            known = self._templates.get(number)
            if tokens is None:
                if known:
                    self._remove(known)
            elif known:
                known.set_tokens(tokens)
                known.leaf.version += 1
            else:
                self._insert(number, tokens, tuple(path))
            self._next_id = max(self._next_id, number + 1)
        self._left.clear()
        self._changed.clear()
        self._cache.clear()

    def leap_ids(self, count: int) -> None:
        """Never give the next `count` ids: they may have been given by what is lost."""
        self._next_id += count

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as plain data: templates from the least to the most recently used."""
        rows = [[each.id, list(each.tokens), list(each.path)] for each in self._templates.values()]
        return {"version": 1, "next_id": self._next_id, "templates": rows}

    def restore(self, state: dict[str, Any]) -> None:
        """Become what the snapshot was taken of. Raises ValueError for a version that is not known."""
        if state.get("version") != 1:
            raise ValueError(f"snapshot of templates has version {state.get('version')!r}, known is 1")
        self._root, self._templates, self._next_id = {}, {}, 1
        self.restore_changes((number, tokens, path) for number, tokens, path in state["templates"])
        self._next_id = max(self._next_id, state["next_id"])


def _compare(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[float, bool]:
    """Return how similar a template and a message are, and whether they differ in a keyword."""
    equal, different, keyword_differs = 0.0, 0.0, False
    for one, two in zip(old, new, strict=True):
        if one == two:
            if one != VARIABLE:
                equal += 1.0
        elif one == VARIABLE:
            different += _LEARNED_WEIGHT
        elif two != VARIABLE:
            key, equals, _ = one.partition("=")
            if equals and "=" in two:
                if key != two.partition("=")[0]:
                    return 0.0, False
                equal += 0.5
                continue
            different += 1.0
            keyword_differs = keyword_differs or (_is_keyword(one) and _is_keyword(two))
        else:
            different += _LEARNED_WEIGHT
    return (equal / (equal + different) if different else 1.0), keyword_differs


def _merge(old: str, new: str) -> str:
    if old == new:
        return old
    key, equals, _ = old.partition("=")
    return f"{key}={VARIABLE}" if equals and new.startswith(f"{key}=") else VARIABLE


def _is_keyword(token: str) -> bool:
    """Say whether a token is a state, or is written as states, methods and constants are: `RUNNING`, `SCREEN_ON`, `GET`."""
    if token.strip(_PUNCTUATION).lower() in STATES:
        return True
    return len(token) > 1 and token.isupper() and VARIABLE not in token and sum(map(str.isdigit, token)) <= 1  # `SOCKS5`


def _step(token: str) -> str:
    """Return the token as a step in the tree: one with a digit or a variable is any."""
    if VARIABLE in token or any(letter.isdigit() for letter in token):
        return VARIABLE
    return token
