"""Rules in the running daemon: the page's own example, and no alert lost whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.actors.sigma.test_engine import RULES
from tests.daemon_process import DaemonProcess
from tests.stream_client import StreamClient

EXAMPLE_ALERT = {
    "rule_id": "ssh_brute_force",
    "rule_kind": "sigma",
    "severity": "high",
    "title": "SSH brute force",
    "attack": {"tactic": "credential-access", "technique": "T1110.001"},
    "dedup_key": "sigma:ssh_brute_force:10.0.1.42",
}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "ssh.yml").write_text(RULES)
    with DaemonProcess(tmp_path, more=f'[rules]\nown = false\npaths = ["{rules}"]\n') as running:
        running.wait_until(lambda: running.actor("sigma")["state"] == "ok")
        yield running


def failure(address: str) -> bytes:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    return f"<37>1 {now}Z bastion sshd 4242 - - Failed password for root from {address}".encode()


def test_the_example_of_the_page(daemon: DaemonProcess) -> None:
    with StreamClient(daemon.http) as client:
        for _ in range(6):
            daemon.send_udp(failure("10.0.1.42"))
        frames = [json.loads(payload) for payload in client.read(3)]
    alerts = [frame["alert"] for frame in frames if frame["type"] == "alert" and frame["alert"]["rule_kind"] == "sigma"]
    assert len(alerts) == 1
    (entity,) = alerts[0].pop("entities")
    assert (entity["type"], entity["value"]) == ("ipv4", "10.0.1.42")
    assert {key: value for key, value in alerts[0].items() if key not in ("id", "ts")} == EXAMPLE_ALERT
    events = [frame["event"] for frame in frames if frame["type"] == "event" and frame["event"]["source"] == "syslog"]
    assert [event["attack"] for event in events] == [{"tactic": "credential-access", "technique": "T1110"}] * 6
    assert [frame["detectors"]["sigma"] for frame in frames if frame["type"] == "status"][-1] == "ok"


def kill(daemon: DaemonProcess, name: str) -> None:
    """Kill an actor's process, if it has one now."""
    pid = daemon.processes().get(name)
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_rules_are_in_force_from_the_first_event_on(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path) as running:  # whose own rules were never read before
        running.send_udp(failure("10.0.1.42"))
        running.wait_until(lambda: len(running.events()) == 1)
        assert running.events()[0]["attack"] == {"tactic": "credential-access", "technique": "T1110.001"}


VICTIMS = [["sigma"], ["scorer", "parser"], ["sigma", "alerts", "recorder"]]


@pytest.mark.parametrize("victims", VICTIMS, ids="-".join)
def test_no_alert_is_lost_or_doubled_whoever_is_killed(daemon: DaemonProcess, victims: list[str]) -> None:
    """Sixty attackers, one after the other; the victims are killed again and again meanwhile."""
    attackers = [f"10.1.{number // 20}.{number % 20 + 1}" for number in range(60)]
    for number, attacker in enumerate(attackers):
        daemon.send_tcp(b"".join(failure(attacker) + b"\n" for _ in range(5)))
        if number % 20 == 7:
            for name in victims:
                kill(daemon, name)
        time.sleep(0.06)

    def rung() -> Counter[str]:
        return Counter(alert["entities"][0]["value"] for alert in daemon.alerts(limit=500) if alert["rule_kind"] == "sigma")

    daemon.wait_until(lambda: len(rung()) == len(attackers), 40)
    time.sleep(1.5)
    assert rung() == Counter(attackers)
    assert all(daemon.actor(name)["restarts"] >= 2 for name in victims)


def test_a_trouble_that_goes_on_is_told_of_once_whoever_is_killed(daemon: DaemonProcess, tmp_path: Path) -> None:
    """Attackers who do not stop, each event a match; new ones come until the end."""
    more = RULES.partition("---")[0].replace("sshd_login_failed", "every_failure").replace("informational", "critical")
    (tmp_path / "rules" / "more.yml").write_text(more)
    daemon.wait_until(lambda: any("rules were read anew" in notice for notice in daemon.notices()), 15)
    attackers = [f"10.2.0.{number}" for number in range(60)]
    for step in range(120):
        active = attackers[: step // 2 + 1][-10:]
        daemon.send_tcp(b"".join(failure(attacker) + b"\n" for attacker in active))
        if step % 40 == 17:
            kill(daemon, "alerts")
        time.sleep(0.05)

    def rung() -> Counter[str]:
        return Counter(alert["entities"][0]["value"] for alert in daemon.alerts() if alert["rule_id"] == "every_failure")

    daemon.wait_until(lambda: len(rung()) == len(attackers), 40)
    time.sleep(1.5)
    assert rung() == Counter(attackers) and daemon.actor("alerts")["restarts"] == 3


def test_one_that_hangs_delays_nobody_and_its_alerts_follow(daemon: DaemonProcess) -> None:
    daemon.signal("sigma", signal.SIGSTOP)
    daemon.send_tcp(b"".join(failure("10.0.1.42") + b"\n" for _ in range(5)))
    daemon.wait_until(lambda: len(daemon.events(source="syslog")) == 5, 2.0)
    daemon.wait_until(lambda: [alert["dedup_key"] for alert in daemon.alerts()] == [EXAMPLE_ALERT["dedup_key"]], 20)
    daemon.wait_until(lambda: daemon.actor("sigma")["restarts"] == 1)  # killed because it gave no heartbeat


def test_rules_are_read_anew_while_it_runs(daemon: DaemonProcess, tmp_path: Path) -> None:
    more = RULES.partition("---")[0].replace("sshd_login_failed", "every_failure").replace("informational", "critical")
    (tmp_path / "rules" / "more.yml").write_text(more)
    daemon.wait_until(lambda: any("rules were read anew" in notice for notice in daemon.notices()), 15)
    daemon.send_udp(failure("10.0.1.43"))
    daemon.wait_until(lambda: [alert["rule_id"] for alert in daemon.alerts()] == ["every_failure"])
    (tmp_path / "rules" / "more.yml").write_text("title: [")
    daemon.wait_until(lambda: daemon.actor("sigma")["gauges"]["refused_rules"] == 1, 15)
    daemon.send_udp(failure("10.0.1.44"))
    daemon.wait_until(lambda: len(daemon.alerts()) == 2)
