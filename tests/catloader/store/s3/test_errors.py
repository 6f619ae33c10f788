"""Refusals by the object store are reported with their cause."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from catloader.errors import StoreUnavailable
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore
from catloader.store.s3.probes import Probes
from tests.support.left_open import close_left_open
from tests.support.object_stores import store_at


class _Refusing(BaseHTTPRequestHandler):
    """Refuses every request; ``ahead_s`` is the error of its clock."""

    protocol_version = "HTTP/1.1"  # so that it sends 100 Continue, for which a PUT waits up to a second
    ahead_s = 0.0

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((timestamp or time.time()) + self.ahead_s)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def _served(handler: type[BaseHTTPRequestHandler]) -> Iterator[ObjectStore]:
    """Yield a store that uses this server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield store_at(f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("ahead_s", "words"),
    [
        (3600, "refused a.jpg (403; this machine's clock is 60 minutes behind its clock)."),
        (-3600, "refused a.jpg (403; this machine's clock is 60 minutes ahead of its clock)."),
        (0, "refused a.jpg (403)."),
    ],
)
def test_a_wrong_clock_is_reported(ahead_s: float, words: str) -> None:
    handler = type("Handler", (_Refusing,), {"ahead_s": ahead_s})
    with _served(handler) as store, pytest.raises(StoreUnavailable) as raised:
        store.put(ObjectKind.PHOTO, "a.jpg", b"x")
    assert str(raised.value).endswith(words)


class _Page(BaseHTTPRequestHandler):
    """Responds to every request like a web console, a sign-in page or a proxy."""

    protocol_version = "HTTP/1.1"
    status, location = 200, ""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.status)
        if self.location:
            self.send_header("Location", self.location)
        self.send_header("Content-Length", "15")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"<html>hi</html>")

    do_GET = do_HEAD = do_PUT = do_DELETE = _answer  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def _page(status: int, location: str = "") -> AbstractContextManager[ObjectStore]:
    return _served(type("Handler", (_Page,), {"status": status, "location": location}))


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://key:secret@s3.example.org/photos?a=b", "https://s3.example.org"),
        ("/login", "another address"),
        ("", "another address"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirection_is_reported_and_not_followed(status: int, location: str, shown: str) -> None:
    with _page(status, location) as store:
        for use in (
            store.ensure_buckets,
            lambda: store.put(ObjectKind.PHOTO, "a.jpg", b"x"),
            lambda: store.get(ObjectKind.PHOTO, "a.jpg"),
        ):
            with pytest.raises(StoreUnavailable) as raised:
                use()
            assert str(raised.value) == (
                f"The server at {store.address} redirects to {shown}; "
                "set AWS_ENDPOINT_URL_S3 to the S3 server itself."
            )


class _OtherRegion(_Page):
    """Redirects like Amazon, with the region of the bucket, for which a request must be signed."""

    def send_response(self, code: int, message: str | None = None) -> None:
        is_there = "/eu-west-3/s3/" in self.headers["Authorization"]
        super().send_response(200 if is_there else 301, message)
        self.send_header("x-amz-bucket-region", "eu-west-3")


def test_redirection_to_another_region_is_followed() -> None:
    with _served(_OtherRegion) as store:
        assert store.exists(ObjectKind.PHOTO, "a.jpg")
        assert store.get(ObjectKind.PHOTO, "a.jpg") == b"<html>hi</html>"


def test_a_put_without_an_etag_in_the_response_is_refused() -> None:
    with _page(200) as store, pytest.raises(StoreUnavailable, match="does not confirm that it has stored"):
        store.put(ObjectKind.PHOTO, "a.jpg", b"x")


@contextmanager
def _answering(answer: bytes, times: int = 1) -> Iterator[ObjectStore]:
    """Yield a store whose server sends this response on each of its first connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_each() -> None:
            for _ in range(times):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        answering = threading.Thread(target=answer_each, daemon=True)
        answering.start()
        yield store_at(f"http://127.0.0.1:{listener.getsockname()[1]}")
        answering.join()


def test_status_404_for_a_put_is_a_refusal_by_the_server() -> None:
    error = b"<Error><Code>NoSuchKey</Code><Message>-</Message></Error>"
    head = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(error)
    with (
        _answering(head + error, times=2) as store,  # with and without boto3's client
        pytest.raises(StoreUnavailable, match=r"refused a\.jpg \(NoSuchKey\)\.") as raised,
    ):
        store.put(ObjectKind.PHOTO, "a.jpg", b"x")
    assert raised.value.cause == f"{store.address} NoSuchKey"  # one line a minute for all objects


def test_an_object_without_a_content_length_is_a_failure_of_the_server() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    with (
        _answering(chunked + b"1\r\nx\r\n0\r\n\r\n") as store,
        pytest.raises(StoreUnavailable, match=r"does not state the size of a\.jpg"),
    ):
        store.open(ObjectKind.PHOTO, "a.jpg")


def test_refusal_in_a_page_is_shown_by_its_status() -> None:
    with _page(404) as store, pytest.raises(StoreUnavailable, match=r"refused bucket photos \(HTTP 404\)\."):
        store.ensure_buckets()


def test_a_server_without_tls_is_reported_in_plain_words() -> None:
    with _page(200) as store, pytest.raises(StoreUnavailable) as raised:
        store_at(store.address.replace("http:", "https:")).ensure_buckets()
    assert str(raised.value).endswith(" did not answer: TLS failed (wrong version number).")


def test_a_connection_closed_without_a_response_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def close_each() -> None:
            for _ in range(3):  # botocore's attempts
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"SSH-2.0-example\r\n")

        closing = threading.Thread(target=close_each, daemon=True)
        closing.start()
        with pytest.raises(StoreUnavailable) as raised:
            store_at(f"http://127.0.0.1:{listener.getsockname()[1]}").ensure_buckets()
        closing.join()
    assert str(raised.value).endswith(" did not answer: it closed the connection without a response.")


@contextmanager
def _always(answer: bytes) -> Iterator[ObjectStore]:
    """Yield a store whose server sends this response on every connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_each() -> None:
            with suppress(OSError):  # the listener is closed
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(answer)

        threading.Thread(target=answer_each, daemon=True).start()
        yield store_at(f"http://127.0.0.1:{listener.getsockname()[1]}")
        listener.shutdown(socket.SHUT_RDWR)
        close_left_open()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"200 OK\r\nContent-Length: five\r\n\r\nphoto", "did not respond like S3"),
        (b"200 OK\r\nLast-Modified: yesterday\r\nContent-Length: 5\r\n\r\nx", "did not respond like S3"),
        (b"200 OK\r\nContent-Length: 99999999999999\r\n\r\nphoto", "sends too many bytes"),
        (b"404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\nFF\r\n<Error>", "the response was cut off"),
    ],
)
def test_an_object_in_an_unreadable_response_is_a_failure_of_the_server(answer: bytes, words: str) -> None:
    with _always(b"HTTP/1.1 " + answer.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)) as store:
        with pytest.raises(StoreUnavailable, match=words) as raised:
            chunks, _size_bytes = store.open(ObjectKind.PHOTO, "a.jpg")
            b"".join(chunks)
        cause = raised.value.cause
        del raised
    assert "a.jpg" not in cause  # one line a minute for all objects


