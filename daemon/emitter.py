"""Sends an actor's messages along the edges that its child spec names; the actor does not know the receivers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from daemon.transport import Outbox, Post
from protocol.edges import ALL_FRAMES, Edge, Outputs
from protocol.messages import MESSAGES, Frame, Header, encode_message, type_name


class UndeclaredMessage(LookupError):
    """An actor has emitted a type of message for which no route of `daemon/routes.py` begins at it."""


class Emitter:
    """The edges that lead out of one actor. `statistics()` of the post counts what passes over them."""

    def __init__(self, post: Post, actor: str, outputs: Outputs) -> None:
        self._post = post
        self._actor = actor
        self._edges: dict[type[Header], tuple[tuple[Edge, Outbox], ...]] = {}
        self.rewire(outputs)

    def rewire(self, outputs: Outputs) -> None:
        """Take other edges; those to actors that are not among them any more are closed when what was sent is out."""
        before = {edge.to for edges in self._edges.values() for edge, _ in edges}
        self._edges = {
            MESSAGES[message]: tuple((edge, self._post.outbox(edge.to, bound=edge.bound)) for edge in edges)
            for message, edges in outputs.items()
        }
        for gone in before - {edge.to for edges in self._edges.values() for edge, _ in edges}:
            self._post.forget(gone, "data")

    def _along(self, header: Header, to: str) -> Iterator[tuple[Edge, Outbox]]:
        """Yield the edges that a message takes. Raises UndeclaredMessage."""
        edges = self._edges.get(type(header))
        if edges is None:
            raise UndeclaredMessage(f"{self._actor} emits {type_name(type(header))}, which no route declares")
        return ((edge, outbox) for edge, outbox in edges if not to or edge.to == to)

    async def emit(self, header: Header, frames: Sequence[Frame] = (), *, to: str = "") -> tuple[str, ...]:
        """See `actors.context.Context.emit`."""
        parts, given = encode_message(header, frames), []
        for edge, outbox in self._along(header, to):
            cut = _cut(parts, edge)
            if edge.when_full == "wait":
                await outbox.send_parts(cut)
            elif not outbox.send_parts_nowait(cut):
                continue
            given.append(edge.to)
        return tuple(given)

    def emit_nowait(self, header: Header, frames: Sequence[Frame] = (), *, to: str = "") -> tuple[str, ...]:
        """See `actors.context.Context.emit_nowait`."""
        parts = encode_message(header, frames)
        return tuple(edge.to for edge, outbox in self._along(header, to) if outbox.send_parts_nowait(_cut(parts, edge)))


def _cut(parts: list[Frame], edge: Edge) -> Sequence[Frame]:
    """Return the parts of a message that this edge carries."""
    return parts if edge.frames == ALL_FRAMES else parts[: 1 + edge.frames]
