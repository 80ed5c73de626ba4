"""The daemon as a process of its own on free ports, for system tests and benchmarks: a black box."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
READY_S = 30.0
NOTICES = "tocsin"  # the source of what the daemon tells of itself


PORTS_EACH = 2_000  # for each worker of pytest-xdist
# Below those that the kernel gives to whoever does not name one, so that no client takes a port before its server has it.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
_FIRST = os.getpid() * 10  # not the same in every run
_ports = (10_000 + _WORKER * PORTS_EACH + number % PORTS_EACH for number in itertools.count(_FIRST))


def is_free(port: int) -> bool:
    """Tell whether a port is free for TCP and UDP now."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:  # what lingers of a connection is no harm; with UDP it would let in a second socket
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def free_ports(count: int) -> list[int]:
    """Return ports that are free for TCP and UDP, and that no other worker will give away."""
    return list(itertools.islice(filter(is_free, _ports), count))


class DaemonProcess:
    """`tocsin run` with a configuration of its own. A context manager: it is drained at the end, or killed."""

    def __init__(
        self, folder: Path, *, more: str = "", files: list[str] | None = None, root: Path = ROOT, **environment: str
    ) -> None:
        """`root`: of the code that is run."""
        self.folder, self._root = folder, root
        self.http, self.syslog, self.grpc, self.otlp_http = free_ports(4)
        self.config = folder / "tocsin.toml"
        self.state_dir = folder / "state"
        self.config.write_text(
            f"""
state_dir = "{self.state_dir}"
[http]
listen = "127.0.0.1:{self.http}"
[receivers.syslog]
udp = "127.0.0.1:{self.syslog}"
tcp = "127.0.0.1:{self.syslog}"
[receivers.otlp_grpc]
listen = "127.0.0.1:{self.grpc}"
[receivers.otlp_http]
listen = "127.0.0.1:{self.otlp_http}"
[receivers.file]
paths = {json.dumps(files or [])}
{more}
"""
        )
        self._environment = os.environ | environment
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder / "daemon.log"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "daemon.cli", arguments[0], "--config", str(self.config), *arguments[1:]]

    def start(self) -> DaemonProcess:
        return self.start_patiently(READY_S)

    def start_patiently(self, patience_s: float) -> DaemonProcess:
        self.begin()
        self.wait_until(lambda: self.health()["state"] == "ok", patience_s)
        return self

    def begin(self) -> None:
        """Start it, and wait for nothing."""
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                self.command("run"), cwd=self._root, stdout=log, stderr=log, env=self._environment, start_new_session=True
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self, patience_s: float = 40.0) -> int:
        """Drain it; return the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(patience_s)

    def wait(self, patience_s: float) -> int:
        assert self._process is not None
        return self._process.wait(patience_s)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Drain it if it runs; kill it if it does not drain, and say so."""
        if self._process is None or self._process.poll() is not None:
            return
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def __enter__(self) -> DaemonProcess:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.end()

    # -- looking at it

    def get(self, path: str) -> Any:
        return self._ask(path, None)

    def post(self, path: str, body: bytes) -> Any:
        return self._ask(path, body)

    def _ask(self, path: str, body: bytes | None) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", body, timeout=40) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            raise

    def health(self) -> dict[str, Any]:
        return self.get("/api/v1/health")

    def actor(self, name: str) -> dict[str, Any]:
        return self.health()["actors"][name]

    def pid_of(self, name: str, patience_s: float = 15.0) -> int:
        """Return the actor's process id; wait while it has none: kill(2) takes 0 for the caller's whole process group."""
        found: list[int] = []

        def has_one() -> bool:
            found.append(self.actor(name)["pid"])
            return found[-1] > 0

        self.wait_until(has_one, patience_s)
        return found[-1]

    def signal(self, name: str, number: int) -> int:
        """Send a signal to an actor's process; return the process id."""
        pid = self.pid_of(name)
        os.kill(pid, number)
        return pid

    def events(self, **filters: object) -> list[dict[str, Any]]:
        """Return what was sent to it; its own notices only if their source is asked for."""
        asked = "source" in filters
        return [event for event in self.pages("events", **filters) if asked or event["source"] != NOTICES]

    def notices(self) -> list[str]:
        """Return what it has told of itself."""
        return [event["message"] for event in self.events(source=NOTICES)]

    def alerts(self, **filters: object) -> list[dict[str, Any]]:
        return list(self.pages("alerts", **filters))

    def pages(self, name: str, **filters: object) -> Iterator[dict[str, Any]]:
        """Yield everything, page by page."""
        query = urllib.parse.urlencode({"limit": 1000, **filters})
        cursor = ""
        while True:
            page = self.get(f"/api/v1/{name}?{query}{cursor}")
            yield from page[name]
            if page["next_cursor"] is None:
                return
            cursor = f"&cursor={page['next_cursor']}"

    @staticmethod
    def wait_until(holds: Any, patience_s: float = 15.0) -> None:
        """Return when `holds()` is true. A daemon that is not there yet is not an error."""
        end_s = time.monotonic() + patience_s
        last: object = None
        while time.monotonic() < end_s:
            try:
                if holds():
                    return
                last = None
            except (OSError, ValueError, KeyError) as error:
                last = error
            time.sleep(0.1)
        raise AssertionError(f"did not come true within {patience_s} s (last error: {last})")

    # -- sending

    def send_udp(self, *messages: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            for message in messages:
                udp.sendto(message, ("127.0.0.1", self.syslog))

    def send_tcp(self, lines: bytes) -> None:
        with socket.create_connection(("127.0.0.1", self.syslog)) as tcp:
            tcp.sendall(lines)

    def processes(self) -> dict[str, int]:
        """Return {actor: process id} of those that live, the supervisor and the fork server among them."""
        known = {name: account["pid"] for name, account in self.health()["actors"].items() if account["pid"] > 0}
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        others = [int(pid) for pid in children if int(pid) not in known.values()]
        return known | {"supervisor": self.pid, "fork server": others[0]}
