"""The bus between actors: messages go along bounded edges and come out of an inbox in their order.

Another bus (of a broker) is a class with these methods that passes the laws of `tests/actors/test_bus.py`. It has to promise
little: a message may be lost with the process that holds it. Everything that matters stands in a record log
(`actors/record_log.py`) until it is committed, and is sent again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from protocol.messages import Frame, Header


class Bus(Protocol):
    """The bus as one actor sees it."""

    def messages(self) -> AsyncIterator[tuple[Header, Sequence[Frame]]]:
        """Yield what arrives, until the actor is told to drain and its inbox is empty.

        The messages of one sender come in the order in which they were sent. Cancelled while it waits, nothing is taken.
        """
        ...

    async def emit(self, header: Header, frames: Sequence[Frame] = (), *, to: str = "") -> tuple[str, ...]:
        """Send a message along every edge that the child spec has for its type; return the actors that were given it.

        An edge that waits is waited for while it is full; one that drops counts the drop. `to`: along this edge only.
        Cancelled while it waits, the edges before have the message, that one and those behind it have not.
        Raises LookupError for a type of message that no route lets this actor send.
        """
        ...

    def emit_nowait(self, header: Header, frames: Sequence[Frame] = (), *, to: str = "") -> tuple[str, ...]:
        """Do the same without waiting: an edge that is full drops the message, whatever its policy, and counts it."""
        ...
