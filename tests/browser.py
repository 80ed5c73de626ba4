"""A real Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from trio_websocket import WebSocketConnection, open_websocket_url

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1200,900",
    "--remote-debugging-port=0",
)


class Page:
    """One page; `violations` collects what its Content-Security-Policy refused and what failed in its scripts."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection
        self._next = 0
        self.complaints: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._next += 1
        await self._connection.send_message(json.dumps({"id": self._next, "method": method, "params": parameters}))
        while True:
            message = json.loads(await self._connection.get_message())
            if message.get("id") == self._next:
                assert "error" not in message, message
                return message["result"]
            if message.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(message["params"])[:500])
            if message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                self.complaints.append(message["params"]["entry"]["text"])

    async def evaluate(self, script: str) -> Any:
        result = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def wait_for(self, script: str, patience_s: float = 10.0) -> None:
        with trio.fail_after(patience_s):
            while not await self.evaluate(script):
                await trio.sleep(0.1)

    async def screenshot(self, path: Path) -> None:
        result = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(result["data"]))


@asynccontextmanager
async def open_page(url: str) -> AsyncIterator[Page]:
    """Open a page in a new Chromium."""
    assert CHROMIUM is not None
    # Its helper processes write to the profile for a moment after it is killed.
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            port_file = Path(profile) / "DevToolsActivePort"
            with trio.fail_after(30):
                while not port_file.exists() or not port_file.read_text().strip():
                    await trio.sleep(0.05)
            port = port_file.read_text().split()[0]
            target = await trio.to_thread.run_sync(_first_page, port)
            async with open_websocket_url(target, max_message_size=64 << 20) as connection:
                page = Page(connection)
                for domain in ("Page", "Runtime", "Log"):
                    await page.call(f"{domain}.enable")
                await page.call("Page.navigate", url=url)
                yield page
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _first_page(port: str) -> str:
    import time
    import urllib.request

    for _ in range(50):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            for target in json.load(answer):
                if target["type"] == "page":
                    return target["webSocketDebuggerUrl"]
        time.sleep(0.1)
    raise AssertionError("Chromium has no page")
