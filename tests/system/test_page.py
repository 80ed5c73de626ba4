"""The live page in a real browser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from tests.browser import CHROMIUM, open_page
from tests.daemon_process import DaemonProcess

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

HOSTILE = b"<38>Nov 23 10:00:00 web app: <img src=x onerror=\"document.title='owned'\"> & <script>document.title='owned'</script>"


def test_the_page_shows_events_live_renders_markup_as_text_and_says_when_it_is_cut_off(own_daemon: DaemonProcess) -> None:
    own_daemon.start()
    own_daemon.send_udp(b"<38>Nov 23 10:00:00 web app: from before the page was opened")
    own_daemon.wait_until(lambda: len(own_daemon.events()) == 1)

    async def look() -> None:
        async with open_page(f"http://127.0.0.1:{own_daemon.http}/") as page:
            await page.wait_for("document.querySelectorAll('#events tr').length === 1")
            own_daemon.send_udp(HOSTILE)
            await page.wait_for("document.querySelectorAll('#events tr').length === 2")
            assert "<img src=x" in await page.evaluate("document.querySelector('#events tr td.message').textContent")
            assert await page.evaluate("document.querySelectorAll('#events img, #events script').length") == 0
            await page.wait_for("document.querySelectorAll('#subsystems li.ok').length === 10")
            assert await page.evaluate("document.title") == "Tocsin"
            assert await page.evaluate("document.getElementById('banner').hidden")
            for _ in range(5):
                own_daemon.send_udp(b"<38>Nov 23 10:00:00 bastion sshd[7]: Failed password for root from 10.0.1.42 port 22 ssh2")
            await page.wait_for("document.querySelector('#alerts li[title=\"sigma ssh_brute_force\"] .attack') !== null")
            chip = "document.querySelector('#alerts li[title=\"sigma ssh_brute_force\"] .attack').textContent"
            assert await page.evaluate(chip) == "T1110.001 credential access"
            assert await page.evaluate("document.querySelectorAll('#events tr .attack').length") == 5
            if folder := os.environ.get("SCREENSHOTS"):
                await page.screenshot(Path(folder) / "page.png")
            assert page.complaints == []
            await trio.to_thread.run_sync(own_daemon.stop)
            await page.wait_for("!document.getElementById('banner').hidden")
            await trio.to_thread.run_sync(own_daemon.start)
            await page.wait_for("document.getElementById('banner').hidden", 20)
            own_daemon.send_udp(b"<38>Nov 23 10:00:00 web app: after the pause")
            await page.wait_for("document.querySelector('#events tr td.message').textContent.startsWith('after the pause')")

    trio.run(look)
