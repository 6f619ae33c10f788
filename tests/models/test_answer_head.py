"""Responses whose head never comes, or comes after ``100 Continue``."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import pytest
import requests

from models.answer_head import session_with_limited_heads

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def _server(continues: int) -> tuple[socket.socket, str]:
    """Return a server that sends ``100 Continue`` this often, every 50 ms, and then a body."""
    listener, pause = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def respond() -> None:
        with listener.accept()[0] as connection, suppress(OSError):
            connection.recv(65536)
            for _ in range(continues):
                connection.sendall(_CONTINUE)
                pause.wait(0.05)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole")

    threading.Thread(target=respond, daemon=True).start()
    return listener, f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("through", ["", "proxy"])
def test_a_response_whose_head_never_comes_ends_with_a_timeout(
    through: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, address = _server(continues=400)
    if through:
        monkeypatch.setenv("http_proxy", f"http://{address}")
    url = "http://mirror.invalid/" if through else f"http://{address}/"
    with listener, session_with_limited_heads(0.3) as session, pytest.raises(requests.ReadTimeout):
        session.get(url, timeout=30)


def test_a_response_may_begin_with_continue() -> None:
    listener, address = _server(continues=2)
    with listener, session_with_limited_heads(30) as session:
        assert session.get(f"http://{address}/", timeout=30).content == b"whole"
