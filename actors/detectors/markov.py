"""First-order Markov chains over templates: how surprising it is that this template follows that one.

Finds a kind of line never seen before, and steps out of order in what one entity does (a block, a session, an address)
or in what a source says. Misses what keeps its order and changes its pace, and orders longer than one step.

    p(b | a) = (n_ab + d_a p(b)) / (n_a + d_a)        p(b) = (n_b + d 2^-31) / (n + d)        surprisal = -log2 p

n counts, d_a is the number of different successors of a, d of different templates: escape of method C (Moffat 1990;
Witten and Bell 1991, section III), and after the last escape every template id is equally likely (order -1 of PPM,
Cleary and Witten 1984), so a template never seen costs 31 bits more than any escape and is always the most surprising.
Two chains a source: one follows each leading entity (its first event follows `START`), one the source as a whole. An
event with an entity is scored by the entity's chain, one without by the source's: where many entities interleave, the
order across them is chance, and the maximum of both only adds its noise. Misses too what should have followed and did
not: nobody tells the end of a sequence (tests/benchmarks/sequence.py measures what the end would add).

State: `SOURCES` sources; a chain holds `TRANSITIONS` transitions, the rarest half given up beyond that, and halves its
counts at `EVENTS` events, so old habits fade; the last template of `ENTITIES` entities in all, unused ones first given
up. Cost: a few dictionary look-ups an event, about 2 us.
"""

from __future__ import annotations

from math import log2
from typing import Any

import numpy as np

from actors.detectors.detector import Detector
from actors.recent import Recent, split_by_source
from protocol.columns import Columns, Scores

SOURCES = 256
ENTITIES = 50_000
TRANSITIONS = 16_384
EVENTS = 65_536
WARM_EVENTS = 400
START = 0  # precedes an entity's first event; Drain numbers from 1
NEW_BITS = 31.0
_NEW = 2.0**-NEW_BITS
_STEP = 1 << 32
_MASK = _STEP - 1


