"""The listening sockets: bound once by the supervisor, handed to receivers at every start.

A receiver that is restarted finds its sockets as it left them: connections wait in the backlog, datagrams in the buffer.
"""

from __future__ import annotations

import socket
from contextlib import suppress

from daemon.configuration import Configuration, ConfigurationError, Fault, parse_address

BACKLOG = 512
UDP_BUFFER_BYTES = 8 << 20  # asked for; the kernel may give less (net.core.rmem_max)


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


def bind_all(configuration: Configuration) -> dict[str, socket.socket]:
    """Return every socket of the enabled receivers and the front end. Raises ConfigurationError with all faults."""
    receivers = configuration.receivers
    wanted = [("http", "http.listen", configuration.http.listen, socket.SOCK_STREAM)]
    if receivers.syslog.enabled:
        wanted.append(("syslog.udp", "receivers.syslog.udp", receivers.syslog.udp, socket.SOCK_DGRAM))
        wanted.append(("syslog.tcp", "receivers.syslog.tcp", receivers.syslog.tcp, socket.SOCK_STREAM))
        if receivers.syslog.tls:
            wanted.append(("syslog.tls", "receivers.syslog.tls", receivers.syslog.tls, socket.SOCK_STREAM))
    if receivers.otlp_grpc.enabled:
        wanted.append(("otlp_grpc", "receivers.otlp_grpc.listen", receivers.otlp_grpc.listen, socket.SOCK_STREAM))
    if receivers.otlp_http.enabled:
        wanted.append(("otlp_http", "receivers.otlp_http.listen", receivers.otlp_http.listen, socket.SOCK_STREAM))
    bound: dict[str, socket.socket] = {}
    faults = []
    for name, key, address, kind in wanted:
        try:
            bound[name] = _bind(address, kind)
        except OSError as error:
            faults.append(Fault(key, f"cannot listen on {address}: {error.strerror or error}"))
    if faults:
        for each in bound.values():
            with suppress(OSError):
                each.close()
        raise ConfigurationError(faults)
    return bound
