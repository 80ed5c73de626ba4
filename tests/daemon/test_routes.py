"""Routes, the edges that follow from them, and what an actor emits along them, over real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from daemon.configuration_loader import read_configuration
from daemon.emitter import Emitter, UndeclaredMessage
from daemon.routes import ROUTES, SUPERVISOR, outputs_of, wires
from daemon.topology import ChildSpec, child_specs
from daemon.transport import Post
from protocol.columns import COLUMN_FRAMES
from protocol.messages import MESSAGES, Acknowledged, BatchKey, Events, Parsed, Records, type_name


def specs(**environment: str) -> dict[str, ChildSpec]:
    return {spec.name: spec for spec in child_specs(read_configuration(None, environment))}


def test_every_message_has_a_route() -> None:
    assert {type_name(route.message) for route in ROUTES} == MESSAGES.keys()


def test_a_detector_that_is_off_hears_nothing_and_an_actor_that_is_on_hears_something() -> None:
    for environment in ({}, {"TOCSIN_DETECTORS__HST__ENABLED": "false"}, {"TOCSIN_RULES__ENABLED": "false"}):
        actors = specs(**environment)
        heard = {edge.to for spec in actors.values() for edges in spec.outputs.values() for edge in edges}
        assert heard == actors.keys()


def test_detectors_get_the_columns_and_sigma_the_events() -> None:
    edges = {edge.to: edge for edge in specs()["parser"].outputs["events"]}
    assert edges["sigma"].frames == -1 and edges["hst"].frames == COLUMN_FRAMES
    assert {edge.when_full for edge in edges.values()} == {"drop"}


def test_edges_of_one_pair_agree_in_their_bound() -> None:
    bounds: dict[tuple[str, str, str], set[int]] = {}
    for wire in wires({name: spec.kind for name, spec in specs().items()}):
        bounds.setdefault((wire.plane, wire.sender, wire.edge.to), set()).add(wire.edge.bound)
    assert all(len(each) == 1 for each in bounds.values())


async def _emit(tmp_path: Path) -> None:
    kinds = {"parser": "parser", "hst": "detector", "scorer": "scorer"}
    sender, hst, scorer = (Post(tmp_path, name, bound=2) for name in kinds)
    inboxes = {name: post.inbox("data") for name, post in (("hst", hst), ("scorer", scorer))}
    emitter = Emitter(sender, "parser", outputs_of("parser", "parser", kinds))
    key = BatchKey("syslog", 1, 0, 1, 1)
    frames = [bytes(10_000)] * COLUMN_FRAMES + [b"events"]  # 500 of these are more than the kernel holds
    try:
        assert await emitter.emit(Events(key, ("a",)), frames) == ("hst",)
        assert await emitter.emit(Parsed(key, ("a",), ("hst",)), frames) == ("scorer",)
        assert [len((await inboxes[name].receive())[1]) for name in ("hst", "scorer")] == [COLUMN_FRAMES, COLUMN_FRAMES + 1]
        with pytest.raises(UndeclaredMessage, match="parser emits records"):
            await emitter.emit(Records(key))
        given = [emitter.emit_nowait(Events(key, ("a",)), frames) for _ in range(500)]
        assert given[0] == ("hst",) and given[-1] == (), "a full edge drops"
        assert sender.statistics()["hst"].dropped == given.count(())
        emitter.rewire(outputs_of("parser", "parser", kinds | {"cusum": "detector"}))
        assert emitter.emit_nowait(Events(key, ("a",)), frames, to="cusum") == ("cusum",)
        emitter.rewire(outputs_of("parser", "parser", {"parser": "parser", "scorer": "scorer"}))
        assert emitter.emit_nowait(Events(key, ("a",)), frames) == ()
        assert sender.statistics().keys() == {"scorer"}
    finally:
        for post in (sender, hst, scorer):
            post.close()


def test_an_actor_emits_along_its_edges(tmp_path: Path) -> None:
    trio.run(_emit, tmp_path)


def test_an_acknowledgement_goes_to_one_receiver() -> None:
    edges = outputs_of("recorder", "recorder", {"syslog": "receiver", "file": "receiver"})[type_name(Acknowledged)]
    assert [edge.to for edge in edges] == ["syslog", "file"]
    assert outputs_of(SUPERVISOR, SUPERVISOR, {}) == {"notice": (), "status": (), "request": ()}
