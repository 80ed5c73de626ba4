"""Another configuration while the daemon runs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.daemon_process import ROOT, DaemonProcess, free_ports
from tests.system.test_commands import tocsin


def pids(daemon: DaemonProcess) -> dict[str, int]:
    return {name: account["pid"] for name, account in daemon.health()["actors"].items()}


def changed(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {name for name in before.keys() & after.keys() if before[name] != after[name]}


def test_a_reload_restarts_what_changed_and_drops_no_connection_of_the_rest(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    config = ["--config", str(own_daemon.config)]
    before, text = pids(own_daemon), own_daemon.config.read_text()
    with socket.create_connection(("127.0.0.1", own_daemon.syslog)) as tcp:
        tcp.sendall(b"<38>Nov 23 10:00:00 web app: request 0 served\n")
        own_daemon.config.write_text(text + "[alerts]\nper_day = 7\n[detectors.cusum]\nenabled = false\n")
        os.kill(own_daemon.pid, signal.SIGHUP)
        own_daemon.wait_until(lambda: any("was read anew" in notice for notice in own_daemon.notices()))
        own_daemon.wait_until(lambda: "cusum" not in pids(own_daemon) and all(pids(own_daemon).values()))
        after = pids(own_daemon)
        assert before.keys() - after.keys() == {"cusum"} and after.keys() <= before.keys()
        assert changed(before, after) == {"scorer"}
        tcp.sendall(b"<38>Nov 23 10:00:00 web app: request 1 served\n")
        own_daemon.wait_until(lambda: len(own_daemon.events()) == 2)

    again = tocsin("reload", *config)
    assert again.returncode == 0 and "nothing changed" in again.stdout
    own_daemon.config.write_text(text)
    assert "started cusum; restarted scorer" in tocsin("reload", *config).stdout
    own_daemon.wait_until(lambda: own_daemon.health()["state"] == "ok" and own_daemon.actor("cusum")["pid"])
    with socket.create_connection(("127.0.0.1", own_daemon.syslog)) as tcp:
        tcp.sendall(b"<38>Nov 23 10:00:00 web app: request 2 served\n")
    own_daemon.wait_until(lambda: own_daemon.actor("cusum")["counters"].get("scored_events"))


def test_a_fault_leaves_everything_as_it_was_and_says_where_it_is(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    before, text = pids(own_daemon), own_daemon.config.read_text()
    own_daemon.config.write_text(text + "[alerts]\nper_day = 'many'\n")
    os.kill(own_daemon.pid, signal.SIGHUP)
    line = len(text.splitlines()) + 2
    own_daemon.wait_until(lambda: f"{own_daemon.config}:{line}: alerts.per_day" in own_daemon.log.read_text())
    own_daemon.config.write_text(text.replace(str(own_daemon.state_dir), "/elsewhere"))
    os.kill(own_daemon.pid, signal.SIGHUP)
    own_daemon.wait_until(lambda: "state_dir: cannot change while the daemon runs" in own_daemon.log.read_text())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        own_daemon.config.write_text(text.replace(f'tcp = "127.0.0.1:{own_daemon.syslog}"', f'tcp = "127.0.0.1:{port}"'))
        os.kill(own_daemon.pid, signal.SIGHUP)
        own_daemon.wait_until(lambda: f"cannot listen on 127.0.0.1:{port}" in own_daemon.log.read_text())
    assert pids(own_daemon) == before
    own_daemon.wait_until(lambda: sum("has faults" in notice for notice in own_daemon.notices()) == 3)


def test_a_receiver_that_moves_to_another_port_loses_nothing(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    text, old = own_daemon.config.read_text(), own_daemon.syslog
    own_daemon.send_tcp(b"".join(b"<38>Nov 23 10:00:00 web app: request %d served\n" % i for i in range(2_000)))
    (own_daemon.syslog,) = free_ports(1)
    own_daemon.config.write_text(text.replace(f":{old}", f":{own_daemon.syslog}"))
    moved = tocsin("reload", "--config", str(own_daemon.config))
    assert moved.stdout.startswith("tocsin: the configuration was read anew: restarted syslog")
    own_daemon.send_udp(b"<38>Nov 23 10:00:00 web app: request 2000 served")
    own_daemon.wait_until(lambda: len(own_daemon.events()) == 2_001)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", old)) != 0, "nobody listens there any more"


def test_an_actor_that_leaves_and_comes_back_is_no_break_of_the_ledger(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    config = ["--config", str(own_daemon.config)]
    text = own_daemon.config.read_text()
    own_daemon.send_tcp(b"<38>Nov 23 10:00:00 web app: request served\n" * 1_000)
    own_daemon.wait_until(lambda: len(own_daemon.events()) == 1_000)
    own_daemon.config.write_text(text.replace("[receivers.syslog]", "[receivers.syslog]\nenabled = false"))
    assert "ended syslog" in tocsin("reload", *config).stdout
    own_daemon.config.write_text(text)
    assert "started syslog" in tocsin("reload", *config).stdout
    own_daemon.send_udp(b"<38>Nov 23 10:00:00 web app: request served")
    own_daemon.wait_until(lambda: len(own_daemon.events()) == 1_001)

    def passed() -> int:
        edges = own_daemon.health()["ledger"]["edges"]
        return sum(edge["handled"] for edge in edges if (edge["from"], edge["to"]) == ("syslog", "parser"))

    before = passed()
    own_daemon.send_udp(b"<38>Nov 23 10:00:00 web app: request served")
    own_daemon.wait_until(lambda: passed() > before)
    assert own_daemon.health()["ledger"]["breaks"] == 0 and "ledger is broken" not in own_daemon.log.read_text()


def test_an_actor_that_is_being_started_ends_with_its_part_of_the_configuration(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    text, processes = own_daemon.config.read_text(), own_daemon.processes()
    os.kill(processes["fork server"], signal.SIGSTOP)  # it holds up the start of the next
    try:
        os.kill(processes["cusum"], signal.SIGKILL)
        own_daemon.wait_until(lambda: own_daemon.actor("cusum")["restarts"] == 1)
        own_daemon.config.write_text(text + "[detectors.cusum]\nenabled = false\n")
        reload = subprocess.Popen(own_daemon.command("reload"), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        time.sleep(1.5)
    finally:
        os.kill(processes["fork server"], signal.SIGCONT)
    assert "ended cusum" in reload.communicate(timeout=40)[0]
    own_daemon.wait_until(lambda: "cusum" not in own_daemon.health()["actors"])


def test_an_actor_that_dies_while_it_waits_to_leave_takes_nobody_along(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    text, processes = own_daemon.config.read_text(), own_daemon.processes()
    os.kill(processes["recorder"], signal.SIGSTOP)  # the first that leaves cannot drain, and the other waits for its turn
    own_daemon.send_tcp(b"<38>Nov 23 10:00:00 web app: request served\n" * 100)
    time.sleep(0.3)
    for name in ("syslog", "otlp_grpc"):
        text = text.replace(f"[receivers.{name}]", f"[receivers.{name}]\nenabled = false")
    own_daemon.config.write_text(text)
    os.kill(own_daemon.pid, signal.SIGHUP)
    time.sleep(0.5)
    os.kill(processes["otlp_grpc"], signal.SIGKILL)
    own_daemon.wait_until(lambda: not {"syslog", "otlp_grpc"} & own_daemon.health()["actors"].keys(), 40)
    own_daemon.wait_until(lambda: len(own_daemon.events()) == 100)


GATE = """
format = "Gate"
pattern = 'GATE (?P<level>[a-z]+) (?P<user>[a-z]+) (?P<message>.*)'
[[sample]]
line = "GATE warning anna door 7 forced"
severity = "warning"
entities = ["user anna"]
"""


def test_formats_of_ones_own_are_tried_used_and_read_anew(own_daemon: DaemonProcess, tmp_path: Path) -> None:
    folder = tmp_path / "formats"
    folder.mkdir()
    (folder / "gate.toml").write_text(GATE)
    own_daemon.config.write_text(own_daemon.config.read_text() + f'[parsing]\nformats = ["{folder}"]\n')
    config = ["--config", str(own_daemon.config)]
    assert tocsin("check", *config).returncode == 0
    own_daemon.start()
    before = pids(own_daemon)
    (reading,) = own_daemon.post("/api/v1/parse", b"GATE error bob door 8 forced\n")["lines"]
    assert (reading["format"], reading["severity"], reading["message"]) == ("Gate", 17, "door 8 forced")
    assert '"format":"Gate"' in tocsin("parse", "--json", "GATE error bob door 8 forced", *config).stdout

    (folder / "gate.toml").write_text(GATE.replace("warning anna", "nothing anna"))
    refused = tocsin("reload", *config)
    assert refused.returncode == 1 and f"{folder}/gate.toml:4: sample 1: severity is 9, not 13" in refused.stderr
    assert tocsin("check", *config).returncode == 78

    (folder / "gate.toml").write_text(GATE.replace("GATE", "DOOR"))
    assert "restarted parser" in tocsin("reload", *config).stdout
    own_daemon.wait_until(lambda: changed(before, pids(own_daemon)) == {"parser"} and own_daemon.health()["state"] == "ok")
    own_daemon.send_udp(b"<13>DOOR error bob door 9 forced", b"<13>GATE error bob door 9 forced")
    own_daemon.wait_until(lambda: len(own_daemon.events()) == 2)
    formats = [own_daemon.get(f"/api/v1/events/{event['id']}")["fields"].get("format") for event in own_daemon.events()]
    assert sorted(map(str, formats)) == ["Gate", "None"]
