"""Send POST requests to an external address; refuse private networks, even behind a public host name."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from catloader.answer_time import pool_classes, response_class
from catloader.no_answer import reason_of

_CONNECT_S = 3.0
_READ_S = 10.0
_IPV4_IN_LAST_32_BITS = ip_network("::/96"), ip_network("64:ff9b::/96")
"""Networks of RFC 4291, section 2.5.5.1, and RFC 6052."""
_NOT_GLOBAL = tuple(
    ip_network(text)
    for text in ("192.0.0.0/24", "64:ff9b:1::/48", "::ffff:0:0:0/96", "3fff::/20", "5f00::/16")
)
"""Networks of IANA's registries of special addresses that some versions of Python call global, and RFC 7915's
translated IPv4 addresses."""


class PrivateTarget(urllib3.exceptions.HTTPError):
    """The address belongs to this machine or to a private network."""


def is_public(address: str) -> bool:
    """Return True for an address of the internet: not loopback, private, link-local, shared or reserved."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        if (inner := _inner(ip)) is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOT_GLOBAL)


def _inner(ip: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to: mapped, 6to4, compatible, or by NAT64."""
    if any(ip in network for network in _IPV4_IN_LAST_32_BITS):
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour


class _PublicOnly:
    """Checks the address of the open connection, which later DNS responses can't change."""

    def _new_conn(self) -> socket.socket:
        connection: socket.socket = super()._new_conn()  # type: ignore[misc]  # of HTTPConnection
        address = connection.getpeername()[0]
        if not is_public(address):
            connection.close()
            reason = "is an address of this machine or of a private network"
            raise PrivateTarget(f"{address} {reason} (CATLOADER_WEBHOOK_PRIVATE=on allows it)")
        return connection


class _PublicHTTP(_PublicOnly, HTTPConnection):
    pass


class _PublicHTTPS(_PublicOnly, HTTPSConnection):
    pass


class _PublicHTTPPool(HTTPConnectionPool):
    ConnectionCls = _PublicHTTP


class _PublicHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _PublicHTTPS


class Target:
    """The receiver. Ignores proxies in the environment, and does not follow redirects. Not thread-safe."""

    def __init__(self, url: str, *, allow_private: bool, read_s: float = _READ_S) -> None:
        """
        Args:
            read_s: timeout for the head of the response, whose body is not read.
        """
        self._url = url
        parts = urlsplit(url)
        self.name = f"{parts.scheme}://{parts.hostname}"
        """Name for the log: path and query may contain a token."""
        self._manager = urllib3.PoolManager(
            retries=False, timeout=urllib3.Timeout(connect=_CONNECT_S, read=read_s)
        )
        pools = () if allow_private else (_PublicHTTPPool, _PublicHTTPSPool)
        self._manager.pool_classes_by_scheme = pool_classes(response_class(read_s), *pools)

    def post(self, body: str, headers: dict[str, str]) -> tuple[int, str]:
        """Send the body; return the status and a short error, which is empty after a 2xx."""
        try:
            # The body of the response is not needed and could be endless.
            response = self._manager.request(
                "POST",
                self._url,
                body=body.encode(),
                headers={"content-type": "application/json", **headers},
                redirect=False,
                preload_content=False,
            )
            response.close()
        except PrivateTarget as error:
            return 0, str(error)
        except urllib3.exceptions.HTTPError as error:
            return 0, reason_of(error)
        if 200 <= response.status < 300:
            return response.status, ""
        return response.status, f"HTTP {response.status}"

    def close(self) -> None:
        self._manager.clear()
