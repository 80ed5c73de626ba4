"""The sockets that systemd holds for the daemon (sd_listen_fds(3)): taken once, by the process that they are meant for.

systemd binds the ports of a `.socket` unit, as root, and keeps them open while the daemon is stopped or started anew: no
privilege is needed here, and what arrives meanwhile waits in the kernel. Descriptors begin at 3; LISTEN_FDS says how
many, LISTEN_FDNAMES what the unit calls them (`FileDescriptorName=`), LISTEN_PID for whom they are.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import MutableMapping

import msgspec

FIRST_FD = 3  # SD_LISTEN_FDS_START
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")

log = logging.getLogger(__name__)


class InheritedSocket(msgspec.Struct, frozen=True):
    """A socket that was open when the daemon started, under the name that its unit gives it."""

    name: str
    socket: socket.socket

    def __str__(self) -> str:
        return f"{self.name!r} ({self.socket.type.name} on {show_address(self.socket)})"


def take_sockets(environment: MutableMapping[str, str] = os.environ, first_fd: int = FIRST_FD) -> list[InheritedSocket]:
    """Return the sockets that were passed to this very process, and take the variables out of the environment.

    Children shall neither take them for theirs nor get the descriptors: those are closed at the next exec.
    """
    pid, count, names = (environment.get(name, "") for name in _VARIABLES[:3])
    for variable in _VARIABLES:
        environment.pop(variable, None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    named = names.split(":") if names else []
    taken = []
    for index, fd in enumerate(range(first_fd, first_fd + int(count))):
        name = named[index] if index < len(named) else "unknown"
        try:
            os.set_inheritable(fd, False)
            taken.append(InheritedSocket(name, _open(fd)))
        except OSError as error:
            log.warning("descriptor %d, %r, was passed and is not used: %s", fd, name, error.strerror or error)
    return taken


def show_address(bound: socket.socket) -> str:
    """Return where a socket is bound, as configurations write it: `127.0.0.1:514`, `[::]:514`."""
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _open(fd: int) -> socket.socket:
    """Return the socket of a descriptor, not blocking. Raises OSError, and closes it, if it is none of the Internet."""
    try:
        opened = socket.socket(fileno=fd)
    except OSError:
        os.close(fd)
        raise
    if opened.family not in (socket.AF_INET, socket.AF_INET6):
        opened.close()
        raise OSError("it is no socket of IPv4 or IPv6")
    opened.setblocking(False)
    return opened
