"""What the kernel drops of UDP is counted to the last datagram, whatever becomes of the receiver meanwhile."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.daemon_process import DaemonProcess

FLOOD = [b"<38>1 - web1 app - - - request %d" % number + b" x" * 500 for number in range(20_000)]


@pytest.mark.parametrize("end", [signal.SIGCONT, signal.SIGKILL], ids=["goes on", "is killed"])
def test_sent_is_accepted_and_dropped(own_daemon: DaemonProcess, end: signal.Signals) -> None:
    own_daemon.start()
    own_daemon.send_udp(b"<38>1 - web1 app - - - before")
    own_daemon.wait_until(lambda: own_daemon.actor("syslog")["counters"].get("accepted_records") == 1)
    stopped = own_daemon.signal("syslog", signal.SIGSTOP)  # for less time than the supervisor takes for hung
    own_daemon.send_udp(*FLOOD)
    os.kill(stopped, end)
    own_daemon.wait_until(lambda: own_daemon.actor("syslog")["counters"].get("dropped_kernel_udp", 0) > 0)

    def is_closed() -> bool:
        counters = own_daemon.actor("syslog")["counters"]
        return bool(counters["accepted_records"] + counters["dropped_kernel_udp"] == 1 + len(FLOOD))

    own_daemon.wait_until(is_closed)
    dropped = own_daemon.actor("syslog")["counters"]["dropped_kernel_udp"]
    own_daemon.signal("syslog", signal.SIGKILL)  # a successor does not count the same again
    own_daemon.wait_until(lambda: own_daemon.actor("syslog")["state"] == "ok")
    time.sleep(1.5)
    assert is_closed()
    assert len(own_daemon.events()) == 1 + len(FLOOD) - dropped
