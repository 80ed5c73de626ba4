"""The receivers' decode paths and the parser in this process, as fast as they go: most of a million hostile inputs.

Every way in makes records of inputs exactly as its receiver does; they are parsed, packed and framed as on their way
through the daemon. What escapes is a finding, and so is an input that takes the parser longer than `SLOW_S`, or an event
with a `parse_error`: the parser has caught itself.
"""

from __future__ import annotations

import os
import ssl
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from actors.parsing.parse import Parser
from actors.receivers.framing import Framing
from actors.receivers.journal_export import MAX_FIELD_BYTES, ExportDecoder, ExportError
from actors.receivers.otlp import _grpc_message
from actors.receivers.otlp_bounds import OtlpError, inflate, pack_records
from actors.receivers.otlp_json import decode_json
from actors.receivers.otlp_protobuf import decode_protobuf
from actors.receivers.syslog import MAX_MESSAGE_BYTES
from actors.receivers.tailing import MAX_LINE_BYTES, READ_BYTES, Tail
from actors.receivers.tls import CertificateFiles
from protocol.frames import event_frame
from protocol.messages import JudgedEvent, decode_events, decode_records, encode
from protocol.records import JournalRecord, OtlpRecord, Record
from tests.certificates import Authority
from tests.hostile import Hostile

NOW_NS = 1_778_686_199_998_000_000
SLOW_S = 0.1  # for one record of at most 64 KiB
MAX_FINDINGS = 20


class Finding(msgspec.Struct):
    """What should not have happened, and the input that made it happen."""

    way: str
    what: str
    input: bytes

    def text(self) -> str:
        return f"{self.way}: {self.what}\n    {self.input[:300]!r}{'...' if len(self.input) > 300 else ''}"


def syslog_record(body: bytes, cut: bool = False) -> Record:
    return Record(NOW_NS, "syslog", "syslog", "192.0.2.7", body, cut)


class Streams:
    """TCP: streams of framed messages in chunks of any size. A stream ends after some messages."""

    def __init__(self, hostile: Hostile) -> None:
        self._hostile = hostile
        self._framing = Framing(MAX_MESSAGE_BYTES)
        self._left = 50

    def __call__(self, raw: bytes) -> list[Record]:
        records = []
        for chunk in self._hostile.chunks(self._hostile.frame(raw)):
            records += [syslog_record(body, cut) for body, cut in self._framing.feed(chunk)]
            assert len(self._framing._buffer) <= MAX_MESSAGE_BYTES + 12, "a stream holds more than one message"
        self._left -= 1
        if self._left == 0:
            records += [syslog_record(body, cut) for body, cut in self._framing.close()]
            self._framing, self._left = Framing(MAX_MESSAGE_BYTES), 50
        assert all(0 < len(record.body) <= MAX_MESSAGE_BYTES for record in records)
        return records


class Handshakes:
    """TLS: bytes before, within and after the handshake, without a socket."""

    def __init__(self, hostile: Hostile, folder: Path) -> None:
        authority = Authority(folder)
        self._hostile = hostile
        self._context = CertificateFiles(*map(str, authority.issue("server"))).load()
        self._client = authority.client()
        self._framing = Framing(MAX_MESSAGE_BYTES)

    def __call__(self, raw: bytes) -> list[Record]:
        """Raises ssl.SSLError, as a handshake that failed or a connection that broke."""
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = self._context.wrap_bio(to_server, to_client, server_side=True)
        hidden, hello = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self._client.wrap_bio(hidden, hello, server_hostname="127.0.0.1")
        _try(client.do_handshake)
        first = hello.read()
        chance = self._hostile.random.random()
        to_server.write(raw if chance < 0.3 else self._hostile.mutate(first) if chance < 0.6 else first)
        if chance > 0.99:
            to_server.write_eof()
        _try(server.do_handshake)
        hidden.write(to_client.read())
        _try(client.do_handshake)
        second = hello.read()
        to_server.write(self._hostile.mutate(second) if chance < 0.8 else second)
        if not _try(server.do_handshake):
            return []
        client.write(self._hostile.frame(raw or b"x"))
        sent = hello.read()
        to_server.write(self._hostile.mutate(sent) if chance < 0.9 else sent)
        return [syslog_record(body, cut) for body, cut in self._framing.feed(server.read(65_536))]


