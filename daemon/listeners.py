"""The listening sockets: bound once by the supervisor, handed to receivers at every start.

A receiver that is restarted finds its sockets as it left them: connections wait in the backlog, datagrams in the buffer.
A socket that systemd holds for us (`daemon/activation.py`) stands in for the one that we would bind: it matches by its
name, which is that of the socket (`syslog.udp`, `http`) or of the receiver, and by its kind. Then the address in the
configuration is not bound.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path

from daemon.activation import InheritedSocket, show_address
from daemon.configuration import Configuration
from daemon.configuration_loader import ConfigurationError, Fault
from daemon.sections import is_loopback, parse_address

BACKLOG = 512
UDP_BUFFER_BYTES = 8 << 20  # asked for; the kernel may give less (net.core.rmem_max)
_RMEM_MAX = Path("/proc/sys/net/core/rmem_max")

log = logging.getLogger(__name__)


def _bind(address: str, kind: socket.SocketKind) -> socket.socket:
    host, port = parse_address(address)
    family, _, _, _, target = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
    bound = socket.socket(family, kind)
    try:
        if kind is socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind is socket.SOCK_DGRAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER_BYTES)
        bound.bind(target)
        if kind is socket.SOCK_STREAM:
            bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


def _matches(given: InheritedSocket, name: str, kind: socket.SocketKind) -> bool:
    """Tell whether a socket that was passed to us is the one of this name and kind."""
    if given.name not in (name, name.partition(".")[0]) or given.socket.type is not kind:
        return False
    listens = given.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return kind is socket.SOCK_DGRAM or bool(listens)


def _raise_buffer(udp: socket.socket) -> None:
    """Give a socket that we did not make the buffer that we would ask for, if that is more than it has.

    systemd may have given it more than net.core.rmem_max (`ReceiveBuffer=`); asking again would take that away.
    """
    try:
        most = int(_RMEM_MAX.read_text())
    except (OSError, ValueError):
        return
    if udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) < 2 * min(most, UDP_BUFFER_BYTES):  # socket(7): doubled
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER_BYTES)


def _adopt(given: list[InheritedSocket], name: str, kind: socket.SocketKind) -> socket.socket | None:
    """Take the first socket that matches out of those that were passed to us."""
    found = next((each for each in given if _matches(each, name, kind)), None)
    if found is None:
        return None
    given.remove(found)
    log.info("%s is %s, passed by systemd", name, found)
    if kind is socket.SOCK_DGRAM:
        _raise_buffer(found.socket)
    return found.socket


def _close_others(given: Sequence[InheritedSocket]) -> None:
    for each in given:
        log.warning("socket %s was passed by systemd and is closed: nothing that is enabled wants it", each)
        each.socket.close()


def bind_all(configuration: Configuration, inherited: Sequence[InheritedSocket] = ()) -> dict[str, socket.socket]:
    """Return every socket of the enabled receivers and the front end, those in `inherited` first.

    Raises ConfigurationError with all faults.
    """
    bound: dict[str, socket.socket] = {}
    faults = []
    given = list(inherited)
    for name, (key, address, kind) in _wanted(configuration).items():
        try:
            bound[name] = _adopt(given, name, kind) or _bind(address, kind)
        except OSError as error:
            faults.append(_fault(key, address, error))
    _close_others(given)
    faults += _open_doors(configuration, bound)
    if faults:
        _close_all(bound.values())
        raise ConfigurationError(faults)
    return bound


def rebind(
    configuration: Configuration, before: Configuration, bound: Mapping[str, socket.socket], adopted: Set[str] = frozenset()
) -> dict[str, socket.socket]:
    """Return the sockets of another configuration: the same where the address is the same, else new ones.

    Those in `adopted` are systemd's: they stay whatever the address, for the configuration does not bind them, and
    nobody else would read what they go on to receive.

    Raises ConfigurationError with all faults; then nothing is bound that was not before. What is not wanted any more is
    left open, for whoever still uses it.
    """
    wanted, wanted_before = _wanted(configuration), _wanted(before)
    kept = {
        name: each
        for name, each in bound.items()
        if name in adopted or (name in wanted and wanted[name] == wanted_before.get(name))
    }
    fresh: dict[str, socket.socket] = {}
    faults = []
    for name, (key, address, kind) in wanted.items():
        try:
            if name not in kept:
                fresh[name] = _bind(address, kind)
        except OSError as error:
            faults.append(_fault(key, address, error))
    faults += _open_doors(configuration, kept | fresh)
    if faults:
        _close_all(fresh.values())
        raise ConfigurationError(faults)
    return kept | fresh


def _wanted(configuration: Configuration) -> dict[str, tuple[str, str, socket.SocketKind]]:
    """Return {name of the socket: (key of its address, address, kind)} of the front end and the enabled receivers."""
    wanted = {"http": ("http.listen", configuration.http.listen, socket.SOCK_STREAM)}
    for name, section in configuration.enabled_receivers().items():
        for each in section.listeners():
            wanted[each.socket] = (f"receivers.{name}.{each.key}", each.address, each.kind)
    return wanted


def _fault(key: str, address: str, error: OSError) -> Fault:
    return Fault(key, f"cannot listen on {address}: {error.strerror or error}")


def _close_all(sockets: Iterable[socket.socket]) -> None:
    for each in sockets:
        with suppress(OSError):
            each.close()


def _open_doors(configuration: Configuration, bound: dict[str, socket.socket]) -> list[Fault]:
    """Return the fault of a front end that others can reach without a token, on a socket that was passed to us too."""
    if "http" not in bound or configuration.http.token:
        return []
    address = show_address(bound["http"])
    if is_loopback(address):
        return []
    return [Fault("http.token", f"{address} is reachable from other machines: set a token of at least 16 characters")]
