from __future__ import annotations

from pathlib import Path

import pytest
import trio

from actors.receivers import quarantine
from actors.receivers.intake import Intake, IntakeSettings
from actors.receivers.quarantine import QuarantineFolder
from protocol.messages import Isolate, Quarantine
from protocol.records import Record
from tests.fake_context import FakeContext, FakeRecorder

SETTINGS = IntakeSettings(window=100, spool_bytes=1 << 20)


def record(number: int) -> Record:
    return Record(number, "web", "syslog", "192.0.2.1", b"line %d" % number)


def test_a_record_that_kills_is_sent_alone_and_then_replaced_by_a_word(tmp_path: Path) -> None:
    context = FakeContext(tmp_path)
    recorder = FakeRecorder(context)

    async def wait_sent(count: int) -> None:
        with trio.fail_after(5):
            while len(context.batches()) < count:
                await trio.sleep(0.01)

    async def main() -> None:
        intake = Intake(context, SETTINGS)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(intake.run)
            intake.put_batch([record(number) for number in range(1, 6)])
            await wait_sent(1)
            tag = intake._log.tag
            context.say_verdict.send_nowait(Isolate(tag, 1, 5))
            context.announce_loss()
            await wait_sent(6)
            context.say_verdict.send_nowait(Quarantine(tag, 3, 3, "parser", "exited with status 1\nValueError: no"))
            context.announce_loss()
            await wait_sent(11)
            recorder._seen = 6  # what was sent before died with the parser
            recorder.take_all()
            with trio.fail_after(5):
                while intake.queue_depth:
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

    trio.run(main)
    batches = context.batches()
    assert [(key.first, key.count) for key, _ in batches[:6]] == [(1, 5), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]
    assert [each.body for each in recorder.committed] == [
        b"line 1",
        b"line 2",
        b"a record of 6 bytes was put aside: parser died of it (tocsin quarantine show " + held(tmp_path).encode() + b")",
        b"line 4",
        b"line 5",
    ]
    assert [key.before for key, _ in batches[6:]] == [0, 1, 2, 3, 4]
    assert context.report.counters["quarantined_records"] == 1


def held(folder: Path) -> str:
    (name,) = QuarantineFolder(folder).names()
    one = QuarantineFolder(folder).get(name)
    assert one.record == record(3) and one.actor == "parser" and one.reason.endswith("ValueError: no")
    return name


def test_a_new_incarnation_of_the_receiver_knows_what_was_put_aside(tmp_path: Path) -> None:
    first = Intake(FakeContext(tmp_path), SETTINGS)
    first.put_batch([record(1), record(2)])
    trio.run(first._isolation.put_aside, Quarantine(first._log.tag, 2, 2, "hst", "hung"))
    first._log.close()
    context = FakeContext(tmp_path)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Intake(context, SETTINGS).run)
            with trio.fail_after(5):
                while len(context.bodies()) < 2:
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert context.bodies()[0] == b"line 1" and b"put aside" in context.bodies()[1]


def test_a_disk_that_takes_no_more_holds_the_stream_back_and_kills_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = 0

    def refuse(path: Path, content: bytes) -> None:
        nonlocal refused
        refused += 1
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(quarantine, "write_whole", refuse)
    monkeypatch.setattr("actors.receivers.isolation.RETRY_S", 0.02)
    context = FakeContext(tmp_path)

    async def main() -> None:
        intake = Intake(context, SETTINGS)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(intake.run)
            intake.put_batch([record(1), record(2)])
            with trio.fail_after(5):
                while not context.batches():
                    await trio.sleep(0.01)
                context.say_verdict.send_nowait(Quarantine(intake._log.tag, 2, 2, "parser", "hung"))
                while refused < 3:
                    await trio.sleep(0.01)
                context.announce_loss()
                while refused < 6:
                    await trio.sleep(0.01)
            assert len(context.batches()) == 1, "the poison was sent again"
            assert context.report.state == "degraded" and "quarantine" in context.report.note
            monkeypatch.undo()
            with trio.fail_after(5):
                while len(context.bodies()) < 4:
                    await trio.sleep(0.01)
            assert not context.report.has("quarantine")
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert context.bodies()[2] == b"line 1" and b"put aside" in context.bodies()[3]


def test_the_quarantine_is_bounded_and_takes_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "MAX_FILES", 5)
    quarantined = QuarantineFolder(tmp_path)
    for number in range(1, 9):
        quarantined.put("syslog", 1, number, "parser", "", record(number))
    assert quarantined.names() == [f"syslog-1-{number}" for number in range(4, 9)]
    (tmp_path / "secret.msgpack").write_bytes(b"\xc0")
    for name in ("../secret", "", "syslog-1-1", "syslog-1-4.msgpack", "\0"):
        with pytest.raises(LookupError):
            quarantined.get(name)
    (tmp_path / "quarantine" / "syslog-1-5.msgpack").write_bytes(b"damaged")
    assert [one.sequence for one in quarantined.all()] == [4, 6, 7, 8]
    quarantined.delete("syslog-1-6")
    assert sorted(quarantined.of_spool(1)) == [4, 7, 8]
