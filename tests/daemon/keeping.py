"""A keeper with one toy actor, in a process of its own: `python -m tests.daemon.keeping CASE FOLDER` prints JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from daemon.child import Child
from daemon.keeper import Escalation, Keeper
from daemon.restart import RestartPolicy
from daemon.runner import leaves
from daemon.spawner import become_subreaper
from daemon.topology import ChildSpec
from daemon.transport import Post
from protocol.messages import Beat, Isolate
from tests.daemon.toy_actor import KEY

DOES = {
    "lives": "serves", "fork server dies": "serves", "dies": "exits", "fails": "raises", "hangs": "hangs",
    "poison": "is poisoned",
}  # fmt: skip


class Site:
    """State: the child, and what was told."""

    def __init__(self, folder: Path, does: str, nursery: trio.Nursery) -> None:
        self.post = Post(folder, "supervisor", bound=64)
        self.receiver = Post(folder, KEY.receiver, bound=64).inbox("control")
        self._inbox = self.post.inbox("control")
        self.told: list[str] = []
        self.keeper = Keeper(self.post, self._tell, {}, state_dir=folder, runtime_dir=folder)
        policy = RestartPolicy(intensity=2, period_s=60.0)
        self.child = Child(ChildSpec("toy", "parser", "tests.daemon.toy_actor", {"does": does}, policy=policy))
        nursery.start_soon(self._receive)
        nursery.start_soon(self._look_after)

    def _tell(self, kind: str, text: str, *, severity: int, **fields: Any) -> None:
        self.told.append(kind)

    async def _receive(self) -> None:
        while True:
            message, _ = await self._inbox.receive()
            if isinstance(message, Beat) and message.incarnation == self.child.incarnation:
                self.child.last_beat_s = trio.current_time()
                self.child.health.take_beat(message)
                if message.state == "ok":
                    self.child.note_ready(trio.current_time())

    async def _look_after(self) -> None:
        while True:
            await trio.sleep(0.1)
            self.keeper.look_after([self.child])


async def lives(site: Site, nursery: trio.Nursery) -> dict[str, Any]:
    nursery.start_soon(site.keeper.keep, site.child)
    await site.child.wait_ready(1)
    status = Path(f"/proc/{site.child.pid}/status").read_text().splitlines()
    seen = dict(line.split(":\t") for line in status if line.startswith(("Name", "PPid")))
    site.keeper.command(site.child, "drain")
    await site.keeper.take_leave(site.child, 5)
    await site.child.ended.wait()
    return {"name": seen["Name"], "is_ours": seen["PPid"] == str(os.getpid()), "pid_after": site.child.pid}


async def fork_server_dies(site: Site, nursery: trio.Nursery) -> dict[str, Any]:
    nursery.start_soon(site.keeper.keep, site.child)
    await site.child.wait_ready(1)
    before = site.child.pid
    fork_server = site.keeper._spawner._process
    assert fork_server is not None
    fork_server.kill()
    fork_server.wait()
    await trio.sleep(0.3)
    alive = site.child.health.state
    os.kill(before, signal.SIGKILL)
    await site.child.wait_ready(2)
    return {"alive": alive, "is_another": site.child.pid != before, "restarts": site.child.health.restarts}


async def dies(site: Site, nursery: trio.Nursery) -> dict[str, Any]:
    try:
        await site.keeper.keep(site.child)
    except Escalation as error:
        return {"escalation": str(error)}
    return {}


async def hangs(site: Site, nursery: trio.Nursery) -> dict[str, Any]:
    nursery.start_soon(site.keeper.keep, site.child)
    await site.child.wait_ready(2)
    return {"note": site.child.health.note, "restarts": site.child.health.restarts}


async def poison(site: Site, nursery: trio.Nursery) -> dict[str, Any]:
    nursery.start_soon(site.keeper.keep, site.child)
    message, _ = await site.receiver.receive()
    assert isinstance(message, Isolate)
    return {"isolates": [message.tag, message.first, message.last]}


Case = Callable[[Site, trio.Nursery], Awaitable[dict[str, Any]]]
CASES: dict[str, Case] = {
    "lives": lives, "fork server dies": fork_server_dies, "dies": dies, "fails": dies, "hangs": hangs, "poison": poison,
}  # fmt: skip


async def main(case: str, folder: Path) -> None:
    become_subreaper()
    async with trio.open_nursery() as nursery:
        site = Site(folder, DOES[case], nursery)
        await site.keeper.start()
        with trio.fail_after(40):
            found = await CASES[case](site, nursery)
        print(json.dumps(found | {"told": site.told, "incarnation": site.child.incarnation}))
        site.keeper.stopping = True
        site.child.kill()
        nursery.cancel_scope.cancel()
    site.keeper.close()


if __name__ == "__main__":
    try:
        trio.run(main, sys.argv[1], Path(sys.argv[2]))
    except BaseExceptionGroup as error:
        sys.exit("\n".join(map(repr, leaves(error))))
