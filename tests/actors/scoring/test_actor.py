from __future__ import annotations

from pathlib import Path

import trio

from actors.scoring import actor as scoring_actor
from protocol.findings import Finding
from protocol.messages import Drafted, Findings
from protocol.packing import pack
from tests.fake_context import FakeContext

NOW_NS = 1_790_000_000_000_000_000


def finding(kind: str) -> Finding:
    return Finding("holt_winters", kind, "web", 0, NOW_NS, 1e-9, 120.0, 0.0, "events in 7 min")


def test_a_finding_is_an_alert_without_a_batch(tmp_path: Path) -> None:
    context = FakeContext(tmp_path, "scorer", alerts_per_day=2.0)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scoring_actor.run, context)
            context.deliver(Findings((finding("silence"), finding("burst"))))
            with trio.fail_after(5):
                while not context.sent:
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

    trio.run(main)
    ((to, judged, _),) = context.sent
    assert to == "alerts" and isinstance(judged, Drafted)
    assert [alert.rule_id for alert in judged.alerts] == ["silence", "volume_change"]


def test_a_journal_of_another_layout_is_a_cold_start_and_no_death(tmp_path: Path) -> None:
    async def start() -> FakeContext:
        context = FakeContext(tmp_path, "scorer", alerts_per_day=2.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scoring_actor.run, context)
            with trio.fail_after(5):
                while context.report.state != "ok":
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        return context

    trio.run(start)
    newest = max((tmp_path / "snapshots").glob("scorer.*.journal"))
    newest.write_bytes(pack(["of", "another", "version"]))
    again = trio.run(start)
    assert again.report.counters["unusable_snapshots"] == 1
    assert trio.run(start).report.counters["unusable_snapshots"] == 0, "what was written since is taken up"
