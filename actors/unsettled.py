"""Messages of an actor that belong to no batch and may be lost on the way: they are sent again, at least once.

A finding or an alert that belongs to no batch is in nobody's spool. Its sender keeps it, and sends it again when it was
started anew and when something downstream was lost. Its alert has an id made of its cause, so one that came already is
not shown again.

State: the newest `MAX_KEPT`, which the snapshot holds too. The oldest give way: whatever was said so long ago has either
arrived or is of no more use to a person.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from actors.context import Context
from protocol.messages import Header

MAX_KEPT = 256

T = TypeVar("T", bound=msgspec.Struct)


class Unsettled(Generic[T]):
    """The newest messages that were sent without a batch, oldest first."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._kept: OrderedDict[str, T] = OrderedDict()  # {cause: what was said}

    def add(self, cause: str, said: T) -> bool:
        """Keep a message that is being sent; tell whether its cause is new. If not, it replaces the earlier one."""
        is_new = cause not in self._kept
        self._kept[cause] = said
        self._kept.move_to_end(cause)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return is_new

    def all(self) -> list[T]:
        return list(self._kept.values())

    async def keep_sending(self, context: Context, message: Callable[[Sequence[T]], Header]) -> None:
        """Send all again: now, for this is a start, and whenever something downstream was lost; until cancelled."""
        while True:
            if kept := self.all():
                await context.emit(message(kept))
            await context.wait_resend()

    def snapshot(self) -> list[Any]:
        """Return the state as plain data."""
        return [[cause, msgspec.to_builtins(said)] for cause, said in self._kept.items()]

    def restore(self, state: Iterable[Any]) -> None:
        """Take up the state of `snapshot`. Raises ValueError for another layout."""
        self._kept = OrderedDict((cause, msgspec.convert(said, self._kind)) for cause, said in state)
