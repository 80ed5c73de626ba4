"""Kill anything: nothing accepted is lost, nothing is stored twice, the others go on."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from tests.daemon_process import NOTICES, DaemonProcess
from tests.stream_client import StreamClient

DETECTORS = ["hst", "holt_winters", "cusum", "markov", "sigma"]
SPINE = ["syslog", "parser", "scorer", "alerts", "recorder"]


class Traffic(threading.Thread):
    """Steady numbered lines over one TCP connection until told to stop."""

    def __init__(self, daemon: DaemonProcess, rate: int = 1_000) -> None:
        super().__init__(daemon=True)
        self._daemon_process, self._rate = daemon, rate
        self._over = threading.Event()
        self.sent = 0

    def run(self) -> None:
        with socket.create_connection(("127.0.0.1", self._daemon_process.syslog)) as tcp:
            while not self._over.wait(0.02):
                lines = [b"<38>Nov 23 10:00:00 web app[7]: request %d served" % (self.sent + i) for i in range(self._rate // 50)]
                tcp.sendall(b"\n".join(lines) + b"\n")
                self.sent += len(lines)

    def finish(self) -> int:
        self._over.set()
        self.join()
        return self.sent


def numbers(messages: list[str]) -> list[int]:
    return [int(message.split()[1]) for message in messages]


def statuses(frames: list[dict], name: str) -> list[str]:
    return [frame["detectors"][name] for frame in frames if frame["type"] == "status"]


def events_between_heartbeats(kinds: list[str]) -> list[int]:
    """Return how many events came in each second of the daemon's own clock: from one status frame to the next."""
    beats = [place for place, kind in enumerate(kinds) if kind == "status"]
    assert len(beats) > 2
    return [kinds[earlier:later].count("event") for earlier, later in pairwise(beats)]


@pytest.mark.parametrize("name", DETECTORS)
def test_a_killed_detector_is_back_and_nobody_else_notices(daemon: DaemonProcess, name: str) -> None:
    before = daemon.actor(name)
    others = {other: account["pid"] for other, account in daemon.health()["actors"].items() if other != name}
    traffic = Traffic(daemon)
    with StreamClient(daemon.http) as client:
        traffic.start()
        time.sleep(0.5)
        assert daemon.signal(name, signal.SIGKILL) == before["pid"]
        frames = [json.loads(payload) for payload in client.read(3.5)]
        sent = traffic.finish()
        daemon.wait_until(lambda: daemon.actor(name)["state"] == "ok", 5)
    states = statuses(frames, name)
    assert "starting" in states or "down" in states
    assert states[-1] == "ok"
    assert daemon.actor(name)["pid"] != before["pid"]
    assert daemon.actor(name)["restarts"] == before["restarts"] + 1
    assert {other: daemon.actor(other)["pid"] for other in others} == others
    assert min(events_between_heartbeats([frame["type"] for frame in frames])) > 0, "the frames paused"
    assert sent > 2_000


