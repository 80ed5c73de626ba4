"""Looking at the rules in force: what there is, what it does to a line or a stored event, what it would have done to the past.

The command line and REST use it alike. It reads what the sigma actor has left in the state directory (the library of rules,
and its snapshot with the settings, the counts and what came) and the store, and changes nothing. What may take long runs in
a process of its own, `python -m actors.sigma.inspection.workbench`: an order comes in as JSON, an answer goes out.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Literal

import msgspec

from actors.parsing.settings import ParserSettings
from actors.sigma.correlation.correlations import Correlation
from actors.sigma.inspection.backtest import Backtest, backtest
from actors.sigma.inspection.coverage import layer
from actors.sigma.inspection.judging import Bench, EventJudgements
from actors.sigma.inspection.unmatchable import Report, report
from actors.sigma.inventory import Seen
from actors.sigma.rules.collection import Collection, collect, is_own
from actors.sigma.rules.library import Document, Library
from actors.sigma.rules.rule import Refusal, Rule
from actors.sigma.settings import CACHE, Settings, read_snapshot
from actors.storage.queries import EventQuery, UnknownId
from actors.storage.store import open_store_reader
from protocol.clock import format_time
from protocol.findings import AlertSeverity
from protocol.records import Event, Record

PAGE_EVENTS = 1_000
MAX_LINES = 1_000  # that are tried at once
NICE = 10

Target = Rule | Correlation


class NotThere(LookupError):
    """There is no such rule or event; the message says which and what to do."""


class NotReady(Exception):
    """The daemon has not read its rules yet, or runs without."""


class Entry(msgspec.Struct, frozen=True):
    """A rule or correlation as it is listed."""

    id: str
    uuid: str
    title: str
    level: AlertSeverity
    kind: Literal["rule", "correlation"]
    logsource: str  # "" for correlations
    tags: list[str]
    description: str
    falsepositives: list[str]
    path: str
    line: int
    own: bool  # comes with Tocsin
    state: Literal["in force", "switched off", "refused"]
    silent: bool  # feeds a correlation and does not ring of its own
    matched: int | None  # events; null if nothing is known of it
    last_matched: str | None


class Listing(msgspec.Struct, frozen=True):
    rules: list[Entry]
    refused: list[Refusal]


class Choice(msgspec.Struct, frozen=True):
    """The rules and correlations that somebody asks about, within a collection that has all that they refer to."""

    collection: Collection
    targets: Sequence[Target]
    refused: Sequence[str] = ()  # what else is in their files, and why it is refused


class Workbench:
    """State: the rules, and what their actor knew of them when it left word last."""

    def __init__(self, library: Library, settings: Settings, known: dict[str, Any] | None, state_dir: Path) -> None:
        """`known`: the snapshot of the actor, None if there is none. `state_dir`: whose store is read."""
        self._documents: list[Document] = [*library.documents(), *library.refusals()]
        self._settings = settings
        self._state_dir = state_dir
        self._reader = open_store_reader(state_dir, quiet=True)
        engine = known["engine"] if known else {}
        self._matched: dict[str, tuple[int, int]] | None = None
        if "matched" in engine:
            self._matched = {rule: (count, last_ns) for rule, count, last_ns in engine["matched"]}
        self._seen = engine.get("seen")
        self.collection = self._collect(self._documents)
        self._in_force = {(each.id, each.path, each.line) for each in self.collection.all()}

    @classmethod
    def of_daemon(cls, state_dir: Path, library: Library | None = None) -> Workbench:
        """Return the workbench for the rules that the daemon of a state directory has in force. Raises NotReady.

        `library`: that of the state directory, if it is read already.
        """
        known = read_snapshot(state_dir)
        if known is None or "settings" not in known:
            raise NotReady("the rules are not read yet; ask again in a few seconds")
        settings = msgspec.convert(known["settings"], Settings)
        library = Library.open(state_dir / CACHE) if library is None else library
        return cls(library, settings, known, state_dir)

    def _collect(self, documents: Iterable[Document]) -> Collection:
        return collect(documents, self._settings.disabled, [each.rule for each in self._settings.exceptions])

    # -- what there is

    def listing(self) -> Listing:
        """Return all rules and correlations, in the order of their files, and what is refused."""
        found = [self._entry(each) for each in self._documents if isinstance(each, Rule | Correlation)]
        return Listing(found, list(self.collection.refusals))

    def entry(self, name: str) -> Entry:
        """Return one of the list by its id or UUID. Raises NotThere."""
        found = [each for each in self.listing().rules if name in (each.id, each.uuid)]
        if not found:
            raise NotThere(f"there is no rule {name}")
        return next((each for each in found if each.state == "in force"), found[0])

    def _entry(self, document: Target) -> Entry:
        matched = None if self._matched is None else self._matched.get(document.id, (0, 0))
        state = self._state(document)
        return Entry(
            document.id,
            document.uuid,
            document.title,
            document.level,
            "rule" if isinstance(document, Rule) else "correlation",
            document.meant_for() if isinstance(document, Rule) else "",
            list(document.tags),
            document.description,
            list(document.falsepositives),
            document.path,
            document.line,
            is_own(document),
            state,
            state == "in force" and document.id in self.collection.silent,
            matched[0] if matched and state == "in force" else None,
            format_time(matched[1]) if matched and matched[0] and state == "in force" else None,
        )

    def _state(self, document: Target) -> Literal["in force", "switched off", "refused"]:
        if (document.id, document.path, document.line) in self._in_force:
            return "in force"
        return "switched off" if {document.id, document.uuid} & set(self._settings.disabled) else "refused"

    def coverage(self) -> dict[str, Any]:
        """Return the rules in force as a layer of the ATT&CK Navigator."""
        return layer(self.collection.all())

    def never(self) -> Report:
        """Return which rules can never match what came. Raises NotReady if it is not known what came."""
        if self._seen is None:
            raise NotReady("it is not known what came: no daemon has run with rules on this state directory, or it is unreadable")
        seen = Seen()
        seen.restore(self._seen)
        return report(self.collection, seen)

    # -- what it does

    def choose(self, name: str) -> Choice:
        """Return the rule or correlation in force of a name or UUID. Raises NotThere."""
        found = self.collection.find(name)
        if found is None:
            state = self.entry(name).state
            raise NotThere(f"{name} is {state}" + ("; see: tocsin rules check" if state == "refused" else " in rules.disabled"))
        return Choice(self.collection, [found])

    def choose_from(self, documents: Sequence[Document]) -> Choice:
        """Return what some documents hold, together with what is in force and not of their names. Raises NotThere."""
        mine = [each for each in documents if isinstance(each, Rule | Correlation)]
        names = {each.id for each in mine}
        others = [each for each in self._documents if not (isinstance(each, Rule | Correlation) and each.id in names)]
        collection = self._collect([*documents, *others])
        targets = [each for each in collection.all() if each.id in names]
        paths = {each.path for each in documents}
        refused = [str(each) for each in collection.refusals if each.path in paths]
        if not targets:
            raise NotThere("; ".join(refused) or "there is no rule in it")
        return Choice(collection, targets, refused)

    def test(self, choice: Choice, lines: Sequence[bytes], now_ns: int, zone: tzinfo = UTC) -> list[EventJudgements]:
        """Read lines as syslog would, and judge them one after the other."""
        records = [Record(now_ns, "syslog", "syslog", "", line) for line in lines]
        parser = msgspec.structs.replace(ParserSettings.of_daemon(self._state_dir), zones={}).parser(zone)
        events, _ = parser.parse(records, 1, 1)
        bench = Bench(choice.collection, choice.targets, self._settings.exceptions)
        return [bench.take(event) for event in events]

    def why(self, choice: Choice, event_id: str) -> EventJudgements:
        """Judge a stored event clause by clause. Raises NotThere."""
        try:
            event = self._reader.event(event_id).event
        except (UnknownId, ValueError) as error:
            raise NotThere(f"no event is stored under the id {event_id[:80]}") from error
        return Bench(choice.collection, choice.targets, self._settings.exceptions).look(event)

    def backtest(self, choice: Choice, since_ns: int | None, until_ns: int | None, go_on: Callable[[int, int], bool]) -> Backtest:
        """Judge what is stored of a span of time."""
        pages = self._pages(since_ns, until_ns)
        return backtest(choice.collection, choice.targets, self._settings.exceptions, pages, go_on)

    def _pages(self, since_ns: int | None, until_ns: int | None) -> Iterator[list[Event]]:
        cursor: int | None = None
        while True:
            query = EventQuery(since_ns=since_ns, until_ns=until_ns, cursor=cursor, limit=PAGE_EVENTS)
            page, cursor = self._reader.events(query)
            yield [each.event for each in page]
            if cursor is None:
                return


# -- the process of its own


class Order(msgspec.Struct):
    """What the process is to do."""

    do: Literal["test", "why", "backtest"]
    state_dir: str
    rule: str
    lines: list[str] = []
    event: str = ""
    since_ns: int | None = None
    until_ns: int | None = None
    max_s: float = 25.0  # a backtest stops after so long and says so


class Answer(msgspec.Struct):
    """What came of it: with a status of HTTP other than 200 the body says why, as text."""

    status: int
    body: msgspec.Raw


def obey(order: Order) -> Answer:
    """Do what is ordered."""
    try:
        return Answer(200, msgspec.Raw(msgspec.json.encode(_do(order))))
    except NotThere as error:
        return Answer(404, msgspec.Raw(msgspec.json.encode(str(error))))
    except NotReady as error:
        return Answer(503, msgspec.Raw(msgspec.json.encode(str(error))))


def _do(order: Order) -> Any:
    workbench = Workbench.of_daemon(Path(order.state_dir))
    choice = workbench.choose(order.rule)
    if order.do == "test":
        lines = [line.encode("utf-8", "surrogateescape") for line in order.lines]
        return {"lines": workbench.test(choice, lines, time.time_ns())}
    if order.do == "why":
        return workbench.why(choice, order.event)
    end_s = time.monotonic() + order.max_s
    return workbench.backtest(choice, order.since_ns, order.until_ns, lambda read, ns: time.monotonic() < end_s)


def main() -> int:
    """Do what is ordered on standard input and answer on standard output; return the exit status."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    os.nice(NICE)
    limit_s = int(order.max_s) + 5  # should its parent be gone
    resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s))
    sys.stdout.buffer.write(msgspec.json.encode(obey(order)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
