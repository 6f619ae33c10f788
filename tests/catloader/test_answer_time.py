"""Servers that send single bytes slowly: each byte is in time, but the whole response would never end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from http.client import HTTPConnection

import pytest
import requests
from botocore.exceptions import ReadTimeoutError

from catloader.answer_time import limit_session, response_class
from catloader.checks.dispatch import HttpPost
from catloader.checks.signatures import Signer, new_secret
from catloader.errors import ProviderUnavailable, StoreUnavailable
from catloader.mail.smtp import NotSent, SmtpServer
from catloader.oidc.provider import Provider
from catloader.store.kinds import ObjectKind
from catloader.store.s3.direct import DirectClient
from catloader.store.s3.objects import ObjectStore
from catloader.webhooks.target import Target

_HEAD = b"HTTP/1.1 200 OK\r\nX-Long: "
_BODY = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 100000\r\n\r\n'
_GREETING = b"220 "
_LIMIT_S, _PAUSE_S, _BYTES = 0.3, 0.02, 1000


class _Dripping:
    """Sends ``first`` at once, then single bytes for 20 seconds, and closes the connection."""

    def __init__(self, first: bytes, number: int = _BYTES) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._first, self._number = first, number
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.ended_early = threading.Semaphore(0)
        """Released for each connection that the client ended before the last byte."""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._drip, args=(connection,), daemon=True).start()

    def _drip(self, connection: socket.socket) -> None:
        pause = threading.Event()
        with connection:
            try:
                connection.sendall(self._first)
                for _ in range(self._number):
                    connection.sendall(b"a")
                    pause.wait(_PAUSE_S)
            except OSError:
                self.ended_early.release()

    def close(self) -> None:
        self._listener.close()


@contextmanager
def _dripping(first: bytes) -> Iterator[_Dripping]:
    server = _Dripping(first)
    yield server
    assert server.ended_early.acquire(timeout=60)
    server.close()


def _store(url: str) -> ObjectStore:
    return ObjectStore(
        endpoint_url=url,
        access_key_id="key",
        secret_access_key="secret",
        region="us-east-1",
        photos_bucket="photos",
        thumbnails_bucket="thumbnails",
        answer_s=_LIMIT_S,
    )


def _through_client(url: str) -> None:
    chunks, _ = _store(url).open(ObjectKind.PHOTO, "key")
    b"".join(chunks)


def _directly(url: str) -> None:
    client = DirectClient(
        url,
        access_key_id="key",
        secret_access_key="secret",
        region="us-east-1",
        max_connections=1,
        connect_s=30,
        wait_s=30,
        response=response_class(_LIMIT_S),
    )
    client.get("bucket", "key")


def _with_requests(url: str) -> None:
    with requests.Session() as session:
        session.trust_env = False
        limit_session(session, _LIMIT_S)
        session.get(url, timeout=30)


@pytest.mark.parametrize("first", [_HEAD, _BODY], ids=["head", "body"])
@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (_through_client, StoreUnavailable),
        (_directly, ReadTimeoutError),
        (_with_requests, (requests.Timeout, requests.ConnectionError)),
    ],
)
def test_a_dripping_response_ends_with_a_timeout(
    first: bytes, ask: Callable[[str], None], error: type[Exception] | tuple[type[Exception], ...]
) -> None:
    with _dripping(first) as server, pytest.raises(error, match=r"(?i)time"):
        ask(server.url)


def test_a_dripping_receiver_of_webhooks_is_given_up_after_the_timeout() -> None:
    with _dripping(_HEAD) as server:
        target = Target(server.url, allow_private=True, read_s=_LIMIT_S)
        assert target.post("{}", {}) == (0, "no answer in time")


def test_a_dripping_mail_server_is_given_up_after_the_timeout() -> None:
    with _dripping(_GREETING) as server:
        mails = SmtpServer("127.0.0.1", server.port, "off", timeout_s=_LIMIT_S / 4)
        assert mails.send(EmailMessage(), "anna@example.org") == NotSent("no answer", retryable=True)


@pytest.mark.slow
def test_a_dripping_provider_and_a_dripping_checker_hold_no_thread() -> None:
    with _dripping(_BODY) as provider, _dripping(_BODY) as checker:
        dispatcher = HttpPost(checker.url, Signer(new_secret(), lambda _id, _time: True), retry_s=60)
        dispatcher.wake()
        log_in = Provider(provider.url, "client", "", "https://cats.example.org/login/oidc/callback", "ID")
        with pytest.raises(ProviderUnavailable):
            log_in.examine()
    dispatcher.close()


def test_a_large_response_may_take_longer_than_a_small_one() -> None:
    server = _Dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n", number=50)
    connection = HTTPConnection("127.0.0.1", server.port)
    connection.response_class = response_class(_LIMIT_S, bytes_per_s=10)
    connection.request("GET", "/")
    assert connection.getresponse().read() == 50 * b"a"
    connection.close()
    server.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\n" + 2_000_000 * b"a",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n",
        20_000 * b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 200 OK\r\n\r\n",
    ],
    ids=["without end", "announced", "no head"],
)
def test_a_response_that_would_fill_the_memory_is_an_error(answer: bytes) -> None:
    with _dripping(answer) as server:
        connection = HTTPConnection("127.0.0.1", server.port)
        connection.response_class = response_class(30, max_bytes=1_000_000)
        connection.request("GET", "/")
        with pytest.raises(OSError, match="too large"):
            connection.getresponse().read()
        connection.close()