@pytest.mark.slow
def test_memory_for_an_object_is_not_allocated_before_its_bytes_arrive() -> None:
    chunk = b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFF\r\nphoto"
    with _always(b"HTTP/1.1 " + chunk) as store, pytest.raises(StoreUnavailable, match="was cut off"):
        store.get(ObjectKind.PHOTO, "a.jpg")


@pytest.mark.slow
@pytest.mark.parametrize(
    "entry",
    [
        "<Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified>",
        "<Key>a</Key><Size>large</Size><LastModified>2026-01-01T00:00:00Z</LastModified>",
        "<Key>a</Key><Size>1</Size><LastModified>yesterday</LastModified>",
    ],
)
def test_an_unreadable_list_is_a_failure_of_the_server(entry: str) -> None:
    body = f"<ListBucketResult><Contents>{entry}</Contents></ListBucketResult>".encode()
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    for threads in (1, 2):
        with (
            _always(head + body) as store,
            pytest.raises(StoreUnavailable, match="did not respond like S3"),
        ):
            list(store.pages("photos", threads=threads))


def test_a_server_that_gives_one_list_for_all_folders_ends_the_listing() -> None:
    body = b"<ListBucketResult><CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes></ListBucketResult>"
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    with (
        _always(head + body) as store,
        pytest.raises(StoreUnavailable, match="lists a/ of photos as its own"),
    ):
        list(store.pages("photos", threads=2))


@pytest.mark.parametrize("date", ["yesterday", "Mon, 01 Jan 99999999999 00:00:00 GMT"])
def test_an_unreadable_date_gives_no_hint_about_the_clock(date: str) -> None:
    head = f"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n"
    with _always(head.encode()) as store:
        with pytest.raises(StoreUnavailable, match=r"refused a\.jpg \(403\)\."):
            store.get(ObjectKind.PHOTO, "a.jpg")
        assert Probes(store).server_time() is None


def test_no_request_waits_for_the_server_to_ask_for_its_body() -> None:
    """botocore waits for "100 Continue" in a loop that continues after the connection has ended."""
    expected: list[str | None] = []

    class Noting(_Refusing):
        def do_PUT(self) -> None:
            expected.append(self.headers.get("Expect"))
            super().do_PUT()

    with _served(Noting) as store, pytest.raises(StoreUnavailable):
        store.put(ObjectKind.PHOTO, "a.jpg", b"x")
    assert expected == [None, None], "without boto3's client, and with it"
