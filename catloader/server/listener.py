"""The listening socket of a server, opened before the server starts."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator
from ipaddress import ip_address

from catloader.errors import StartupError

BACKLOG = 2048


@contextlib.contextmanager
def listening(host: str, port: int, host_setting: str, port_setting: str) -> Iterator[socket.socket]:
    """Listen on the port early, so that connections wait during the start instead of being refused.

    ``::`` listens on IPv4 too.

    Raises:
        StartupError: the port cannot be opened; the text says why, and names the setting to change.
    """
    if host == "*":  # the resolver takes it for a name of this machine
        raise StartupError(f"{host_setting} is '*'; for all addresses, use 0.0.0.0, or :: with IPv6.")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        any_ipv6 = family == socket.AF_INET6 and ip_address(address[0]).is_unspecified
        listener = socket.create_server(
            address,
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=any_ipv6 and socket.has_dualstack_ipv6(),
        )
    except (socket.gaierror, UnicodeError):  # UnicodeError: not a valid host name
        raise StartupError(f"{host_setting} is {host!r}, which is not an address.") from None
    except OSError as error:
        name = f"Port {port} of {host}"
        reasons = {
            errno.EADDRINUSE: f"{name} is in use; stop the program that has it, or set {port_setting}.",
            errno.EACCES: f"{name} may not be opened by this user; set {port_setting} above 1023.",
            errno.EADDRNOTAVAIL: f"{host} is not an address of this machine; set {host_setting}.",
        }
        # Python appends the address in the form of a tuple.
        reason = str(error.strerror).partition(" (while attempting")[0]
        other = f"{name} cannot be opened: {reason}."
        raise StartupError(reasons.get(error.errno or 0, other)) from error
    with listener:
        yield listener
