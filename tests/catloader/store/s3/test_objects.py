from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests

from catloader.demo.client import free_port
from catloader.errors import NotFound, StoreUnavailable
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore, S3ImageSource
from checker import errors as checker_errors
from checker.values import Claim, Rendition
from tests.support.object_stores import delete_object

_PHOTO = bytes(range(256)) * 4000  # 1 MB: several chunks


@pytest.fixture(scope="module")
def slow_put() -> Iterator[Future[tuple[float, int]]]:
    """Put a large photo over a slow connection, which takes 11 s, while another test waits for timeouts."""
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(_put_slowly, bytes(10_000_000))


def _store(endpoint_url: str, **changes: Any) -> ObjectStore:
    values: dict[str, Any] = {
        "endpoint_url": endpoint_url,
        "access_key_id": "nobody",
        "secret_access_key": "nothing",
        "region": "us-east-1",
        "photos_bucket": "photos",
        "thumbnails_bucket": "thumbnails",
        "max_connections": 4,
    }
    return ObjectStore(**{**values, **changes})


def test_get_and_open_return_the_bytes_that_were_put(objects: ObjectStore) -> None:
    objects.put(ObjectKind.PHOTO, "a.jpg", _PHOTO)
    assert objects.get(ObjectKind.PHOTO, "a.jpg") == _PHOTO
    chunks, size_bytes = objects.open(ObjectKind.PHOTO, "a.jpg")
    assert (b"".join(chunks), size_bytes) == (_PHOTO, len(_PHOTO))
    assert objects.exists(ObjectKind.PHOTO, "a.jpg")
    assert not objects.exists(ObjectKind.THUMBNAIL, "a.jpg")


def test_closed_stream_returns_its_connection(objects: ObjectStore) -> None:
    objects.put(ObjectKind.PHOTO, "a.jpg", _PHOTO)
    for _ in range(40):  # more than there are connections
        chunks, _ = objects.open(ObjectKind.PHOTO, "a.jpg")
        next(chunks)
        chunks.close()  # a generator
    assert objects.exists(ObjectKind.PHOTO, "a.jpg")


def test_missing_object_is_not_found_and_its_deletion_is_not_an_error(objects: ObjectStore) -> None:
    for read in (objects.get, objects.open):
        with pytest.raises(NotFound):
            read(ObjectKind.PHOTO, "none.jpg")
    assert objects.exists(ObjectKind.PHOTO, "none.jpg") is False
    delete_object(objects, ObjectKind.PHOTO, "none.jpg")


def test_deleted_object_does_not_exist(objects: ObjectStore) -> None:
    objects.put(ObjectKind.PHOTO, "a.jpg", b"1")
    for _ in range(2):
        delete_object(objects, ObjectKind.PHOTO, "a.jpg")
        assert not objects.exists(ObjectKind.PHOTO, "a.jpg")


def test_only_signed_links_give_access_without_keys(objects: ObjectStore) -> None:
    objects.put(ObjectKind.PHOTO, "a.jpg", b"bytes")
    link = objects.url(ObjectKind.PHOTO, "a.jpg", 60)
    assert requests.get(link.partition("?")[0], timeout=60).status_code == HTTPStatus.FORBIDDEN
    assert requests.get(link.replace("a.jpg", "b.jpg"), timeout=60).status_code == HTTPStatus.FORBIDDEN
    answer = requests.get(link, timeout=60)
    assert (answer.content, answer.headers["Content-Type"]) == (b"bytes", "image/jpeg")
    bucket = link.partition("/a.jpg")[0]
    assert requests.get(bucket, timeout=60).status_code == HTTPStatus.FORBIDDEN
    assert requests.put(bucket + "/c.jpg", data=b"x", timeout=60).status_code == HTTPStatus.FORBIDDEN


def test_signed_link_expires(objects: ObjectStore) -> None:
    objects.put(ObjectKind.PHOTO, "a.jpg", b"bytes")
    link, waiting = objects.url(ObjectKind.PHOTO, "a.jpg", 1), threading.Event()
    for _ in range(30):
        if (status := requests.get(link, timeout=60).status_code) == HTTPStatus.FORBIDDEN:
            break
        waiting.wait(0.1)
    assert status == HTTPStatus.FORBIDDEN


