"""Rules over REST, at a daemon that runs them."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from actors.sigma.settings import read_snapshot
from tests.actors.sigma.site import correlation, rule
from tests.daemon_process import DaemonProcess
from tests.stream_client import StreamClient

RULES = (
    rule("failed", "{s: ['Failed password'], condition: s}", more="tags: [attack.credential_access, attack.t1110]\n"),
    rule("asleep", "{s: ['Failed'], condition: s}"),
    correlation("force", "failed", "{gte: 3}"),
    correlation("dangling", "nowhere", "{gte: 3}"),
)
LINE = "<36>1 2026-05-13T08:00:%02dZ web sshd 4 - - Failed password for %s from 192.0.2.7 port 22 ssh2"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    folder = tmp_path_factory.mktemp("daemon")
    (folder / "rules").mkdir()
    (folder / "rules" / "site.yml").write_text("---\n".join(RULES))
    more = f'[rules]\nown = false\npaths = ["{folder}/rules"]\ndisabled = ["asleep"]\n'
    more += '[[rules.exceptions]]\nrule = "failed"\nwhere = {user = "tester"}\nreason = "our own tests"\n'
    with DaemonProcess(folder, more=more) as running:
        running.wait_until(lambda: read_snapshot(running.state_dir))
        running.send_udp(*(LINE.encode() % (second, b"root") for second in range(4)))
        running.wait_until(lambda: len(running.events()) == 4)
        running.wait_until(lambda: len(running.alerts()) == 1)
        running.wait_until(lambda: (read_snapshot(running.state_dir) or {})["engine"]["matched"], 25)
        yield running


def ask(daemon: DaemonProcess, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(f"http://127.0.0.1:{daemon.http}/api/v1/rules{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=40) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            assert error.headers["content-type"] == "application/problem+json"
            return error.code, json.load(error)


def test_the_list_and_one_rule(daemon: DaemonProcess) -> None:
    status, listing = ask(daemon, "")
    assert status == 200 and [each["state"] for each in listing["rules"]] == ["in force", "switched off", "in force", "refused"]
    assert "nowhere" in listing["refused"][0]["reason"]
    status, found = ask(daemon, "/failed")
    assert (status, found["matched"], found["silent"]) == (200, 4, True)
    assert found["last_matched"] == "2026-05-13T08:00:03.000Z" and found in listing["rules"]
    assert ask(daemon, "/none")[0] == 404


def test_coverage_and_what_can_never_match(daemon: DaemonProcess) -> None:
    techniques = ask(daemon, "/coverage")[1]["techniques"]
    assert [(each["techniqueID"], each["comment"]) for each in techniques] == [("T1110", "failed")]
    never = ask(daemon, "/never")[1]
    assert never["enough"] is False and never["never"] == [] and never["events"] >= 4


def test_lines_are_tried_in_their_order(daemon: DaemonProcess) -> None:
    body = "\n".join([*(LINE % (second, "bob") for second in range(3)), LINE % (9, "tester")]).encode()
    status, tried = ask(daemon, "/force/test", body)
    assert status == 200 and [each["judgements"][0]["matches"] for each in tried["lines"]] == [False, False, True, False]
    excepted = [each["judgements"][0]["rules"][0]["excepted"] for each in tried["lines"]]
    assert excepted == ["", "", "", "user = tester (our own tests)"]
    assert ask(daemon, "/force/test", b"\xff\xfe\x00")[0] == 200
    assert ask(daemon, "/force/test", b"")[0] == 400 and ask(daemon, "/force/test", b"x\n" * 1001)[0] == 400
    assert ask(daemon, "/force/test", b"x" * 70_000)[0] == 413
    assert ask(daemon, "/none/test", b"x")[0] == 404 and ask(daemon, "/force/test")[0] == 405


def test_why_and_backtest(daemon: DaemonProcess) -> None:
    event = daemon.events()[0]["id"]
    status, why = ask(daemon, f"/failed/why?event={event}")
    assert status == 200 and why["judgements"][0]["matches"] and why["message"].startswith("Failed password")
    assert ask(daemon, "/failed/why")[0] == 400 and ask(daemon, f"/none/why?event={event}")[0] == 404
    assert ask(daemon, "/failed/why?event=01ARZ3NDEKTSV4RRFFQ69G5FAV")[0] == 404
    assert "switched off" in ask(daemon, f"/asleep/why?event={event}")[1]["detail"]
    status, ran = ask(daemon, "/force/backtest?since=2026-05-13T00:00:00Z&until=2026-05-14T00:00:00Z")
    assert status == 200 and ran["complete"] and ran["events"] == 4
    assert (ran["rules"][0]["alerts"], ran["referred_to"][0]["matches"]) == (1, 4)
    assert ask(daemon, "/force/backtest?since=yesterday")[0] == 400 and ask(daemon, "/force/backtest?colour=red")[0] == 400


def test_the_guard_stands_before_rules_too(daemon: DaemonProcess) -> None:
    assert ask(daemon, "/force/test", b"x", Origin="http://evil.example")[0] == 403
    assert ask(daemon, "/force/test", b"x", Host="evil.example")[0] == 421


def test_the_stream_does_not_wait_for_what_is_heavy(daemon: DaemonProcess) -> None:
    with StreamClient(daemon.http) as client, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, daemon, "/force/test", (LINE % (1, "bob")).encode()) for _ in range(8)]
        beats = sum(b'"status"' in payload for payload in client.read(4.5))
        assert [each.result()[0] for each in asked] == [200] * 8
    assert beats >= 3


def test_a_daemon_without_rules_says_so(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path, more="[rules]\nenabled = false\n") as running:
        running.wait_until(lambda: running.health()["actors"])
        status, problem = ask(running, "")
        assert status == 503 and "rules.enabled" in problem["detail"]
