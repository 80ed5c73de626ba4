"""`daemon.fsync`: each kind through the real daemon, as far as a test can see without cutting the power."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.daemon_process import DaemonProcess
from tests.system.test_otlp import post, serialized


@pytest.mark.parametrize("fsync", ["interval", "always"])
def test_every_way_in_is_forced_to_disk(tmp_path: Path, fsync: str) -> None:
    log = tmp_path / "app.log"
    log.touch()
    daemon = DaemonProcess(tmp_path, files=[str(log)], TOCSIN_DAEMON__FSYNC=fsync)
    with daemon:
        daemon.send_udp(*(b"<38>1 - web app - - - request %d" % number for number in range(100)))
        with socket.create_connection(("127.0.0.1", daemon.syslog)) as tcp:
            tcp.sendall(b"".join(b"<38>1 - web app - - - request %d\n" % number for number in range(100, 2_000)))
        log.write_text("".join(f"request {number}\n" for number in range(2_000, 2_100)))
        assert post(daemon, serialized(0, 10))[0] == 200
        daemon.wait_until(lambda: len(daemon.events()) == 2_110)
        daemon.kill()
        daemon.start()
        daemon.send_udp(b"<38>1 - web app - - - last")
        daemon.wait_until(lambda: len(daemon.events()) == 2_111)
        actors = daemon.health()["actors"].values()
        assert {account["counters"].get("failed_syncs", 0) for account in actors} == {0}
