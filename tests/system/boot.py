"""Boot a real systemd with the package in it, and put the units to the test.

A Debian root is made once (mmdebstrap; kept below build/boot), the package installed into a copy of it as an administrator
would, and the copy booted with systemd-nspawn on a network of its own. This process then enters that network and speaks
to the daemon as any sender and browser would. Needs root, mmdebstrap and systemd-nspawn, and the package of `make deb`.

`python -m tests.system.boot` prints a line for each thing shown and exits with 1 if one failed. `--keep` leaves the root in
place, `--reload` demands that `systemctl reload` leaves the daemon running.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw

from protocol.messages import decode_judged_one
from tests.daemon_process import ROOT, DaemonProcess

BUILD = ROOT / "build"
FOLDER = BUILD / "boot"
SUITES = {11: "bookworm", 13: "trixie"}  # by the minor version of their Python: the package has libraries for one
PACKAGES = "systemd,systemd-sysv,dbus,procps,bsdutils,python3"
CLONE_NEWNET = 0x40000000
SERVICE, SOCKET = "tocsin.service", "tocsin-syslog.socket"
CONFIGURATION = "/etc/tocsin/tocsin.toml"
RATE = 500  # datagrams a second while the daemon is restarted
LAST_WORDS_MS = 10  # twice the time that a receiver collects before it spools


def make_base(suite: str) -> Path:
    """Return a tar of a small Debian; it is made when it is not there yet."""
    base = FOLDER / f"{suite}.tar"
    if not base.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        made = base.with_suffix(".new.tar")
        subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", suite, str(made)], check=True)
        made.rename(base)
    return base


def lay_root(base: Path, package: Path) -> Path:
    """Return a fresh root with the package installed."""
    root = FOLDER / "root"
    if root.exists():
        shutil.rmtree(root)
    root.mkdir()
    subprocess.run(["tar", "-xf", base, "-C", root], check=True)
    shutil.copy(package, root / "tocsin.deb")
    subprocess.run(["chroot", root, "dpkg", "--install", "/tocsin.deb"], check=True, stdout=subprocess.DEVNULL)
    return root


class Machine:
    """A booted container."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.leader = 0
        self.console = open(FOLDER / "console.log", "wb")  # noqa: SIM115

    def boot(self, patience_s: float = 60) -> None:
        """Boot, return when systemd has started everything, and let this process speak to what listens inside."""
        command = ["systemd-nspawn", "--quiet", "--boot", "--private-network", "--register=no", "--keep-unit"]
        self._nspawn = subprocess.Popen(
            [*command, f"--directory={self.root}"], stdin=subprocess.DEVNULL, stdout=self.console, stderr=self.console
        )
        end_s = time.monotonic() + patience_s
        while not self._is_booted():
            if self._nspawn.poll() is not None or time.monotonic() > end_s:
                raise RuntimeError(f"the container did not boot within {patience_s} s; see {self.console.name}")
            time.sleep(0.2)
        self._enter_network()

    def _is_booted(self) -> bool:
        for pid in Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split():
            with suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                    self.leader = int(pid)
        return bool(self.leader) and self.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")

    def _enter_network(self) -> None:
        with open(f"/proc/{self.leader}/ns/net") as namespace:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(namespace.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "cannot enter the network of the container")

    def power_off(self) -> None:
        """Let it go down in order; end it if it does not."""
        if self.leader:
            self.run("systemctl", "poweroff")
        try:
            self._nspawn.wait(60)
        except subprocess.TimeoutExpired:
            self._nspawn.terminate()
            self._nspawn.wait(20)
        self.leader = 0

    def run(self, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root."""
        enter = ["nsenter", f"--target={self.leader}", "--mount", "--uts", "--ipc", "--net", "--pid"]
        return subprocess.run([*enter, "--", *command], input=text, capture_output=True, text=True, timeout=180)

    def do(self, *command: str, text: str = "") -> str:
        done = self.run(*command, text=text)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout.strip()

    def show(self, unit: str, *names: str) -> list[str]:
        return [self.do("systemctl", "show", "--value", f"--property={name}", unit) for name in names]

    def processes(self, command: str) -> list[Path]:
        """Return /proc/PID of the processes inside whose name begins so."""
        inside = os.readlink(f"/proc/{self.leader}/ns/pid")
        found = []
        for each in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(each / "ns" / "pid") == inside and (each / "comm").read_text().startswith(command):
                    found.append(each)
            except OSError:
                continue
        return found


class BootedDaemon(DaemonProcess):
    """The daemon inside, through its ports; it is started by systemd."""

    def __init__(self) -> None:
        self.http, self.syslog = 8080, 514

    def is_ok(self) -> bool:
        return bool(self.health()["state"] == "ok")


class Sender(threading.Thread):
    """Sends numbered datagrams until told to stop."""

    def __init__(self, word: str, rate: int = RATE) -> None:
        super().__init__()
        self.word, self.rate = word, rate
        self.sent = 0
        self.stop = threading.Event()

    def run(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            begun_s = time.monotonic()
            while not self.stop.is_set():
                udp.sendto(b"<13>Nov 23 10:00:00 web app: %s %d" % (self.word.encode(), self.sent), ("127.0.0.1", 514))
                self.sent += 1
                time.sleep(max(0.0, begun_s + self.sent / self.rate - time.monotonic()))


@contextmanager
def sending(word: str) -> Iterator[Sender]:
    sender = Sender(word)
    sender.start()
    try:
        yield sender
    finally:
        sender.stop.set()
        sender.join()


class Trial:
    """What is shown, in order."""

    def __init__(self, machine: Machine, *, reload: bool) -> None:
        self._machine = machine
        self._daemon = BootedDaemon()
        self._reload = reload
        self.failed = 0

    def run(self) -> None:
        steps: list[Callable[[], str]] = [
            self.starts,
            self.has_no_privileges,
            self.takes_over_the_ports,
            self.reads_the_journal,
            self.restarts_without_a_loss,
            self.is_replaced_when_it_hangs,
            self.outlives_a_faulty_configuration,
            self.comes_back_with_the_machine,
            self.stops_in_order,
        ]
        if self._reload:
            steps.insert(5, self.reloads)
        for step in steps:
            name = step.__name__.replace("_", " ")
            try:
                self._say("ok", name, step())
            except Exception as error:
                self.failed += 1
                self._say("FAILED", name, f"{type(error).__name__}: {error}")

    def _say(self, state: str, name: str, what: str) -> None:
        print(f"{state:6}  {name:36}  {what}", flush=True)

    def _check(self, holds: object, what: str) -> None:
        if not holds:
            raise AssertionError(what)

    def _messages(self, word: str) -> Counter[str]:
        return Counter(event["message"] for event in self._daemon.events(source="syslog") if event["message"].startswith(word))

    def _wait_stored_once(self, sender: Sender, *, killed: bool = False) -> str:
        """Return what became of what was sent; raise if any of it is stored twice or, after a while, is missing.

        `killed`: a receiver that is killed takes along what it had read in the last milliseconds and not yet spooled.
        """
        expected = {f"{sender.word} {number}" for number in range(sender.sent)}
        max_lost = RATE * LAST_WORDS_MS // 1000 if killed else 0
        try:
            self._daemon.wait_until(lambda: len(expected - self._messages(sender.word).keys()) <= max_lost, 40)
        except AssertionError:
            missing = sorted(expected - self._messages(sender.word).keys())
            raise AssertionError(f"{len(missing)} of {sender.sent} are lost, such as {missing[:3]}") from None
        time.sleep(1)
        found = self._messages(sender.word)
        twice = [message for message, count in found.items() if count > 1]
        self._check(not twice, f"{len(twice)} are there twice, such as {twice[:3]}")
        return f"{sender.sent} datagrams at {RATE}/s meanwhile, {len(expected - found.keys())} lost, none twice"

    # -- the steps

    def starts(self) -> str:
        """READY: `systemctl start` waits for it, and returns."""
        self._machine.do("tee", CONFIGURATION, text="[receivers.journald]\nenabled = true\n")
        begun_s = time.monotonic()
        self._machine.do("systemctl", "enable", "--now", SOCKET, SERVICE)
        took_s = time.monotonic() - begun_s
        self._check(self._machine.do("systemctl", "is-active", SERVICE) == "active", "it is not active")
        self._daemon.wait_until(self._daemon.is_ok)
        memory = sum(_private_bytes(process) for process in self._machine.processes("tocsin"))
        (status,) = self._machine.show(SERVICE, "StatusText")
        return f"ready after {took_s:.1f} s; {memory >> 20} MiB private memory; {status!r}"

    def has_no_privileges(self) -> str:
        processes = [*self._machine.processes("tocsin"), *self._machine.processes("journalctl")]
        self._check(len(processes) > 10, f"only {len(processes)} processes were found")
        for process in processes:
            status = dict(re.findall(r"^(\w+):\s*(.*)$", (process / "status").read_text(), re.MULTILINE))
            name = status["Name"]
            for kind in ("CapEff", "CapPrm", "CapBnd", "CapAmb"):
                self._check(int(status[kind], 16) == 0, f"{name} has {kind} {status[kind]}")
            self._check(status["Uid"].split()[0] != "0", f"{name} runs as root")
            self._check(status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", f"{name} is not confined")
        exposure = self._machine.do("systemd-analyze", "security", SERVICE).splitlines()[-1]
        return f"{len(processes)} processes, no capability in any; {exposure.lstrip('→ ').rstrip(' 🙂')}"

    def takes_over_the_ports(self) -> str:
        (descriptors,) = self._machine.show(SOCKET, "Listen")
        for host in ("127.0.0.1", "::1"):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as udp:
                udp.sendto(b"<13>Nov 23 10:00:00 web app: over UDP to " + host.encode(), (host, 514))
            with socket.create_connection((host, 514)) as tcp:
                tcp.sendall(b"<13>Nov 23 10:00:00 web app: over TCP to " + host.encode() + b"\n")
        self._daemon.wait_until(lambda: len(self._messages("over ")) == 4)
        log = self._machine.do("journalctl", f"--unit={SERVICE}", "--output=cat")
        self._check("syslog.udp is 'syslog' (SOCK_DGRAM on [::]:514), passed by systemd" in log, "it was not passed")
        return f"UDP and TCP, IPv4 and IPv6, on {descriptors.replace(chr(10), ', ')}"

    def reads_the_journal(self) -> str:
        self._machine.do("logger", "-t", "foo", "-p", "auth.err", "bar from logger")
        unit = ["systemd-run", "--quiet", "--wait", "--unit=speaker", "--", "/bin/sh", "-c", "echo hello from a unit"]
        self._machine.do(*unit)
        self._machine.do("logger", "-t", "tocsin", "only called so")

        def seen() -> set[str]:
            return {event["message"] for event in self._daemon.events(source="journald")}

        self._daemon.wait_until(lambda: {"bar from logger", "hello from a unit", "only called so"} <= seen())
        stored = {event.message: event for event in self._stored("journald")}
        logged, spoken = stored["bar from logger"], stored["hello from a unit"]
        self._check(logged.severity == 17 and logged.fields["app"] == "foo", f"{logged}")
        self._check(logged.fields["facility"] == "auth", f"{logged}")
        self._check(spoken.fields["unit"] == "speaker.service" and spoken.fields["procid"].isdigit(), f"{spoken}")
        self._machine.do("kill", "-KILL", str(self._daemon.actor("cusum")["pid"]))  # so that it has something to say
        self._daemon.wait_until(lambda: self._daemon.actor("journald")["counters"]["own_records"] > 0)
        own = [event.message for event in self._stored("journald") if event.fields.get("unit") == SERVICE]
        self._check(not own, f"it has read its own lines: {own[:3]}")
        return f"{len(stored)} entries, {len(logged.fields)} fields in one; own lines are left out and counted"

    def _stored(self, source: str) -> list[Any]:
        events = []
        for path in (self._machine.root / "var/lib/tocsin/store").glob("events-*.db"):
            with apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY) as store:
                rows = store.execute("select body from events where source = ?", (source,)).fetchall()
                events += [decode_judged_one(body).event for (body,) in rows]  # type: ignore[arg-type]
        return events

    def restarts_without_a_loss(self) -> str:
        took = []
        with sending("restart") as sender:
            for _ in range(3):
                time.sleep(1)
                begun_s = time.monotonic()
                self._machine.do("systemctl", "restart", SERVICE)
                took.append(time.monotonic() - begun_s)
            time.sleep(1)
        return f"3 restarts of {max(took):.1f} s at most; {self._wait_stored_once(sender)}"

    def reloads(self) -> str:
        (before,) = self._machine.show(SERVICE, "MainPID")
        self._machine.do("systemctl", "reload", SERVICE)
        time.sleep(3)
        (after,) = self._machine.show(SERVICE, "MainPID")
        self._check(before == after, "the daemon was replaced")
        self._daemon.wait_until(self._daemon.is_ok)
        return f"process {after} goes on"

    def is_replaced_when_it_hangs(self) -> str:
        """WATCHDOG: nothing moves in a supervisor that is stopped, and systemd notices."""
        pid, restarts, watchdog_us = self._machine.show(SERVICE, "MainPID", "NRestarts", "WatchdogUSec")
        begun_s = time.monotonic()
        with sending("hang") as sender:
            self._machine.do("kill", "-STOP", pid)

            def is_replaced() -> bool:
                now_pid, now_restarts, state = self._machine.show(SERVICE, "MainPID", "NRestarts", "ActiveState")
                return now_pid != pid and int(now_restarts) > int(restarts) and state == "active"

            self._daemon.wait_until(is_replaced, 60)
            took_s = time.monotonic() - begun_s
        log = self._machine.do("journalctl", f"--unit={SERVICE}", "--output=cat")
        self._check("watchdog" in log.lower(), "it was not the watchdog")
        meanwhile = self._wait_stored_once(sender, killed=True)
        return f"active again {took_s:.1f} s after SIGSTOP (watchdog: {watchdog_us}); {meanwhile}"

    def outlives_a_faulty_configuration(self) -> str:
        good = self._machine.do("cat", CONFIGURATION)
        self._machine.do("tee", CONFIGURATION, text="[receivers.journald]\nenable = true\n")
        with sending("faulty") as sender:
            self._machine.run("systemctl", "restart", SERVICE)
            time.sleep(12)
            (restarts,) = self._machine.show(SERVICE, "NRestarts")
            self._check(self._machine.do("systemctl", "is-active", SOCKET) == "active", "the ports are closed")
        log = self._machine.do("journalctl", f"--unit={SERVICE}", "--output=cat", "--lines=50")
        self._check("tocsin.toml:2: receivers.journald.enable: is not known" in log, "the fault is not in the log")
        self._machine.do("tee", CONFIGURATION, text=good + "\n")
        self._daemon.wait_until(self._daemon.is_ok, 30)
        return f"tried {restarts} times in 12 s, started by itself once mended; {self._wait_stored_once(sender)}"

    def comes_back_with_the_machine(self) -> str:
        """Down and up: the units are enabled, and the journal is read on from before."""
        expected = {f"last words {number}" for number in range(50)}
        self._machine.do("sh", "-c", "for n in $(seq 0 49); do logger last words $n; done")
        self._machine.power_off()
        self._machine.boot()
        self._daemon.wait_until(self._daemon.is_ok, 30)

        def said() -> Counter[str]:
            return Counter(event["message"] for event in self._daemon.events(source="journald"))

        self._daemon.wait_until(lambda: said().keys() >= expected)
        stopping = "Stopping tocsin.service - Tocsin, watches logs and rings when something is wrong..."
        self._daemon.wait_until(lambda: said()[stopping] > 0)
        twice = [message for message in expected if said()[message] > 1]
        self._check(not twice, f"{len(twice)} are there twice")
        return f"{len(expected)} lines of just before, and what systemd said of the stop, are there once"

    def stops_in_order(self) -> str:
        begun_s = time.monotonic()
        self._machine.do("systemctl", "stop", SOCKET, SERVICE)
        took_s = time.monotonic() - begun_s
        result, status, state = self._machine.show(SERVICE, "Result", "ExecMainStatus", "ActiveState")
        self._check((result, status, state) == ("success", "0", "inactive"), f"{result}, exit {status}, {state}")
        self._check(not self._machine.processes("tocsin"), "processes are left")
        log = self._machine.do("journalctl", f"--unit={SERVICE}", "--output=cat", "--lines=20")
        last = next(line for line in reversed(log.splitlines()) if "stopped after" in line)
        self._check("nothing is left in the spool" in last, last)
        return f"exit 0 after {took_s:.1f} s: {last}"


def _private_bytes(process: Path) -> int:
    pages = re.findall(r"^Private_\w+:\s+(\d+) kB$", (process / "smaps_rollup").read_text(), re.MULTILINE)
    return sum(map(int, pages)) << 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the root in place")
    parser.add_argument("--reload", action="store_true", help="demand that a reload leaves the daemon running")
    arguments = parser.parse_args()
    suite = SUITES.get(sys.version_info.minor)
    missing = [tool for tool in ("mmdebstrap", "systemd-nspawn", "nsenter") if shutil.which(tool) is None]
    if os.geteuid() != 0 or suite is None or missing:
        print(f"needs root, Python 3.11 or 3.13, mmdebstrap and systemd-nspawn; missing: {missing or 'no tool'}")
        return 2
    (package,) = BUILD.glob("tocsin_*.deb")
    begun_s = time.monotonic()
    root = lay_root(make_base(suite), package)
    machine = Machine(root)
    try:
        machine.boot()
        version = machine.do("systemctl", "--version").splitlines()[0]
        print(f"{suite}, {version}, booted {time.monotonic() - begun_s:.0f} s after the beginning; package {package.name}")
        trial = Trial(machine, reload=arguments.reload)
        trial.run()
    finally:
        machine.power_off()
        if not arguments.keep:
            shutil.rmtree(root, ignore_errors=True)
    print("all of it was shown" if not trial.failed else f"{trial.failed} failed")
    return 1 if trial.failed else 0


if __name__ == "__main__":
    sys.exit(main())
