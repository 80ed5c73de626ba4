"""A process that has imported every library, opened nothing, and forks the actors.

Why: a fresh interpreter takes 30 MB and half a second; a fork of a warm one takes about 4 MB and 20 ms. It has no
thread, no ZeroMQ context and no database, so that a fork of it is safe. `gc.freeze` keeps the collector from writing
into the pages that all actors share, and what every actor does first is rehearsed here for the same reason.

It forks twice: the intermediate exits at once, so that the kernel gives the actor to the nearest subreaper, which is
the supervisor. So the supervisor is the parent of every actor, may wait for it and takes it along when it dies; and the
fork server itself can die and be replaced without any actor noticing.

Requests and answers go over one SOCK_SEQPACKET pair, one packet each: an `Assignment` with the actor's listening sockets
as SCM_RIGHTS one way, the process id in decimal the other.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import signal
import socket
import sys

import trio

from actors.detectors.registry import DETECTORS
from actors.following.registry import FOLLOWERS
from daemon.configuration import Configuration
from daemon.logs import set_up_logging
from daemon.receivers import RECEIVERS
from daemon.runner import run_in_fork
from daemon.topology import child_specs
from protocol.messages import Beat, decode_message, encode_message

MAX_REQUEST_BYTES = 1 << 20
MAX_SOCKETS = 16

PRELOAD = (
    "apsw",
    "msgpack",
    "msgspec",
    "numpy",
    "numpy.random",
    "encodings.idna",
    "trio",
    "zmq",
    "quart",
    "quart_trio",
    "hypercorn.trio",
    *(location.partition(":")[0] for location in (*DETECTORS.values(), *FOLLOWERS.values())),
    *(spec.target for spec in child_specs(Configuration())),
    *(spec.target for spec in RECEIVERS.values()),
)


def _fork_actor(raw: bytes, sockets: list[socket.socket], control: socket.socket) -> int:
    """Fork twice; in the grandchild, run the actor and never return. Return the grandchild's process id."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child:
        os.close(write_end)
        pid = int(os.read(read_end, 32) or b"0")
        os.close(read_end)
        os.waitpid(child, 0)
        return pid
    intermediate = os.getpid()
    grandchild = os.fork()
    if grandchild:
        os.write(write_end, str(grandchild).encode())
        os._exit(0)
    control.close()
    os.close(read_end)
    os.close(write_end)
    while os.getppid() == intermediate:
        os.sched_yield()
    os._exit(run_in_fork(raw, sockets))


async def _rehearse() -> None:
    """Do once what every actor does at its start: what that leaves in memory is then shared, about 1 MB an actor."""
    set_up_logging("fork server")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 0)
        with trio.move_on_after(1):
            await trio.lowlevel.checkpoint()
    beat = Beat("rehearsal", 1, "ok", "", {"counter": 1}, {"gauge": 1})
    assert decode_message(encode_message(beat))[0] == beat


def serve(control: socket.socket) -> None:
    """Fork actors on request until the supervisor closes its end."""
    for name in PRELOAD:
        importlib.import_module(name)
    trio.run(_rehearse)
    gc.collect()
    gc.freeze()
    ctypes.CDLL(None).malloc_trim(0)
    control.send(b"ready")
    while True:
        raw, fds, _, _ = socket.recv_fds(control, MAX_REQUEST_BYTES, MAX_SOCKETS)
        if not raw:
            return
        sockets = [socket.socket(fileno=fd) for fd in fds]
        control.send(str(_fork_actor(raw, sockets, control)).encode())
        for each in sockets:
            each.close()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    gc.disable()
    serve(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    main()
