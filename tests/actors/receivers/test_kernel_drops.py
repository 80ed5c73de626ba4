from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from actors.receivers.kernel_drops import KernelDrops, drops_in

TABLE = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  125: 0100007F:1588 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 17
  126: 0100007F:1589 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 -1
garbage
"""


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["IPv4", "IPv6"])
def udp(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A socket with the smallest buffer that there is."""
    family, host = request.param
    with socket.socket(family, socket.SOCK_DGRAM) as made:
        try:
            made.bind((host, 0))
        except OSError:
            pytest.skip(f"no {host} here")
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        made.setblocking(False)
        yield made


def flood(udp: socket.socket, count: int) -> None:
    with socket.socket(udp.family, socket.SOCK_DGRAM) as sender:
        for _ in range(count):
            sender.sendto(bytes(500), udp.getsockname())


def drain(udp: socket.socket) -> int:
    received = 0
    with suppress(BlockingIOError):
        while udp.recv(65_536):
            received += 1
    return received


def test_the_table_is_read_as_the_kernel_writes_it() -> None:
    assert (drops_in(TABLE, 4711), drops_in(TABLE, 4712), drops_in(TABLE, 4713)) == (17, (1 << 32) - 1, None)


def test_what_was_sent_is_received_or_dropped(udp: socket.socket) -> None:
    drops = KernelDrops(udp, {})
    assert drops.take() == 0
    dropped = received = 0
    for count in (100, 1, 250):
        flood(udp, count)
        received += drain(udp)
        dropped += drops.take()
    assert dropped > 0 < received
    assert received + dropped == 351


def test_a_successor_counts_on_and_a_new_socket_begins_anew(udp: socket.socket) -> None:
    drops = KernelDrops(udp, {})
    flood(udp, 100)
    first = drops.take()
    flood(udp, 100)
    successor = KernelDrops(udp, drops.cursor())
    assert (successor.take(), successor.take()) == (100, 0)
    assert KernelDrops(udp, {"inode": -1, "drops": 5}).take() == first + 100