class _Chain:
    """Counts of templates and of their successors, and the surprisal of the next."""

    def __init__(self) -> None:
        self.n = 0
        self.templates: dict[int, int] = {}  # {template_id: n_b}
        self.contexts: dict[int, tuple[int, int]] = {}  # {template_id: (n_a, d_a)}
        self.steps: dict[int, int] = {}  # {a << 32 | b: n_ab}, at most TRANSITIONS

    def surprisal(self, a: int, b: int) -> float:
        """Return bits for b after a."""
        templates = self.templates
        kinds = len(templates)
        if not kinds:
            return NEW_BITS
        p = (templates.get(b, 0) + kinds * _NEW) / (self.n + kinds)
        context = self.contexts.get(a)
        if context is not None:
            n, different = context
            p = (self.steps.get(a << 32 | b, 0) + different * p) / (n + different)
        return -log2(p)

    def learn(self, a: int, b: int) -> None:
        """Count b after a."""
        self.n += 1
        templates = self.templates
        templates[b] = templates.get(b, 0) + 1
        step = a << 32 | b
        count = self.steps.get(step, 0)
        n, different = self.contexts.get(a, (0, 0))
        self.contexts[a] = (n + 1, different if count else different + 1)
        self.steps[step] = count + 1
        if self.n >= EVENTS:
            self._fade(2)
        elif not count and len(self.steps) > TRANSITIONS:
            self._thin()

    def _fade(self, by: int) -> None:
        """Halve the counts. A template that was seen is never forgotten by this, only made rare."""
        self.templates = {template: max(count // by, 1) for template, count in self.templates.items()}
        self.n = sum(self.templates.values())
        self.steps = {step: count // by for step, count in self.steps.items() if count >= by}
        self._count_contexts()

    def _thin(self) -> None:
        """Give up the rarer half of the steps, and of the templates if those alone are too many."""
        kept = sorted(self.steps.items(), key=lambda step: step[1])[TRANSITIONS // 2 :]
        self.steps = dict(kept)
        if len(self.templates) > TRANSITIONS // 2:
            often = sorted(self.templates.items(), key=lambda template: template[1])[len(self.templates) // 2 :]
            self.templates = dict(often)
            self.n = sum(self.templates.values())
        self._count_contexts()

    def _count_contexts(self) -> None:
        contexts: dict[int, tuple[int, int]] = {}
        for step, count in self.steps.items():
            n, different = contexts.get(step >> 32, (0, 0))
            contexts[step >> 32] = (n + count, different + 1)
        self.contexts = contexts

    def snapshot(self) -> list[Any]:
        return [self.n, *_pack(self.templates), *_pack(self.steps), [[a, *c] for a, c in self.contexts.items()]]

    def restore(self, state: list[Any]) -> None:
        self.n = state[0]
        self.templates, self.steps = _unpack(state[1], state[2]), _unpack(state[3], state[4])
        self.contexts = {a: (n, different) for a, n, different in state[5]}


class _Source:
    def __init__(self, number: int) -> None:
        self.number = number  # sets its entities apart from those of other sources
        self.by_entity = _Chain()
        self.by_source = _Chain()
        self.last = START
        self.mean = 0.0  # of the surprisals, fading


class Markov(Detector):
    """Surprisal of each event's template after the one before it.

    >>> columns = lambda ids: Columns(("a",), *(np.zeros(len(ids), np.int64),) * 2, np.array(ids, np.int32),
    ...     np.zeros(len(ids), np.int32), np.zeros(len(ids), np.int8), np.zeros(len(ids), np.uint64),
    ...     np.zeros(len(ids), np.int64), np.zeros((len(ids), 8), np.float32))
    >>> markov = Markov()
    >>> _ = markov.score(columns([1, 2, 3] * 200))
    >>> markov.score(columns([1, 2, 2, 7])).raw.round(1).tolist()
    [0.0, 0.0, 9.199999809265137, 45.29999923706055]
    """

    name = "markov"
    version = 1
    unit = "bits of surprise"

    def __init__(self) -> None:
        self._sources: Recent[str, _Source] = Recent(SOURCES)
        self._last: Recent[int, int] = Recent(ENTITIES)  # {entity key ^ source number: template_id}
        self._numbers = 0

    def score(self, batch: Columns, *, learn: bool = True) -> Scores:
        n = len(batch)
        raw = np.full(n, np.nan, np.float32)
        expected = np.full(n, np.nan, np.float32)
        for name, index in split_by_source(batch):
            if learn:
                source = self._sources.use(name, self._make)
            elif name in self._sources:
                source = self._sources[name]
            else:
                continue
            templates = (batch.template_id[index].astype(np.int64) & _MASK).tolist()
            entities = batch.entity[index].tolist()
            warm = source.by_source.n >= WARM_EVENTS
            bits = self._learn(source, templates, entities) if learn else self._judge(source, templates, entities)
            if warm:
                raw[index] = bits
                expected[index] = source.mean
            if learn:
                fading = 0.999 ** len(bits)
                source.mean = source.mean * fading + sum(bits) / len(bits) * (1.0 - fading)
        return Scores(raw, expected, raw)

    def _make(self) -> _Source:
        self._numbers += 1
        return _Source(self._numbers)

    def _learn(self, source: _Source, templates: list[int], entities: list[int]) -> list[float]:
        by_entity, by_source, last_of, last = source.by_entity, source.by_source, self._last, source.last
        # An odd multiplier spreads the source's number over the key, so equal entities of two sources stay apart.
        salt = source.number * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        bits = []
        for template, entity in zip(templates, entities, strict=True):
            if entity:
                key = entity ^ salt
                before = last_of.get(key, START)
                bits.append(by_entity.surprisal(before, template))
                by_entity.learn(before, template)
                last_of[key] = template
                last_of.move_to_end(key)
            else:
                bits.append(by_source.surprisal(last, template))
            by_source.learn(last, template)
            last = template
        while len(last_of) > ENTITIES:
            last_of.popitem(last=False)
        source.last = last
        return bits

    def _judge(self, source: _Source, templates: list[int], entities: list[int]) -> list[float]:
        """Score without learning; what went before inside this batch is remembered only for its length."""
        salt = source.number * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        within: dict[int, int] = {}
        last = source.last
        bits = []
        for template, entity in zip(templates, entities, strict=True):
            if entity:
                key = entity ^ salt
                before = within.get(key, self._last.get(key, START))
                bits.append(source.by_entity.surprisal(before, template))
                within[key] = template
            else:
                bits.append(source.by_source.surprisal(last, template))
            last = template
        return bits

    def is_warm(self) -> bool:
        return any(source.by_source.n >= WARM_EVENTS for source in self._sources.values())

    def statistics(self) -> dict[str, int]:
        chains = [chain for source in self._sources.values() for chain in (source.by_entity, source.by_source)]
        return {
            "sources": len(self._sources),
            "sources_max": SOURCES,
            "entities": len(self._last),
            "entities_max": ENTITIES,
            "transitions": sum(len(chain.steps) for chain in chains),
        }

    def snapshot(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "numbers": self._numbers,
            "last": _pack(self._last),
            "sources": [
                [name, s.number, s.by_entity.snapshot(), s.by_source.snapshot(), s.last, s.mean]
                for name, s in self._sources.items()
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.check_version(state)
        self._numbers = state["numbers"]
        self._last.clear()
        self._last.update(_unpack(*state["last"]))
        self._sources.clear()
        for name, number, by_entity, by_source, last, mean in state["sources"]:
            source = self._sources[name] = _Source(number)
            source.by_entity.restore(by_entity)
            source.by_source.restore(by_source)
            source.last, source.mean = last, mean


def _pack(counts: dict[int, int]) -> list[bytes]:
    return [
        np.fromiter(counts.keys(), np.uint64, len(counts)).tobytes(),
        np.fromiter(counts.values(), np.int64, len(counts)).tobytes(),
    ]


def _unpack(keys: bytes, values: bytes) -> dict[int, int]:
    return dict(zip(np.frombuffer(keys, np.uint64).tolist(), np.frombuffer(values, np.int64).tolist(), strict=True))
