"""Actions of people on their way to the recorder, and its answers on their way back.

An action counts once it is committed. Where the answer does not come in time it is not known whether it was: the same
action, sent again under its id, is done once and gets the same answer.
"""

from __future__ import annotations

import trio

from actors.context import Context
from actors.frontend.rest import Problem
from protocol.messages import Action, ActionDone

ANSWER_S = 5.0
MAX_WAITING = 64  # actions at once


class _Wait:
    """Those who wait for the answer to one action."""

    def __init__(self, action: Action) -> None:
        self.action = action
        self.people = 0
        self.answered = trio.Event()
        self.done = ActionDone(action.id)


class ActionDesk:
    """State: the actions that are not answered yet, at most `MAX_WAITING`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._waits: dict[str, _Wait] = {}  # {id of the action: who waits}

    async def submit(self, action: Action) -> ActionDone:
        """Have an action committed; return its place in the log. Raises Problem if it is refused, or nobody answers.

        Cancelled, it may be committed all the same: the same action under the same id tells.
        """
        wait = self._begin(action)
        wait.people += 1
        try:
            with trio.move_on_after(ANSWER_S):
                await self._context.emit(action)
                await wait.answered.wait()
        finally:
            wait.people -= 1
            if not wait.people:
                del self._waits[action.id]
        if not wait.answered.is_set():
            text = f"the recorder has not answered within {ANSWER_S:g} s; send it again under the same id: it is done once"
            raise Problem(503, "Not answered", text)
        if wait.done.refusal:
            raise Problem(409, "Refused", wait.done.refusal)
        return wait.done

    def _begin(self, action: Action) -> _Wait:
        known = self._waits.get(action.id)
        if known is None:
            if len(self._waits) >= MAX_WAITING:
                raise Problem(503, "Busy", f"{MAX_WAITING} actions wait for the recorder already; try again")
            known = self._waits[action.id] = _Wait(action)
        elif known.action != action:
            raise Problem(409, "Refused", f"another action has the id {action.id[:40]}: give this one an id of its own")
        return known

    def take(self, done: ActionDone) -> None:
        """Take an answer; one that nobody waits for is dropped."""
        if (wait := self._waits.get(done.id)) is not None:
            wait.done = done
            wait.answered.set()
