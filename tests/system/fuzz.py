"""A million hostile inputs: most of them in this process (`tests.decoding`), the rest over real sockets and a real file.

Over sockets each way in has to account for every input: what was accepted, refused and dropped adds up to what was sent. At
the end nothing may have restarted, everything accepted has to be stored, and a good line has to come through as ever.

`python -m tests.system.fuzz --inputs 1000000 --seed 1` prints the report; a short form runs with the tests.
"""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import msgspec

from actors.receivers.framing import Framing
from actors.receivers.otlp import GRPC_PATH, _grpc_message
from actors.receivers.otlp_bounds import OtlpError, inflate
from actors.receivers.otlp_json import decode_json
from actors.receivers.otlp_protobuf import decode_protobuf
from actors.receivers.syslog import MAX_MESSAGE_BYTES
from tests.certificates import Authority
from tests.daemon_process import DaemonProcess, free_ports
from tests.decoding import Report as DecodingReport
from tests.decoding import decode_hostile
from tests.hostile import Hostile

MESSAGES_A_STREAM = 20
MAX_DATAGRAM = 60_000
SHARE = 0.03  # of the inputs go over sockets


class Account(msgspec.Struct):
    """One way in: what was sent, and what the daemon says became of it."""

    inputs: int = 0
    sent: int = 0  # records that were in them, or inputs that cannot be accepted
    accepted: int = 0
    rejected: int = 0
    dropped: int = 0

    @property
    def missing(self) -> int:
        return self.sent - self.accepted - self.rejected - self.dropped


class Report(msgspec.Struct):
    """What the sockets showed."""

    accounts: dict[str, Account]
    restarts: dict[str, int]
    accepted: int
    committed: int
    good_line_s: float
    first_half_kib: dict[str, int]  # the most resident memory of each process
    second_half_kib: dict[str, int]
    seconds: float

    def faults(self) -> list[str]:
        found = [f"{way}: {each.missing} inputs are not accounted for" for way, each in self.accounts.items() if each.missing]
        found += [f"{name} was restarted {count} times" for name, count in self.restarts.items() if count]
        if self.accepted != self.committed:
            found.append(f"{self.accepted} records were accepted, {self.committed} committed")
        return found

    def text(self) -> str:
        lines = [f"over sockets: {sum(each.inputs for each in self.accounts.values()):,} inputs in {self.seconds:.0f} s"]
        for way, each in self.accounts.items():
            lines.append(
                f"  {way:10} {each.inputs:>8,} inputs: sent {each.sent:,} = accepted {each.accepted:,} + rejected "
                f"{each.rejected:,} + dropped {each.dropped:,} (missing {each.missing})"
            )
        lines.append(f"  accepted {self.accepted:,}, committed {self.committed:,}; restarts {sum(self.restarts.values())}")
        lines.append(f"  a good line at the end took {self.good_line_s:.2f} s to the store")
        lines.append("  resident memory in MiB, first half and second:")
        for name, first in sorted(self.first_half_kib.items()):
            lines.append(f"    {name:12} {first / 1024:6.1f} {self.second_half_kib.get(name, 0) / 1024:6.1f}")
        return "\n".join([*lines, *(f"  FAULT {fault}" for fault in self.faults())])


class Memory(threading.Thread):
    """Looks at the resident memory of every process twice a second."""

    def __init__(self, daemon: DaemonProcess) -> None:
        super().__init__(daemon=True)
        self._processes = daemon.processes()
        self._over = threading.Event()
        self.halves: tuple[dict[str, int], dict[str, int]] = ({}, {})
        self.half = 0

    def run(self) -> None:
        while not self._over.wait(0.5):
            most = self.halves[self.half]
            for name, pid in self._processes.items():
                with suppress(OSError, StopIteration):
                    status = Path(f"/proc/{pid}/status").read_text().splitlines()
                    kib = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
                    most[name] = max(most.get(name, 0), kib)

    def finish(self) -> None:
        self._over.set()
        self.join(5)


