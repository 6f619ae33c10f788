"""The listening socket: address families, and errors in one sentence."""

from __future__ import annotations

import socket

import pytest

from catloader.checks.dispatch import local_url
from catloader.demo.client import free_port
from catloader.errors import StartupError
from catloader.server.listener import listening


def _connect(host: str, port: int) -> None:
    socket.create_connection((host, port), timeout=60).close()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::", "0::0"])
def test_the_any_address_of_ipv6_accepts_ipv4_connections_too(host: str) -> None:
    port = free_port()
    with listening(host, port, "HOST", "PORT"):
        _connect("127.0.0.1", port)
        _connect("::1", port)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        (64 * "a", "HOST is 'a+', which is not an address"),
        ("no such name", "HOST is 'no such name', which is not an address"),
        ("192.0.2.1", "set HOST"),
        ("*", "HOST is '\\*'; for all addresses, use 0.0.0.0"),
        ("fe80::1%lo", r"of fe80::1%lo cannot be opened: [^()]+\.$|set HOST"),
    ],
)
def test_unusable_address_is_reported_in_one_sentence(host: str, reason: str) -> None:
    with pytest.raises(StartupError, match=reason), listening(host, free_port(), "HOST", "PORT"):
        pass


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("0::0", "http://[::1]:80"),
        ("2001:db8::1", "http://[2001:db8::1]:80"),
        ("localhost", "http://localhost:80"),
    ],
)
def test_local_url_can_be_connected_to(host: str, url: str) -> None:
    assert local_url(host, 80) == url
