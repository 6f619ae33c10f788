"""The listening socket of a server, and the address at which a program on this machine reaches it."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address

from catloader.errors import StartupError

_BACKLOG = 2048


@contextlib.contextmanager
def listening(
    host: str, port: int, host_setting: str, port_setting: str, *, stalled_s: float = 60.0
) -> Iterator[socket.socket]:
    """Hold the port from the first moment: early connections wait instead of being refused.

    ``::`` listens on IPv4 too. Connections inherit the kernel's own timeouts: gunicorn reads and writes
    without any, and a peer that falls silent in the middle of a request would keep a thread for ever.

    Raises:
        StartupError: the port cannot be opened; says why, and which setting to change.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        any_ipv6 = family == socket.AF_INET6 and ip_address(address[0]).is_unspecified
        listener = socket.create_server(
            (host, port),
            family=family,
            backlog=_BACKLOG,
            dualstack_ipv6=any_ipv6 and socket.has_dualstack_ipv6(),
        )
    except socket.gaierror:
        raise StartupError(f"{host_setting} is {host!r}, which is not an address.") from None
    except OSError as error:
        name = f"Port {port} of {host}"
        reasons = {
            errno.EADDRINUSE: f"{name} is in use; stop the program that has it, or set {port_setting}.",
            errno.EACCES: f"{name} is not for this user; set {port_setting} above 1023.",
            errno.EADDRNOTAVAIL: f"{host} is not an address of this machine; set {host_setting}.",
        }
        other = f"{name} cannot be opened: {error.strerror}."
        raise StartupError(reasons.get(error.errno or 0, other)) from error
    # Inherited too. Head and body of an answer are two writes: without it the second one waits for the
    # client's delayed acknowledgement of the first, 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for timeout in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        seconds, microseconds = divmod(round(stalled_s * 1e6), 1_000_000)
        value = struct.pack("@ll", seconds, microseconds)  # struct timeval
        listener.setsockopt(socket.SOL_SOCKET, timeout, value)
    with listener:
        yield listener