class GrpcClient:
    """One HTTP/2 connection that sends what it is told to, prefix and all."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._flush()

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())

    def call(self, body: bytes, encoding: str = "gzip") -> int:
        """Return the status of a call."""
        stream = self._h2.get_next_available_stream_id()
        headers = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", GRPC_PATH), ("te", "trailers"),
                   ("content-type", "application/grpc"), ("grpc-encoding", encoding)]  # fmt: skip
        self._h2.send_headers(stream, headers)
        status = None
        while status is None:
            while body and (window := self._h2.local_flow_control_window(stream)):
                part = body[: min(window, self._h2.max_outbound_frame_size)]
                body = body[len(part) :]
                self._h2.send_data(stream, part)
            if not body and stream:
                self._h2.end_stream(stream)
                stream = 0
            self._flush()
            for event in self._h2.receive_data(self._socket.recv(65_536)):
                if isinstance(event, h2.events.DataReceived):
                    self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.TrailersReceived):
                    status = int(dict(event.headers)["grpc-status"])  # type: ignore[index]
                elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                    raise ConnectionError(f"the call ended with {event}")
        return status

    def close(self) -> None:
        self._socket.close()


class Fuzzing:
    """Every way in of one daemon."""

    def __init__(self, daemon: DaemonProcess, authority: Authority, tls_port: int, log: Path, seed: int) -> None:
        self._daemon, self._tls_port, self._log = daemon, tls_port, log
        self._client = authority.client()
        self._hostile = Hostile(seed)
        self.accounts: dict[str, Account] = defaultdict(Account)

    def round(self, inputs: int) -> None:
        """Send so many inputs, spread over all ways."""
        for way, share in (
            (self.udp, 0.3), (self.tcp, 0.25), (self.tls, 0.1), (self.file, 0.15), (self.otlp_http, 0.12), (self.grpc, 0.08),
        ):  # fmt: skip
            way(max(MESSAGES_A_STREAM, int(inputs * share)))

    def counter(self, actor: str, *names: str) -> int:
        counters = self._daemon.actor(actor)["counters"]
        return sum(counters.get(name, 0) for name in names)

    def _settle(self, actor: str, before: tuple[int, int, int], account: Account, sent: int, rejects: tuple[str, ...]) -> None:
        """Wait until the daemon has accounted for what was sent, or does no more; note what it says."""
        last, since_s = None, time.monotonic()
        while True:
            now = self._standing(actor, rejects)
            gained = tuple(after - earlier for after, earlier in zip(now, before, strict=True))
            if now != last:
                last, since_s = now, time.monotonic()
            if sum(gained) == sent or time.monotonic() > since_s + 5:
                break
            time.sleep(0.2)
        account.sent += sent
        account.accepted += gained[0]
        account.rejected += gained[1]
        account.dropped += gained[2]

    def _standing(self, actor: str, rejects: tuple[str, ...]) -> tuple[int, int, int]:
        drops = ("dropped_kernel_udp", "dropped_spool_full", "dropped_spool_error")
        return self.counter(actor, "accepted_records", "joined_lines"), self.counter(actor, *rejects), self.counter(actor, *drops)

    def udp(self, inputs: int) -> None:
        before = self._standing("syslog", ())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            for number in range(inputs):
                udp.sendto(self._hostile.line()[:MAX_DATAGRAM], ("127.0.0.1", self._daemon.syslog))
                if number % 100 == 0:
                    time.sleep(0.005)
        account = self.accounts["udp"]
        account.inputs += inputs
        self._settle("syslog", before, account, inputs, ())

    def _stream(self) -> tuple[list[bytes], int]:
        """Return a stream in chunks, and how many records it holds."""
        stream = b"".join(self._hostile.frame(self._hostile.line()) for _ in range(MESSAGES_A_STREAM))
        framing = Framing(MAX_MESSAGE_BYTES)
        return self._hostile.chunks(stream), len(framing.feed(stream)) + len(framing.close())

    def tcp(self, inputs: int) -> None:
        before = self._standing("syslog", ())
        sent = 0
        for _ in range(inputs // MESSAGES_A_STREAM):
            chunks, records = self._stream()
            with socket.create_connection(("127.0.0.1", self._daemon.syslog), timeout=30) as tcp:
                for chunk in chunks:
                    tcp.sendall(chunk)
                tcp.shutdown(socket.SHUT_WR)
                while tcp.recv(4_096):
                    pass
            sent += records
        account = self.accounts["tcp"]
        account.inputs += inputs
        self._settle("syslog", before, account, sent, ())

    def tls(self, inputs: int) -> None:
        """Half the connections never get through their handshake."""
        before = self._standing("syslog", ("failed_handshakes",))
        sent = connections = 0
        for number in range(inputs // MESSAGES_A_STREAM * 2):
            raw = socket.create_connection(("127.0.0.1", self._tls_port), timeout=30)
            connections += 1
            if number % 2:
                sent += 1
                with raw, suppress(OSError):
                    raw.sendall(self._opening())
                    raw.shutdown(socket.SHUT_WR)
                    while raw.recv(4_096):
                        pass
                continue
            chunks, records = self._stream()
            with self._client.wrap_socket(raw, server_hostname="127.0.0.1") as tls:
                for chunk in chunks:
                    tls.sendall(chunk)
                with suppress(OSError):
                    tls.unwrap()
            sent += records
        account = self.accounts["tls"]
        account.inputs += connections // 2 * (MESSAGES_A_STREAM + 1)
        self._settle("syslog", before, account, sent, ("failed_handshakes",))

    def _opening(self) -> bytes:
        """Return what may come instead of a handshake: anything, or one that is damaged or torn."""
        incoming, hello = ssl.MemoryBIO(), ssl.MemoryBIO()
        with suppress(ssl.SSLWantReadError):
            self._client.wrap_bio(incoming, hello, server_hostname="127.0.0.1").do_handshake()
        return self._hostile.random.choice((self._hostile.mutate(hello.read()), self._hostile.line()))

    def file(self, inputs: int) -> None:
        before = self._standing("file", ())
        sent = 0
        with open(self._log, "ab") as log:
            for _ in range(inputs):
                raw = self._hostile.line() + b"\n"
                sent += sum(1 for line in raw.split(b"\n") if line.lstrip(b"\0").rstrip(b"\r\0"))
                log.write(raw)
        account = self.accounts["file"]
        account.inputs += inputs
        self._settle("file", before, account, sent, ())

    def otlp_http(self, inputs: int) -> None:
        before = self._standing("otlp_http", ("rejected_requests",))
        sent = 0
        connection = http.client.HTTPConnection("127.0.0.1", self._daemon.otlp_http, timeout=30)
        for number in range(inputs):
            as_json = number % 2 == 0
            raw = self._hostile.json_request() if as_json else self._hostile.protobuf_request()
            body, coding = self._hostile.encoded(raw)
            kind = self._hostile.random.choice(("text/plain", *["application/json" if as_json else "application/x-protobuf"] * 9))
            connection.request("POST", "/v1/logs", body, {"Content-Type": kind, "Content-Encoding": coding})
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                plain = inflate(body, coding)
                sent += len(decode_json(plain) if as_json else decode_protobuf(plain))
            else:
                sent += 1
                assert answer.status in (400, 415), answer.status
        connection.close()
        account = self.accounts["otlp_http"]
        account.inputs += inputs
        self._settle("otlp_http", before, account, sent, ("rejected_requests",))
        self._rude("otlp_http", self._daemon.otlp_http, b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{}")

    def grpc(self, inputs: int) -> None:
        before = self._standing("otlp_grpc", ("rejected_requests",))
        sent = 0
        client = GrpcClient(self._daemon.grpc)
        for _ in range(inputs):
            body = self._hostile.grpc_frame(self._hostile.protobuf_request())
            if client.call(body) == 0:
                sent += len(decode_protobuf(_grpc_message(body, "gzip")))
            else:
                sent += 1
                with suppress(OtlpError):
                    decode_protobuf(_grpc_message(body, "gzip"))
                    raise AssertionError("a request was refused that can be read")
        client.close()
        account = self.accounts["grpc"]
        account.inputs += inputs
        self._settle("otlp_grpc", before, account, sent, ("rejected_requests",))
        self._rude("otlp_grpc", self._daemon.grpc, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4\0\0\0\0\0")

    def _rude(self, actor: str, port: int, opening: bytes) -> None:
        """Send what is no request at all, below the layer that counts: nothing of it may be accepted."""
        before = self.counter(actor, "accepted_records")
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as rude, suppress(OSError):
                rude.sendall(self._hostile.mutate(opening) + self._hostile.line())
        assert self.counter(actor, "accepted_records") == before


def fuzz_sockets(folder: Path, inputs: int, seed: int, rounds: int = 4) -> Report:
    """Run a daemon and send it so many inputs over every way in turn, round after round; return what it showed."""
    authority = Authority(folder / "authority")
    certificate, key = authority.issue("server")
    log, tls_port = folder / "hostile.log", free_ports(1)[0]
    log.touch()
    daemon = DaemonProcess(
        folder,
        files=[str(log)],
        TOCSIN_RECEIVERS__SYSLOG__TLS=f"127.0.0.1:{tls_port}",
        TOCSIN_RECEIVERS__SYSLOG__TLS_CERTIFICATE=str(certificate),
        TOCSIN_RECEIVERS__SYSLOG__TLS_KEY=str(key),
    )
    began_s = time.monotonic()
    with daemon:
        memory, fuzzing = Memory(daemon), Fuzzing(daemon, authority, tls_port, log, seed)
        memory.start()
        for number in range(rounds):
            memory.half = int(number >= rounds / 2)
            fuzzing.round(inputs // rounds)
        daemon.wait_until(lambda: daemon.health()["queue_depth"] == 0, 120)
        good_s = time.monotonic()
        daemon.send_udp(b"<38>1 2026-05-13T15:29:59.998Z bastion sshd 4242 - - the last good line of all")
        daemon.wait_until(lambda: list(daemon.events(text="the last good line of all", limit=1)))
        good_s = time.monotonic() - good_s
        receivers = ("syslog", "file", "otlp_http", "otlp_grpc")
        daemon.wait_until(
            lambda: sum(fuzzing.counter(name, "accepted_records") for name in receivers)
            == fuzzing.counter("recorder", "committed_events"),
            30,
        )
        memory.finish()
        actors = daemon.health()["actors"]
        return Report(
            dict(fuzzing.accounts),
            {name: account["restarts"] for name, account in actors.items()},
            sum(actors[name]["counters"].get("accepted_records", 0) for name in receivers),
            actors["recorder"]["counters"]["committed_events"],
            good_s,
            *memory.halves,
            time.monotonic() - began_s,
        )


def fuzz(inputs: int, seed: int) -> tuple[DecodingReport, Report]:
    """Run both forms; return what they showed."""
    decoding = decode_hostile(int(inputs * (1 - SHARE)), seed)
    with tempfile.TemporaryDirectory(prefix="tocsin-fuzz-") as folder:
        return decoding, fuzz_sockets(Path(folder), int(inputs * SHARE), seed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    os.nice(5)
    print(f"{arguments.inputs:,} hostile inputs, seed {arguments.seed} ...", file=sys.stderr)
    decoding, sockets = fuzz(arguments.inputs, arguments.seed)
    print(decoding.text())
    print(sockets.text())
    return int(bool(decoding.findings or sockets.faults()))


if __name__ == "__main__":
    sys.exit(main())