def test_several_processes_may_create_the_buckets_at_once(s3_server: EmbeddedS3) -> None:
    keys = {"access_key_id": s3_server.access_key_id, "secret_access_key": s3_server.secret_access_key}
    stores = [_store(s3_server.endpoint_url, photos_bucket="race-photos", **keys) for _ in range(6)]
    start = threading.Barrier(6)

    def ensure(store: ObjectStore) -> None:
        start.wait()
        store.ensure_buckets()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(ensure, stores))
    stores[0].put(ObjectKind.PHOTO, "a", b"1")


def test_bucket_can_be_created_in_another_region(s3_server: EmbeddedS3) -> None:
    keys = {"access_key_id": s3_server.access_key_id, "secret_access_key": s3_server.secret_access_key}
    store = _store(s3_server.endpoint_url, photos_bucket="frankfurt", region="eu-central-1", **keys)
    store.ensure_buckets()
    store.put(ObjectKind.PHOTO, "a", b"1")


def test_wrong_keys_are_a_refusal_not_a_missing_object(s3_server: EmbeddedS3) -> None:
    store = _store(s3_server.endpoint_url)
    for use in _every_use(store):
        with pytest.raises(StoreUnavailable, match="refused"):
            use()
    assert "refused" in store.delete_many(store.photos_bucket, ["a"])["a"]


def test_missing_bucket_is_a_refusal_not_a_missing_object(s3_server: EmbeddedS3) -> None:
    keys = {"access_key_id": s3_server.access_key_id, "secret_access_key": s3_server.secret_access_key}
    with pytest.raises(StoreUnavailable, match="NoSuchBucket"):
        _store(s3_server.endpoint_url, photos_bucket="never-made", **keys).get(ObjectKind.PHOTO, "a")


def _every_use(store: ObjectStore) -> list[Callable[[], object]]:
    return [
        store.ensure_buckets,
        lambda: store.put(ObjectKind.PHOTO, "a", b"1"),
        lambda: store.get(ObjectKind.PHOTO, "a"),
        lambda: store.open(ObjectKind.PHOTO, "a"),
        lambda: store.exists(ObjectKind.PHOTO, "a"),
    ]


def test_the_error_for_an_unreachable_server_has_its_address_and_the_reason() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    store = _store(address.replace("//", "//user:secret@") + "/")
    deletion: Callable[[], object] = partial(store.delete_many, store.photos_bucket, ["a"])
    for use in [*_every_use(store), deletion]:
        with pytest.raises(StoreUnavailable) as raised:
            use()
        assert str(raised.value) == f"The object store at {address} did not answer: connection refused."


def test_error_gives_an_unknown_host_name_as_the_reason() -> None:
    with pytest.raises(StoreUnavailable, match=r"http://no\.such\.host\.invalid did not answer: .*name"):
        _store("http://no.such.host.invalid").ensure_buckets()


def test_error_gives_an_untrusted_certificate_as_the_reason(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Broken) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        with pytest.raises(
            StoreUnavailable, match=r"https://.*: its certificate is not trusted \(self.signed"
        ):
            _store(f"https://127.0.0.1:{server.server_port}").ensure_buckets()
        server.shutdown()


class _Broken(BaseHTTPRequestHandler):
    """Answers a PUT like a full disk, and a GET with half an object."""

    protocol_version = "HTTP/1.1"  # so that it sends 100 Continue, for which a PUT waits up to a second

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b"<Error><Code>InternalError</Code><Message>no space left on device</Message></Error>"
        self.send_response(HTTPStatus.INTERNAL_SERVER_ERROR)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.write(b"half")
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        return


