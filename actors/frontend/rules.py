"""Rules over REST: light queries run here in a thread, heavy ones in a process of their own.

Light is the list, a rule, coverage and what can never match. To try a rule on lines, on a stored event or on the past may take
seconds of a whole core: those run as `python -m actors.sigma.inspection.workbench`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from actors.frontend.heavy import Heavy
from actors.frontend.lines import lines_of
from actors.frontend.rest import Parameters, Problem
from actors.sigma.inspection.workbench import Answer, NotReady, NotThere, Order, Workbench
from actors.sigma.rules.library import Library
from actors.sigma.settings import CACHE

BACKTEST_S = 20.0  # then it stops by itself and tells how far it came

View = Literal["list", "coverage", "never"]


class RuleDesk:
    """State: the library of rules as it was read last, as large as the rules are."""

    def __init__(self, state_dir: Path, heavy: Heavy) -> None:
        self._state_dir = state_dir
        self._library: tuple[tuple[int, int], Library] | None = None
        self._heavy = heavy

    # -- light

    def view(self, what: View) -> bytes:
        """Return the list, the layer of the ATT&CK Navigator, or what can never match. Raises Problem."""
        try:
            workbench = self._workbench()
            views = {"list": workbench.listing, "coverage": workbench.coverage, "never": workbench.never}
            return msgspec.json.encode(views[what]())
        except NotReady as error:
            raise _not_ready(str(error)) from error

    def rule(self, name: str) -> bytes:
        """Return one rule by its id or UUID. Raises Problem."""
        try:
            return msgspec.json.encode(self._workbench().entry(name))
        except NotReady as error:
            raise _not_ready(str(error)) from error
        except NotThere as error:
            raise Problem(404, "Not found", str(error)) from error

    def _workbench(self) -> Workbench:
        """Return the workbench over what the actor left; the library is read again only if it is another one."""
        path = self._state_dir / CACHE
        try:
            status = path.stat()
        except OSError as error:
            raise NotReady("the rules are not read yet; ask again in a few seconds") from error
        signature, kept = (status.st_mtime_ns, status.st_size), self._library
        library = kept[1] if kept is not None and kept[0] == signature else Library.open(path)
        self._library = signature, library
        return Workbench.of_daemon(self._state_dir, library)

    # -- heavy

    async def test(self, rule: str, body: bytes) -> bytes:
        """Try a rule on lines of text. Raises Problem."""
        lines = [line.decode("utf-8", "replace") for line in lines_of(body)]
        return await self._obey(Order("test", str(self._state_dir), rule, lines=lines))

    async def why(self, rule: str, given: Mapping[str, str]) -> bytes:
        """Tell why a rule matches a stored event or not. Raises Problem."""
        event = Parameters(given, frozenset({"event"})).take("event", str, "the id of an event")
        if event is None:
            raise Problem(400, "Bad parameter", "event is missing: the id of an event")
        return await self._obey(Order("why", str(self._state_dir), rule, event=event))

    async def backtest(self, rule: str, given: Mapping[str, str]) -> bytes:
        """Run a rule on a span of the past. Raises Problem."""
        parameters = Parameters(given, frozenset({"since", "until"}))
        since_ns, until_ns = parameters.time("since"), parameters.time("until")
        order = Order("backtest", str(self._state_dir), rule, since_ns=since_ns, until_ns=until_ns, max_s=BACKTEST_S)
        return await self._obey(order)

    async def _obey(self, order: Order) -> bytes:
        """Have a process carry out an order. Raises Problem."""
        return _body_of(await self._heavy.run("actors.sigma.inspection.workbench", msgspec.json.encode(order), "tocsin rules"))


def _body_of(raw: bytes) -> bytes:
    answer = msgspec.json.decode(raw, type=Answer)
    if answer.status == 404:
        raise Problem(404, "Not found", msgspec.json.decode(answer.body, type=str))
    if answer.status != 200:
        raise _not_ready(msgspec.json.decode(answer.body, type=str))
    return bytes(answer.body)


def _not_ready(detail: str) -> Problem:
    return Problem(503, "Starting", detail)