def test_a_restarted_detector_is_warm_from_its_snapshot(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    own_daemon.send_tcp(b"".join(b"<38>Nov 23 10:00:00 web app: request %d served\n" % i for i in range(6_000)))
    own_daemon.wait_until(lambda: own_daemon.actor("hst")["gauges"].get("warm") == 1, 30)
    snapshot = own_daemon.state_dir / "snapshots" / "hst.msgpack"
    own_daemon.wait_until(snapshot.exists, 20)
    warm_since = time.time()
    own_daemon.wait_until(lambda: snapshot.stat().st_mtime > warm_since, 20)
    own_daemon.signal("hst", signal.SIGKILL)
    own_daemon.wait_until(lambda: own_daemon.actor("hst")["restarts"] == 1 and own_daemon.actor("hst")["state"] == "ok")
    own_daemon.wait_until(lambda: own_daemon.actor("hst")["gauges"].get("warm") == 1)
    assert own_daemon.actor("hst")["counters"]["caught_up_events"] < 1_000, "it has not learned all of it once more"


def test_killing_the_spine_loses_nothing_and_doubles_nothing(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    traffic = Traffic(own_daemon)
    traffic.start()
    for name in ["parser", "scorer", "alerts", "recorder", "parser", "recorder"]:
        time.sleep(0.7)
        own_daemon.signal(name, signal.SIGKILL)
    time.sleep(0.5)
    sent = traffic.finish()
    own_daemon.wait_until(lambda: own_daemon.health()["queue_depth"] == 0, 30)
    own_daemon.wait_until(lambda: len(own_daemon.events()) >= sent, 30)
    assert numbers([event["message"] for event in own_daemon.events()]) == list(range(sent))


def test_a_killed_receiver_loses_nothing_that_it_had_accepted(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    own_daemon.signal("recorder", signal.SIGSTOP)  # so that everything accepted is still in flight
    own_daemon.send_udp(*(b"<38>Nov 23 10:00:00 web app: request %d served" % i for i in range(200)))
    own_daemon.wait_until(lambda: own_daemon.actor("syslog")["counters"].get("accepted_records", 0) == 200, 5)
    own_daemon.signal("syslog", signal.SIGKILL)
    own_daemon.wait_until(lambda: len(own_daemon.events()) == 200, 30)
    assert sorted(numbers([event["message"] for event in own_daemon.events()])) == list(range(200))


@pytest.mark.parametrize("name", DETECTORS)
def test_a_hung_detector_is_found_and_replaced_while_the_stream_goes_on(own_daemon: DaemonProcess, name: str) -> None:
    own_daemon.start()
    hung = own_daemon.pid_of(name)
    traffic = Traffic(own_daemon, rate=2_000)
    with StreamClient(own_daemon.http) as client:
        traffic.start()
        os.kill(hung, signal.SIGSTOP)
        kinds = [json.loads(payload)["type"] for payload in client.read(5)]
        traffic.finish()
    between = events_between_heartbeats(kinds)
    assert min(map(sum, pairwise(between))) > 0, "longer than the deadline of the join and a second"
    account = own_daemon.actor(name)
    assert account["pid"] != hung and account["restarts"] == 1 and account["state"] == "ok"


def test_the_whole_daemon_killed_and_started_again_loses_nothing(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    own_daemon.send_udp(b"<38>Nov 23 10:00:00 web app: request 0 served")
    own_daemon.wait_until(lambda: len(own_daemon.events()) == 1)
    template = own_daemon.events()[0]["template_id"]
    actors = list(own_daemon.processes().values())
    own_daemon.signal("recorder", signal.SIGSTOP)
    own_daemon.send_udp(*(b"<38>Nov 23 10:00:00 web app: request %d served" % i for i in range(1, 100)))
    own_daemon.wait_until(lambda: own_daemon.actor("syslog")["counters"].get("accepted_records", 0) == 100, 5)
    own_daemon.kill()
    own_daemon.wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in actors), 5)
    own_daemon.start()
    own_daemon.wait_until(lambda: len(own_daemon.events()) == 100, 20)
    events = own_daemon.events()
    assert numbers([event["message"] for event in events]) == list(range(100))
    assert {event["template_id"] for event in events} == {template}


def test_a_stop_in_order_drains_and_exits_with_zero(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    own_daemon.send_tcp(b"".join(b"<38>Nov 23 10:00:00 web app: request %d served\n" % i for i in range(5_000)))
    own_daemon.wait_until(lambda: own_daemon.actor("syslog")["counters"].get("accepted_records", 0) > 0)
    assert own_daemon.stop() == 0
    assert "5,000 events" in own_daemon.log.read_text()
    own_daemon.start()
    assert numbers([event["message"] for event in own_daemon.events()]) == list(range(5_000))


def test_what_happens_to_the_daemon_is_in_its_history(own_daemon: DaemonProcess) -> None:
    own_daemon.state_dir.mkdir()
    alive = own_daemon.state_dir / "alive"
    alive.touch()
    os.utime(alive, (1_778_673_600, 1_778_673_600))
    own_daemon.start()
    own_daemon.signal("markov", signal.SIGKILL)
    own_daemon.wait_until(lambda: len(own_daemon.notices()) == 2)
    absence, death = own_daemon.notices()
    assert absence.startswith("tocsin did not run from 2026-05-13T12:00:00.000Z to ")
    assert death == "tocsin: actor markov was ended by SIGKILL; restart now"
    own_daemon.wait_until(lambda: own_daemon.health()["ledger"]["sources"]["internal"]["committed"] == 2)


def test_a_stop_with_a_full_window_loses_nothing_and_exits_with_zero_in_time(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    window = own_daemon.health()["queue_max"] // 4
    flood = b"".join(b"<38>Nov 23 10:00:00 web app: request %d served\n" % i for i in range(200_000))
    with socket.create_connection(("127.0.0.1", own_daemon.syslog)) as tcp:

        def send() -> None:
            with suppress(OSError):
                tcp.sendall(flood)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        own_daemon.wait_until(lambda: own_daemon.health()["queue_depth"] >= window)
        began_s = time.monotonic()
        assert own_daemon.stop() == 0
        assert time.monotonic() - began_s < 20 + 3
        sender.join()
    assert "is killed" not in own_daemon.log.read_text()
    own_daemon.start()
    own_daemon.wait_until(lambda: own_daemon.health()["queue_depth"] == 0)
    account = own_daemon.health()["ledger"]["sources"]["syslog"]
    messages = [event["message"] for event in own_daemon.events()]
    whole = [message for message in messages if message.startswith("request ") and message.endswith(" served")]
    assert numbers(whole) == list(range(len(whole)))
    assert len(messages) - len(whole) <= 1, "the line in which the connection was ended"
    assert len(messages) == account["received"] > window


def test_killing_the_broadcaster_leaves_no_frame_out(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    traffic = Traffic(own_daemon)
    with StreamClient(own_daemon.http) as client:
        traffic.start()
        frames = []
        for _ in range(4):
            frames += [json.loads(payload) for payload in client.read(0.8)]
            own_daemon.signal("broadcaster", signal.SIGKILL)
        sent = traffic.finish()
        frames += [json.loads(payload) for payload in client.read(6)]
    events = [frame["event"] for frame in frames if frame["type"] == "event"]
    framed = numbers([event["message"] for event in events if event["source"] != NOTICES])
    assert sorted(set(framed)) == list(range(sent))
    assert framed == sorted(framed), "frames come in commit order"


def test_a_sender_that_never_falls_silent_does_not_hold_up_the_stop(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    with socket.create_connection(("127.0.0.1", own_daemon.syslog)) as tcp, suppress(OSError):
        sending = threading.Event()

        def send() -> None:
            with suppress(OSError):
                while not sending.wait(0.01):
                    tcp.sendall(b"<38>Nov 23 10:00:00 web app: request 1 served\n")

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        own_daemon.wait_until(lambda: own_daemon.actor("syslog")["counters"].get("accepted_records", 0) > 10)
        began_s = time.monotonic()
        assert own_daemon.stop() == 0
        assert time.monotonic() - began_s < 10
        sending.set()
        sender.join()
    assert "is killed" not in own_daemon.log.read_text()