def test_full_disk_and_truncated_response_are_store_unavailable() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Broken) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        store = _store(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(StoreUnavailable, match="InternalError"):
            store.put(ObjectKind.PHOTO, "a", b"1")
        with pytest.raises(StoreUnavailable, match="did not answer"):
            store.get(ObjectKind.PHOTO, "a")
        chunks, _ = store.open(ObjectKind.PHOTO, "a")
        with pytest.raises(StoreUnavailable, match=r"did not answer: the response was cut off\."):
            list(chunks)
        server.shutdown()


class _Hiccup(BaseHTTPRequestHandler):
    """Refuses or drops the first request; records the user agents."""

    protocol_version = "HTTP/1.1"
    agents: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        first = not self.agents
        self.agents.append(self.headers["User-Agent"].partition("/")[0])
        assert self.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=nobody/")
        if first and "hangs" in self.path:
            self.close_connection = True
            return
        self.send_response(HTTPStatus.SERVICE_UNAVAILABLE if first else HTTPStatus.OK)
        body = b"photo" if self.command == "GET" else b""
        self.send_header("ETag", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_GET  # noqa: N815 - http.server's name

    def log_message(self, *_: Any) -> None:
        return


@pytest.mark.parametrize("key", ["refuses.jpg", "hangs up.jpg"])
def test_a_request_that_failed_without_boto3_is_repeated_with_boto3(key: str) -> None:
    _Hiccup.agents.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hiccup) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        store = _store(f"http://127.0.0.1:{server.server_port}/")
        assert [store.get(ObjectKind.PHOTO, key) for _ in range(2)] == [b"photo", b"photo"]
        assert _Hiccup.agents == ["CatLoader", "Boto3", "CatLoader"]
        _Hiccup.agents.clear()
        for _ in range(2):
            store.put(ObjectKind.PHOTO, key, b"photo")
        assert _Hiccup.agents == ["CatLoader", "Boto3", "CatLoader"]
        server.shutdown()


def test_proxy_of_the_environment_is_not_used_for_loopback(
    s3_server: EmbeddedS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    keys = {"access_key_id": s3_server.access_key_id, "secret_access_key": s3_server.secret_access_key}
    _store(s3_server.endpoint_url, **keys).ensure_buckets()


class _CountingProxy(BaseHTTPRequestHandler):
    """A proxy that finds nothing, and counts the requests."""

    requests = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_HEAD = do_GET  # noqa: N815 - the names are http.server's

    def log_message(self, *_: Any) -> None:
        return


def test_a_proxy_is_not_asked_for_a_server_whose_name_has_no_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker's client can set proxies in every container, and they do not know `s3` of a compose file."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _CountingProxy) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        here = socket.gethostname().partition(".")[0]
        with pytest.raises(StoreUnavailable, match=f"http://{here}:1 did not answer"):
            _store(f"http://{here}:1").get(ObjectKind.PHOTO, "a.jpg")
        assert _CountingProxy.requests == 0
        with pytest.raises(NotFound):
            _store("http://s3.example.org:1").get(ObjectKind.PHOTO, "a.jpg")
        assert _CountingProxy.requests == 1
        proxy.shutdown()


def test_image_source_distinguishes_a_missing_object_from_an_unavailable_store(objects: ObjectStore) -> None:
    claim = Claim(1, "token", "none", "none", 1)
    with pytest.raises(checker_errors.ObjectMissing):
        S3ImageSource(objects).get(claim, Rendition.PHOTO)
    with pytest.raises(checker_errors.StoreUnavailable):
        S3ImageSource(_store("http://127.0.0.1:1")).get(claim, Rendition.THUMBNAIL)


class _Silent:
    """A server that responds only after it has read ``answer_after_bytes``, at ``bytes_per_s``."""

    def __init__(
        self, answer_after_bytes: int = 2**62, bytes_per_s: float = 1e9, thinks_s: float = 0
    ) -> None:
        self._wanted, self._bytes_per_s, self._thinks_s = answer_after_bytes, bytes_per_s, thinks_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.requests += 1
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        waiting, received = threading.Event(), 0
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        with suppress(OSError), connection:
            while data := connection.recv(65536):
                received += len(data)
                waiting.wait(len(data) / self._bytes_per_s)
                if received >= self._wanted:
                    waiting.wait(self._thinks_s)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: x\r\n\r\n")

    def close(self) -> None:
        self._listener.close()


@pytest.mark.usefixtures("slow_put")
def test_only_the_first_requests_wait_for_a_silent_server() -> None:
    server = _Silent()
    store = _store(server.url)
    try:
        for number, read in enumerate((store.open, store.get), 1):
            with pytest.raises(StoreUnavailable, match="timed out"):
                read(ObjectKind.PHOTO, "a")
            assert server.requests == number  # a second attempt would be another connection
        for use in _every_use(store):
            with pytest.raises(StoreUnavailable, match="timed out"):
                use()
        assert server.requests == 2
    finally:
        server.close()


def _put_slowly(data: bytes) -> tuple[float, int]:
    """Return the time taken in seconds, and the number of requests."""
    server = _Silent(len(data), bytes_per_s=2e6, thinks_s=6)
    try:
        began_s = time.monotonic()
        _store(server.url).put(ObjectKind.PHOTO, "a", data)
        return time.monotonic() - began_s, server.requests
    finally:
        server.close()


def test_large_photo_is_not_interrupted_on_a_slow_connection(slow_put: Future[tuple[float, int]]) -> None:
    """Sending its bytes takes longer than the connection timeout, and the server's disk takes time too."""
    took_s, requests = slow_put.result()
    assert took_s > 10, "the server was slow"
    assert requests == 1