def _try(handshake: Callable[[], None]) -> bool:
    try:
        handshake()
    except ssl.SSLWantReadError:
        return False
    return True


class Files:
    """A followed file that is written to, cut, torn and replaced under its reader."""

    def __init__(self, hostile: Hostile, folder: Path) -> None:
        self._random = hostile.random
        self._path = folder / "hostile.log"
        self._begin()

    def _begin(self) -> None:
        self._path.unlink(missing_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        self._tail = Tail(str(self._path), None, from_start=True)

    def __call__(self, raw: bytes) -> list[Record]:
        chance = self._random.random()
        os.lseek(self._file, 0, os.SEEK_END)
        if chance < 0.02:
            os.ftruncate(self._file, self._random.choice((0, self._random.randrange(self._tail.end + 1))))
        elif chance < 0.04:
            os.lseek(self._file, self._random.choice((1, 5_000, 200_000)), os.SEEK_END)  # a hole
        os.write(self._file, raw + (b"\n" if chance < 0.9 else b""))
        records = self._read()
        if chance > 0.99:
            records += self._records(self._tail.take_rest())
            cursor = self._tail.cursor()
            self._tail.close()
            self._tail = Tail(str(self._path), cursor, from_start=False)
        if self._tail.end > 4 << 20:
            self._tail.close()
            os.close(self._file)
            self._begin()
        return records

    def _read(self) -> list[Record]:
        records = []
        while (lines := self._tail.read(100)) is not None:
            records += self._records(lines)
            held = self._tail.end - self._tail.offset
            assert held <= MAX_LINE_BYTES + READ_BYTES, "more than a line and a chunk is held"
        return records

    def _records(self, lines: list) -> list[Record]:
        assert all(0 < len(line.body) <= MAX_LINE_BYTES for line in lines)
        return [Record(NOW_NS, "file", "line", str(self._path), line.body, line.cut) for line in lines]


class Journals:
    """What journalctl might write, in pieces of any size. A decoder that refuses is of no more use, and replaced."""

    def __init__(self, hostile: Hostile) -> None:
        self._hostile = hostile
        self._decoder = ExportDecoder()

    def __call__(self, raw: bytes) -> list[Record]:
        """Raises ExportError, as for a journalctl that has to be started again."""
        if self._hostile.random.random() < 0.1:
            self._decoder = ExportDecoder()  # a size that lies swallows all that follows it
        entries = []
        for piece in self._hostile.chunks(raw):
            try:
                entries += self._decoder.feed(piece)
            except ExportError:
                self._decoder = ExportDecoder()
                raise
            held = len(self._decoder._buffer) + len(self._decoder._value)
            assert held <= 2 * MAX_FIELD_BYTES + len(piece) + 200, "more than a field and a piece is held"
        return [
            Record(NOW_NS, "journald", "journal", "unit", encode(JournalRecord(entry.fields, entry.cut)), bool(entry.cut))
            for entry in entries
        ]


def otlp_records(decoded: list[OtlpRecord]) -> list[Record]:
    return [Record(NOW_NS, "otlp", "otlp", "192.0.2.7", one) for one in pack_records(decoded)]


class Report(msgspec.Struct):
    """What a run showed."""

    inputs: Counter[str]
    records: Counter[str]
    rejected: Counter[str]
    findings: list[Finding]
    seconds: float
    slowest_ms: float
    slowest: bytes
    first_half_mib: float  # the most resident memory
    second_half_mib: float
    templates: int

    def text(self) -> str:
        ways = "\n".join(
            f"  {way:14} {count:>9,} inputs  {self.records[way]:>9,} records  {self.rejected[way]:>9,} rejected"
            for way, count in sorted(self.inputs.items())
        )
        total = self.inputs.total()
        return "\n".join(
            (
                f"in this process: {total:,} inputs in {self.seconds:.0f} s ({total / max(self.seconds, 0.001):,.0f}/s)",
                ways,
                f"  slowest record {self.slowest_ms:.1f} ms: {self.slowest[:80]!r} ({len(self.slowest)} bytes)",
                f"  memory {self.first_half_mib:.0f} MiB in the first half, {self.second_half_mib:.0f} MiB in the second; "
                f"{self.templates:,} templates",
                f"  findings: {len(self.findings)}",
                *(finding.text() for finding in self.findings),
            )
        )


class Decoding:
    """See the module."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._hostile = hostile = Hostile(seed)
        self._parser = Parser()
        self._sequence = 1
        streams, files, handshakes = Streams(hostile), Files(hostile, folder), Handshakes(hostile, folder / "tls")
        self._ways: dict[str, tuple[float, Callable[[], bytes], Callable[[bytes], list[Record]]]] = {
            "udp": (30, hostile.line, lambda raw: [syslog_record(raw[:MAX_MESSAGE_BYTES])]),
            "tcp": (25, hostile.line, streams),
            "tls": (1, hostile.line, handshakes),
            "file": (15, hostile.line, files),
            "otlp_protobuf": (12, hostile.protobuf_request, self._protobuf),
            "otlp_json": (12, hostile.json_request, self._json),
            "journald": (8, hostile.journal, Journals(hostile)),
            "grpc": (5, self._grpc_body, lambda raw: otlp_records(decode_protobuf(_grpc_message(raw, "gzip")))),
        }
        self.report = Report(Counter(), Counter(), Counter(), [], 0.0, 0.0, b"", 0.0, 0.0, 0)

    def _protobuf(self, raw: bytes) -> list[Record]:
        return otlp_records(decode_protobuf(inflate(*self._hostile.encoded(raw))))

    def _json(self, raw: bytes) -> list[Record]:
        return otlp_records(decode_json(inflate(*self._hostile.encoded(raw))))

    def _grpc_body(self) -> bytes:
        message, coding = self._hostile.encoded(self._hostile.protobuf_request())
        if coding == "gzip" and self._hostile.random.random() < 0.8:
            return b"\1" + len(message).to_bytes(4) + message
        return self._hostile.grpc_frame(message)

    def run(self, inputs: int) -> Report:
        report = self.report
        names = list(self._ways)
        weights = [weight for weight, _, _ in self._ways.values()]
        began_s = time.perf_counter()
        for number in range(inputs):
            self._try(self._hostile.random.choices(names, weights)[0])
            if number % 1_000 == 0:
                half = "first_half_mib" if number < inputs // 2 else "second_half_mib"
                setattr(report, half, max(getattr(report, half), resident_mib()))
        report.seconds = time.perf_counter() - began_s
        report.templates = len(self._parser.drain)
        return report

    def _try(self, way: str) -> None:
        _, make, decode = self._ways[way]
        raw = make()
        self.report.inputs[way] += 1
        try:
            records = decode(raw)
        except (OtlpError, ExportError, ssl.SSLError):
            self.report.rejected[way] += 1
            return
        except Exception:
            self._find(way, traceback.format_exc(limit=-2), raw)
            return
        self.report.records[way] += len(records)
        for record in records:
            self._take(way, record)

    def _take(self, way: str, record: Record) -> None:
        try:
            (record,) = decode_records(encode([record]))
            began_s = time.thread_time()
            events, columns = self._parser.parse([record], 7, self._sequence)
            elapsed_s = time.thread_time() - began_s
            self._sequence += 1
            (event,) = decode_events(encode(events))
            columns.pack()
            msgspec.json.decode(event_frame(JudgedEvent(event, 0.5, 0.5, None)))
        except Exception:
            self._find(way, traceback.format_exc(limit=-2), record.body)
            return
        if error := event.fields.get("parse_error"):
            self._find(way, f"the parser caught itself: {error}", record.body)
        if elapsed_s > SLOW_S:
            elapsed_s = min(elapsed_s, *(self._time(record) for _ in range(2)))
            if elapsed_s > SLOW_S:
                self._find(way, f"one record takes {elapsed_s:.2f} s", record.body)
        if elapsed_s * 1000 > self.report.slowest_ms:
            self.report.slowest_ms, self.report.slowest = elapsed_s * 1000, record.body

    def _time(self, record: Record) -> float:
        parser = Parser()
        began_s = time.process_time()
        parser.parse([record], 7, 1)
        return time.process_time() - began_s

    def _find(self, way: str, what: str, raw: bytes) -> None:
        known = {finding.what[-80:] for finding in self.report.findings}
        if what[-80:] not in known and len(self.report.findings) < MAX_FINDINGS:
            self.report.findings.append(Finding(way, what, raw))


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def decode_hostile(inputs: int, seed: int) -> Report:
    """Run so many inputs through every way in; return what it showed."""
    with tempfile.TemporaryDirectory(prefix="tocsin-fuzz-") as folder:
        return Decoding(seed, Path(folder)).run(inputs)
