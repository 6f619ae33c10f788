"""The reasons why HTTP requests get no response, with real servers that give none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests
import urllib3

from catloader.demo.client import free_port
from catloader.no_answer import reason_of


@contextmanager
def _listening(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Accept one connection and pass it to ``answer``; yield host and port of the server."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def _cut(connection: socket.socket) -> None:
    connection.recv(1000)


def _cut_body(connection: socket.socket) -> None:
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")


def _silence(connection: socket.socket) -> None:
    while connection.recv(1000):  # until the client gives up
        pass


def _plain_text(connection: socket.socket) -> None:
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize("library", ["requests", "urllib3"])
@pytest.mark.parametrize(
    ("scheme", "answer", "reason"),
    [
        ("http", _cut, "the connection was cut"),
        ("http", _cut_body, "the connection was cut"),
        ("http", _silence, "no answer in time"),
        ("https", _plain_text, "no trusted certificate, or no TLS"),
    ],
)
def test_the_reason_names_how_a_server_failed_to_respond(
    library: str, scheme: str, answer: Callable[[socket.socket], None], reason: str
) -> None:
    with _listening(answer) as place:
        assert _reason(library, f"{scheme}://{place}/secret") == reason


@pytest.mark.parametrize("library", ["requests", "urllib3"])
def test_the_reason_names_a_missing_server_and_an_unknown_name(library: str) -> None:
    assert _reason(library, f"http://127.0.0.1:{free_port()}/secret") == "no connection"
    assert _reason(library, "http://nobody.invalid/secret") == "the name is unknown"


def test_the_reason_names_a_proxy_and_a_redirect_loop_and_never_the_address() -> None:
    proxies = {"http": f"http://127.0.0.1:{free_port()}"}
    with pytest.raises(requests.RequestException) as error:
        requests.get("http://127.0.0.1:9/secret", proxies=proxies, timeout=5)
    assert reason_of(error.value) == "the proxy refuses, or can't be reached"
    assert reason_of(requests.TooManyRedirects("30 redirects")) == "it redirects endlessly"
    assert reason_of(requests.RequestException("secret")) == "the connection failed"


def _reason(library: str, url: str) -> str:
    if library == "requests":
        with pytest.raises(requests.RequestException) as by_requests:
            requests.get(url, timeout=1, proxies={"http": "", "https": ""})
        return reason_of(by_requests.value)
    with pytest.raises(urllib3.exceptions.HTTPError) as by_urllib3, urllib3.PoolManager(timeout=1) as manager:
        manager.request("GET", url, retries=False)
    return reason_of(by_urllib3.value)
