"""Hostile inputs: mutations of a real corpus, and what a grammar would allow but nobody sends. Seeded."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tests.journal import export

GOLDEN = Path(__file__).parent / "golden"
LINES = [line for path in sorted(GOLDEN.glob("*/lines.txt")) for line in path.read_bytes().splitlines() if line]
OWN_LINES = [
    b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 "
    b'[exampleSDID@32473 iut="3" eventSource="App\\"l]"][x@1 y="z"] \xef\xbb\xbfAn application event',
    b"<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!",
    b"<189>29: foo: *Apr 29 13:58:40.411: %SYS-5-CONFIG_I: Configured from console by console",
    b"2015-10-18 18:01:47,978 INFO [main] org.apache.hadoop.mapreduce.v2.app.MRAppMaster: Created MRAppMaster",
    b"081109 203615 148 INFO dfs.DataNode$PacketResponder: PacketResponder 1 for block blk_38865049064139660 terminating",
    b"- 1117838570 2005.06.03 R02-M1-N0-C:J12-U11 2005-06-03-15.42.50.675872 R02-M1-N0-C:J12-U11 RAS KERNEL INFO x",
    b"[Sun Dec 04 04:47:44 2005] [notice] workerEnv.init() ok /etc/httpd/conf/workers2.properties",
    b"03-17 16:13:38.811  1702  2395 D WindowManager: printFreezingDisplayLogsopening app wtoken = AppWindowToken",
    b"type=SYSCALL msg=audit(1364481363.243:24287): arch=c000003e syscall=2 success=no exit=-13 a0=7fffd19c5592 "
    b'comm="cat" exe="/bin/cat" acct="root" proctitle=636174002F6574632F7373682F737368645F636F6E666967',
    b'192.0.2.7 - frank [10/Oct/2000:13:55:36 -0700] "GET /pb.gif?a=b HTTP/1.0" 200 2326 "http://a.example/" "Mozilla/4.08"',
    b'level=info ts=2026-05-13T15:29:59.998Z caller=main.go:7 msg="started \\"it\\"" user=root ip=2001:db8::17 took=1.5ms',
    b'{"time":"2026-05-13T15:29:59.998Z","level":"error","msg":"denied","user":{"name":"eve","ip":"192.0.2.9"},"n":[1,2.5,null]}',
    b'@cee:{"msg":"x","@timestamp":1364481363243,"severity":3}',
    b"COMMAND=/bin/su; TTY=pts/0 ; PWD=/home/a ; USER=root ; mail from <a.b@c.example.org> https://u:p@h.example/x?y#z "
    b"C:\\Windows\\System32\\cmd.exe SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU d41d8cd98f00b204e9800998ecf8427e",
]
CORPUS = LINES + OWN_LINES
WORDS = [
    b"<13>", b"<191>1 ", b"<999>", b"<", b"1 - - - - - ", b"[a b=\"", b"\\\"", b"]", b"\"", b"'", b"=", b":", b"::", b"/", b"\\",
    b"{", b"[", b"{\"a\":", b"audit(1.1:1):", b"msg=", b" user ", b"user=", b"for user ", b" from ", b"http://", b"@", b".",
    b"%", b"\x00", b"\r\n", b"\n", b"\t", b" ", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x94\x94", b"\xd9\xa3",
    b"\xe2\x80\xae", b"\x1b[31m", b"9", b"99999999999999999999", b"-1", b"1e999", b"NaN", b"0x", b"a", b"A", b"_", b"-",
    b"Jun 14 15:16:01 ", b"2026-05-13T15:29:59Z", b"1117838570 ", b"ERROR ", b"[pid 1] ", b"|", b"12 ", b"IPv6:", b"host=",
]  # fmt: skip
NUMBER = 48, 57
MAX_BYTES = 70_000


OTHER_VALUES: dict[str, object] = {"intValue": "7", "doubleValue": "NaN", "boolValue": True, "bytesValue": "AP8="}

class Hostile:
    """Makes inputs. Same seed, same inputs."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    # -- bytes

    def mutate(self, raw: bytes) -> bytes:
        """Return bytes with one to five mutations."""
        out = bytearray(raw)
        for _ in range(self.random.randint(1, 5)):
            self._mutate_once(out)
        return bytes(out[:MAX_BYTES])

    def _mutate_once(self, out: bytearray) -> None:
        chance, size = self.random.random(), len(out)
        place = self.random.randrange(size + 1)
        if chance < 0.15 and size:
            out[place % size] ^= 1 << self.random.randrange(8)
        elif chance < 0.25 and size:
            out[place % size] = self.random.randrange(256)
        elif chance < 0.55:
            out[place:place] = self.random.choice(WORDS)
        elif chance < 0.65:
            del out[place : place + self.random.randint(1, 40)]
        elif chance < 0.75:
            out[place:place] = out[place : place + self.random.randint(1, 60)]
        elif chance < 0.85:
            other = self.random.choice(CORPUS)
            out[place:] = other[self.random.randrange(len(other)) :]
        elif chance < 0.90:
            del out[place:]
        elif chance < 0.95:
            self._lengthen_number(out)
        else:
            out[place:place] = self.repeated(self.random.choice((10, 100, 1_000)))
            if self.random.random() < 0.05:
                out[place:place] = self.repeated(60_000)

    def repeated(self, size: int) -> bytes:
        """Return a few words over and over, at most `size` bytes: where a pattern that backtracks shows."""
        unit = b"".join(self.random.choice(WORDS) for _ in range(self.random.randint(1, 3)))
        return (unit * (size // len(unit) + 1))[:size]

    def _lengthen_number(self, out: bytearray) -> None:
        digits = [place for place, byte in enumerate(out) if NUMBER[0] <= byte <= NUMBER[1]]
        if digits:
            place = self.random.choice(digits)
            out[place:place] = b"9" * self.random.choice((5, 20, 100, 5_000))

    def line(self) -> bytes:
        """Return one message: a mutated line, words at random, or bytes at random."""
        chance = self.random.random()
        if chance < 0.85:
            return self.mutate(self.random.choice(CORPUS))
        if chance < 0.97:
            return b"".join(self.random.choice(WORDS) for _ in range(self.random.randint(0, 40)))
        return self.random.randbytes(self.random.randint(0, 300))

    def chunks(self, raw: bytes) -> list[bytes]:
        """Return bytes in chunks of any size."""
        places = sorted(self.random.randint(0, len(raw)) for _ in range(self.random.choice((0, 1, 3, 10))))
        return [raw[start:end] for start, end in zip([0, *places], [*places, len(raw)], strict=True) if end > start]

    def frame(self, message: bytes) -> bytes:
        """Return a message as it may come over TCP: counted, miscounted, ended by anything or by nothing."""
        chance = self.random.random()
        if chance < 0.35:
            return b"%d %s" % (len(message), message)
        if chance < 0.45:
            return b"%d %s" % (self.random.choice((0, 1, len(message) + 3, 10**8, 10**20)), message)
        return message + self.random.choice((b"\n", b"\n", b"\n", b"\r\n", b"\0", b""))

    def journal(self) -> bytes:
        """Return an entry of the journal in its export format, often damaged."""
        names = ("MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT", "_PID", "__REALTIME_TIMESTAMP", "SYSLOG_FACILITY",
                 "_SOURCE_REALTIME_TIMESTAMP", "_TRANSPORT", "_UID", "MESSAGE", "X")  # fmt: skip
        fields = [("MESSAGE", self.line())]
        for _ in range(self.random.randint(0, 6)):
            number = self.random.choice((b"6", b"1778686199998000", b"9" * 30, b"-1", b"x", b"\xd9\xa3"))
            fields.append((self.random.choice(names), self.line() if self.random.random() < 0.3 else number))
        raw = export([fields])
        return self.mutate(raw) if self.random.random() < 0.4 else raw

    # -- OTLP

    def any_value(self, depth: int = 0) -> dict[str, object]:
        chance = self.random.random()
        text = self.line().decode("utf-8", "replace")
        if chance < 0.6 or depth > 4:
            return {"stringValue": text}
        if chance < 0.7:
            return dict([self.random.choice(list(OTHER_VALUES.items()))])
        if chance < 0.8:
            number = self.random.choice(("7", 7, -1.5, 1 << 63, "9" * 40, "NaN", True, None))
            return {self.random.choice(("intValue", "doubleValue", "boolValue", "bytesValue", "stringValue")): number}
        inner = [self.any_value(depth + 1) for _ in range(self.random.randint(0, 3))]
        if chance < 0.9:
            return {"arrayValue": {"values": inner}}
        return {"kvlistValue": {"values": [{"key": "k", "value": value} for value in inner]}}

    def json_request(self) -> bytes:
        record = {
            "body": self.any_value(),
            "timeUnixNano": self.random.choice(("1778686199998000000", "0", 5, str((1 << 64) - 1), 7)),
            "severityNumber": self.random.choice((0, 9, 9, 17, 24, 25, "17", 9, 9, -1)),
            "severityText": "ERROR",
            "attributes": [{"key": "time", "value": self.any_value()}],
            "traceId": self.random.choice(("5b8efff798038103d269b633813fc60c",) * 9 + ("xyz",)),
        }
        request: object = {"resourceLogs": [{"resource": {"attributes": []}, "scopeLogs": [{"logRecords": [record]}]}]}
        if self.random.random() < 0.1:
            return b'{"resourceLogs":' + b"[" * self.random.choice((10, 1_000, 60_000))
        raw = json.dumps(request).encode()
        return self.mutate(raw) if self.random.random() < 0.4 else raw

    def protobuf_request(self) -> bytes:
        request = ExportLogsServiceRequest()
        logs = request.resource_logs.add()
        logs.resource.attributes.add(key="host.name").value.string_value = "web1"
        for _ in range(self.random.randint(1, 3)):
            record = logs.scope_logs.add().log_records.add(
                time_unix_nano=self.random.getrandbits(64), severity_number=self.random.randint(0, 30), trace_id=b"12345678"
            )
            value = record.body
            for _ in range(self.random.choice((0, 0, 0, 2, 40))):
                value = value.array_value.values.add() if self.random.random() < 0.5 else value.kvlist_value.values.add().value
            value.string_value = self.line().decode("utf-8", "replace")
        raw: bytes = request.SerializeToString()
        return self.mutate(raw) if self.random.random() < 0.5 else raw

    def encoded(self, raw: bytes) -> tuple[bytes, str]:
        """Return a body with its content coding, which may be a lie, damaged or a bomb."""
        chance = self.random.random()
        if chance < 0.7:
            return raw, ""
        if chance < 0.701:
            return gzip.compress(bytes(20 << 20), 1), "gzip"
        coding = self.random.choice(("gzip", "gzip", "deflate", "identity", "br"))
        packed = zlib.compress(raw, 1) if coding == "deflate" else gzip.compress(raw, 1)
        return self.mutate(packed) if chance < 0.8 else packed, coding

    def grpc_frame(self, message: bytes) -> bytes:
        """Return a message with its prefix, which may lie."""
        flag = self.random.choice((0,) * 8 + (1, 255))
        length = len(message) if self.random.random() < 0.8 else self.random.choice((0, 1, len(message) + 1, (1 << 32) - 1))
        return bytes([flag]) + length.to_bytes(4) + message
