"""Records that kill: real processes that really die of them, by a fault that is put into them from outside."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.daemon_process import DaemonProcess
from tests.system.test_commands import tocsin

# Python imports this module at every start, if it finds it; so it reaches the actors without a word in the product.
FAULT = """
import os, time
import importlib.abc, importlib.machinery, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != {module!r}:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            kind = getattr(module, {kind!r})
            really = getattr(kind, {method!r})
            def faulty(self, *arguments, **named):
                if {condition}:
                    {fault}
                return really(self, *arguments, **named)
            setattr(kind, {method!r}, faulty)
        spec.loader.exec_module = exec_module
        return spec

import importlib.util
sys.meta_path.insert(0, Finder())
"""
IN_PARSER = {
    "module": "actors.parsing.parse",
    "kind": "Parser",
    "method": "parse",
    "condition": "any(b'POISON' in record.body for record in arguments[0])",
}
IN_DETECTOR = {
    "module": "actors.detectors.hst",
    "kind": "HalfSpaceTrees",
    "method": "score",
    "condition": "(arguments[0].severity == 21).any()",
}


def start(folder: Path, fault: dict[str, str]) -> DaemonProcess:
    (folder / "fault").mkdir()
    (folder / "fault" / "sitecustomize.py").write_text(FAULT.format(**fault))
    return DaemonProcess(folder, PYTHONPATH=str(folder / "fault")).start()


def lines(first: int, count: int, priority: int = 38) -> bytes:
    return b"".join(b"<%d>Nov 23 10:00:00 web app: request %d served\n" % (priority, first + i) for i in range(count))


@pytest.mark.parametrize(
    ("fault", "how"),
    [
        ("raise ValueError('the parser cannot bear it')", "ValueError: the parser cannot bear it"),
        ("os.abort()", "SIGABRT"),
        ("time.sleep(1000)", "hung"),
    ],
)
def test_a_record_that_kills_the_parser_is_put_aside_and_the_stream_goes_on(tmp_path: Path, fault: str, how: str) -> None:
    daemon = start(tmp_path, IN_PARSER | {"fault": fault})
    try:
        poison = b"<38>Nov 23 10:00:00 web app: request POISON\n"
        daemon.send_tcp(lines(0, 300) + poison + lines(300, 300))
        daemon.wait_until(lambda: len(daemon.events()) == 601, 60)
        messages = [event["message"] for event in daemon.events()]
        assert [int(message.split()[1]) for message in messages if message.startswith("request")] == list(range(600))
        assert messages[300].startswith("a record of") and "parser died of it" in messages[300]
        name = re.search(r"show (\S+)\)", messages[300])[1]  # type: ignore[index]

        listed = tocsin("quarantine", "--config", str(daemon.config)).stdout
        assert len(listed.splitlines()) == 1 and listed.startswith(name) and how in listed
        shown = tocsin("quarantine", "--config", str(daemon.config), "show", name).stdout
        assert "request POISON" in shown and how in shown
        assert any("are put aside" in notice for notice in daemon.notices())
        assert daemon.health()["ledger"]["breaks"] == 0

        assert tocsin("quarantine", "--config", str(daemon.config), "drop", name).returncode == 0
        assert "is empty" in tocsin("quarantine", "--config", str(daemon.config)).stdout
        assert tocsin("quarantine", "--config", str(daemon.config), "show", name).returncode == 1
    finally:
        daemon.end()


def test_a_record_can_be_sent_again_once_the_cause_is_gone(tmp_path: Path) -> None:
    daemon = start(tmp_path, IN_PARSER | {"fault": "raise ValueError"})
    try:
        daemon.send_udp(b"<38>Nov 23 10:00:00 web app: request POISON")
        config = ["--config", str(daemon.config)]
        daemon.wait_until(lambda: len(daemon.events()) == 1, 30)
        assert daemon.stop() == 0
        (tmp_path / "fault" / "sitecustomize.py").unlink()
        daemon.start()
        name = tocsin("quarantine", *config).stdout.split()[0]
        assert tocsin("quarantine", *config, "retry", name).returncode == 0
        daemon.wait_until(lambda: "request POISON" in [event["message"] for event in daemon.events()])
        again = next(event for event in daemon.events() if event["message"] == "request POISON")
        assert again["source"] == "syslog"
        assert "is empty" in tocsin("quarantine", *config).stdout
    finally:
        daemon.end()


def test_many_records_that_kill_do_not_end_the_daemon(tmp_path: Path) -> None:
    daemon = start(tmp_path, IN_PARSER | {"fault": "raise ValueError"})
    try:
        for number in range(15):
            daemon.send_udp(b"<38>Nov 23 10:00:00 web app: POISON %d" % number)
            time.sleep(0.3)
        daemon.send_udp(b"<38>Nov 23 10:00:00 web app: request 1 served")
        daemon.wait_until(lambda: len(daemon.events()) == 16, 60)
        assert daemon.events()[-1]["message"] == "request 1 served"
        assert len(tocsin("quarantine", "--config", str(daemon.config)).stdout.splitlines()) == 15
        assert daemon.health()["ledger"]["breaks"] == 0
    finally:
        daemon.end()


def test_a_batch_that_kills_a_detector_twice_is_passed_over_by_it_alone(tmp_path: Path) -> None:
    daemon = start(tmp_path, IN_DETECTOR | {"fault": "raise ValueError"})
    try:
        daemon.send_tcp(lines(0, 100))
        daemon.wait_until(lambda: len(daemon.events()) == 100)
        daemon.send_tcp(lines(100, 1, priority=40))
        daemon.wait_until(lambda: len(daemon.events()) == 101)
        daemon.wait_until(lambda: daemon.actor("hst")["restarts"] == 2 and daemon.actor("hst")["state"] == "ok")
        before = daemon.actor("hst")["counters"].get("scored_events", 0)
        daemon.send_tcp(lines(101, 100))
        daemon.wait_until(lambda: daemon.actor("hst")["counters"].get("scored_events", 0) == before + 100)
        daemon.wait_until(lambda: len(daemon.events()) == 201)
        account = daemon.actor("hst")
        assert account["restarts"] == 2
        assert "passes over them" in daemon.log.read_text()
    finally:
        daemon.end()


def test_a_detector_that_always_dies_is_down_in_the_end_and_the_stream_goes_on(tmp_path: Path) -> None:
    daemon = start(tmp_path, IN_DETECTOR | {"condition": "True", "fault": "raise ValueError"})
    try:
        sent = 0
        while daemon.actor("hst")["state"] != "down":
            assert daemon.actor("hst")["restarts"] < 40, "it has used up more than twice its budget"
            daemon.send_tcp(lines(sent, 10))
            sent += 10
            time.sleep(0.2)
        daemon.send_tcp(lines(sent, 10))
        daemon.wait_until(lambda: len(daemon.events()) == sent + 10)
        health = daemon.health()
        assert health["state"] == "degraded" and health["actors"]["parser"]["restarts"] == 0
        assert health["ledger"]["breaks"] == 0
    finally:
        daemon.end()
