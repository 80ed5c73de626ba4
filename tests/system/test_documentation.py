"""What a running daemon shows of itself is documented."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest
import trio

from tests.browser import CHROMIUM, open_page
from tests.daemon_process import ROOT, DaemonProcess

LINES = b"".join(b"<38>Nov 23 10:00:00 web app: request %d served\n" % i for i in range(200))


def test_every_metric_of_a_running_daemon_is_documented(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    own_daemon.send_tcp(LINES)
    own_daemon.wait_until(lambda: len(own_daemon.events()) == 200)
    # Health and metrics are as old as the last heartbeat.
    own_daemon.wait_until(lambda: own_daemon.actor("recorder")["counters"].get("committed_events") == 200)
    own_daemon.wait_until(lambda: "warm" in own_daemon.actor("markov")["gauges"])
    with urllib.request.urlopen(f"http://127.0.0.1:{own_daemon.http}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    shown = set(re.findall(r"^(tocsin_\w+)", text, re.MULTILINE))
    assert {"tocsin_committed_events_total", "tocsin_edge_messages_total", "tocsin_warm"} <= shown
    documented = set(re.findall(r"`(tocsin_\w+)`", (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")))
    assert shown <= documented


def test_the_files_of_the_state_directory_are_documented(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    own_daemon.send_tcp(LINES)
    own_daemon.wait_until(lambda: len(own_daemon.events()) == 200)
    assert own_daemon.stop() == 0
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for path in own_daemon.state_dir.rglob("*"):
        if path.is_file():
            name = str(path.relative_to(own_daemon.state_dir))
            name = re.sub(r"\d{4}-\d\d-\d\d", "YYYY-MM-DD", name)
            name = re.sub(r"(spool|snapshots)/\w+", r"\1/NAME", name)
            name = re.sub(r"\d{16}", "*", re.sub(r"[.]\d+[.]journal", ".N.journal", name))
            assert f"`{name}`" in text, path


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_example_of_the_hand_over_has_no_gap_and_no_doubles(own_daemon: DaemonProcess) -> None:
    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    example = next(code for code in re.findall(r"```js\n(.*?)```", text, re.DOTALL) if "backfill" in code)
    example = example.replace("127.0.0.1:8080", f"127.0.0.1:{own_daemon.http}").replace("console.log(", "shown.push(")
    own_daemon.start()
    own_daemon.send_tcp(LINES * 12)  # more than a page of history

    async def follow() -> None:
        async with open_page(f"http://127.0.0.1:{own_daemon.http}/api/v1/openapi.json") as page:
            await page.evaluate("window.shown = []")
            # Event times of the lines are of another year's day: the example asks for the last ten minutes of them.
            await page.evaluate(f"(() => {{ {example} }})()".replace("Date.now() - 600_000", "0"))
            for _ in range(5):
                await trio.to_thread.run_sync(own_daemon.send_tcp, LINES)
                await trio.sleep(0.2)
            own_daemon.signal("frontend", signal.SIGKILL)
            await trio.to_thread.run_sync(own_daemon.send_tcp, LINES * 3)
            await page.wait_for("shown.length >= 2 * 4001", 20)
            await trio.sleep(1.0)
            # A time and a message each; the front end's death is told of too.
            assert await page.evaluate("shown.length") == 2 * 4001

    trio.run(follow)


def test_ports_that_are_taken_are_all_named_with_exit_78_and_nothing_is_left_behind(
    own_daemon: DaemonProcess, tmp_path: Path
) -> None:
    own_daemon.start()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    again = subprocess.run(
        [*own_daemon.command("run"), "--state-dir", str(tmp_path / "other")],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(temporary), "XDG_RUNTIME_DIR": ""},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert again.returncode == 78
    faults = again.stderr.splitlines()
    assert len(faults) == 5 and all(re.match(r"tocsin: [a-z._]+: cannot listen on ", fault) for fault in faults)
    assert list(temporary.iterdir()) == []


def test_a_daemon_that_gives_up_says_why_and_exits_with_1(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    assert own_daemon.stop() == 0
    (own_daemon.state_dir / "templates.journal").unlink()
    (own_daemon.state_dir / "templates.journal").mkdir()  # the parser cannot live with this
    run = subprocess.run(own_daemon.command("run"), cwd=ROOT, stderr=subprocess.PIPE, text=True, timeout=90)
    assert run.returncode == 1
    assert "tocsin: gives up: parser died too often: exited with status 1" in run.stderr


def test_a_runtime_directory_that_was_given_is_not_deleted(tmp_path: Path) -> None:
    given = tmp_path / "run"
    given.mkdir()
    (given / "of-someone-else").touch()
    with DaemonProcess(tmp_path, RUNTIME_DIRECTORY=str(given)) as running:
        assert running.health()["runtime_dir"] == str(given)
    assert (given / "of-someone-else").exists()
