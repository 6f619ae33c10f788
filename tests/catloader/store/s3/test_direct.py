from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress

import pytest
import requests
from botocore.exceptions import ReadTimeoutError

from catloader.answer_time import response_class
from catloader.store.kinds import ObjectKind
from catloader.store.s3.direct import DirectClient
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore

_PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nphoto"
_STORED = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 0\r\n\r\n'
_JPEG = "image/jpeg"


class _Server:
    """Sends the responses of one list per connection, and then closes the connection."""

    def __init__(self, answers: Sequence[Sequence[bytes]]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self.received: list[bytes] = []
        self.closed = threading.Semaphore(0)
        """Released after each connection."""
        threading.Thread(target=self._serve, args=(answers,), daemon=True).start()

    def _serve(self, answers: Sequence[Sequence[bytes]]) -> None:
        for of_connection in answers:
            with suppress(OSError):
                connection, _ = self._listener.accept()
                self.connections += 1
                with connection:
                    for answer in of_connection:
                        self.received.append(connection.recv(65536))
                        connection.sendall(answer)
            self.closed.release()

    def close(self) -> None:
        self._listener.close()


@contextmanager
def _server(*answers: Sequence[bytes]) -> Iterator[_Server]:
    server = _Server(answers)
    yield server
    server.close()


def _client(
    url: str, keys: tuple[str, str] = ("key", "secret"), *, wait_s: float = 30, max_connections: int = 2
) -> DirectClient:
    return DirectClient(
        url,
        access_key_id=keys[0],
        secret_access_key=keys[1],
        region="us-east-1",
        max_connections=max_connections,
        connect_s=30,
        wait_s=wait_s,
        response=response_class(total_s=30),
    )


@pytest.mark.parametrize("key", ["plain.jpg", "a b/ü+%&'?.jpg"])
@pytest.mark.parametrize("size_bytes", [0, 1, 50_000, 3_000_000])
def test_bytes_are_those_that_were_put(
    s3_server: EmbeddedS3, objects: ObjectStore, key: str, size_bytes: int
) -> None:
    client = _client(s3_server.endpoint_url, (s3_server.access_key_id, s3_server.secret_access_key))
    data = os.urandom(size_bytes)
    bucket = objects.photos_bucket
    assert [client.put(bucket, key, part, _JPEG) for part in (b"other bytes", data)] == [True, True]
    assert [client.get(bucket, name) for name in (key, key + "2", key)] == [data, None, data]
    chunks, stated_bytes = objects.open(ObjectKind.PHOTO, key)
    assert (b"".join(chunks), stated_bytes) == (data, size_bytes)
    answer = requests.get(objects.url(ObjectKind.PHOTO, key, 60), timeout=30)
    assert answer.headers["Content-Type"] == _JPEG


def test_wrong_keys_neither_read_nor_store_an_object(s3_server: EmbeddedS3, objects: ObjectStore) -> None:
    objects.put(ObjectKind.PHOTO, "a", b"photo")
    client = _client(s3_server.endpoint_url)
    assert client.get(objects.photos_bucket, "a") is None
    assert not client.put(objects.photos_bucket, "a", b"other", _JPEG)
    assert objects.get(ObjectKind.PHOTO, "a") == b"photo"


@pytest.mark.parametrize(("max_connections", "made"), [(1, 1), (0, 3)])
def test_idle_connections_are_kept_up_to_the_limit(max_connections: int, made: int) -> None:
    with _server(*[[_PLAIN] * (3 // made)] * made) as server:
        client = _client(server.url, max_connections=max_connections)
        assert [client.get("bucket", "key") for _ in range(3)] == [b"photo"] * 3
        assert server.connections == made


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nphoto",
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /\r\nContent-Length: 5\r\n\r\nphoto",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nphoto\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nphoto",
        b"HTTP/1.1 200 OK\r\n\r\nphoto",
        b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nphoto",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nphoto",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nphoto",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 30_000 + b"Content-Length: 5\r\n\r\nphoto",
    ],
)
def test_any_other_response_is_left_to_boto3_and_ends_the_connection(answer: bytes) -> None:
    with _server([answer], [_PLAIN]) as server:
        client = _client(server.url)
        assert [client.get("bucket", "key") for _ in range(2)] == [None, b"photo"]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nETag: 1\r\n\r\n",
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /\r\nETag: 1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 Slow Down\r\nETag: 1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nETag: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nETag: 1\r\nContent-Length: 9\r\n\r\n",
    ],
)
def test_unconfirmed_put_is_left_to_boto3_and_ends_the_connection(answer: bytes) -> None:
    with _server([answer], [_STORED] * 2) as server:
        client = _client(server.url)
        assert [client.put("bucket", "key", b"photo", _JPEG) for _ in range(2)] == [False, True]
        assert b"\r\nContent-Length: 5\r\n" in server.received[0], "not in chunks, which S3 refuses"


def test_put_without_an_etag_is_not_confirmed() -> None:
    with _server([_PLAIN.replace(b"photo", b"hello")]) as server:
        assert not _client(server.url).put("bucket", "key", b"", _JPEG)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nphoto",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nphoto",
    ],
)
def test_responses_on_connections_that_end_are_read(answer: bytes) -> None:
    with _server([answer], [_PLAIN]) as server:
        client = _client(server.url)
        assert [client.get("bucket", "key") for _ in range(2)] == [b"photo"] * 2


def test_a_new_connection_after_a_closed_one_has_the_same_time_limit_for_responses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        client = _client(f"http://127.0.0.1:{listener.getsockname()[1]}", wait_s=0.1)
        first = pool.submit(client.get, "bucket", "key")
        with listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(_PLAIN.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        assert first.result(30) == b"photo"
        second = pool.submit(client.get, "bucket", "key")
        with listener.accept()[0], pytest.raises(ReadTimeoutError):
            second.result(10)


def test_a_request_on_an_idle_connection_that_the_server_has_closed_is_left_to_boto3() -> None:
    with _server([_PLAIN], [_PLAIN]) as server:
        client = _client(server.url)
        assert client.get("bucket", "key") == b"photo"
        assert server.closed.acquire(timeout=30)
        assert [client.get("bucket", "key") for _ in range(2)] == [None, b"photo"]


def test_after_a_timeout_no_idle_connection_is_used() -> None:
    """A firewall drops idle connections without telling either side."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = _client(f"http://127.0.0.1:{listener.getsockname()[1]}", wait_s=1)
        with ThreadPoolExecutor(2) as pool:
            got = [pool.submit(client.get, "bucket", "key") for _ in range(2)]
            connections = [listener.accept()[0] for _ in got]
            answered = as_completed(got, 30)
            for connection in connections:
                connection.recv(65536)
                connection.sendall(_PLAIN)
                assert next(answered).result() == b"photo"
            with pytest.raises(ReadTimeoutError):
                client.get("bucket", "key")
            asked = [connection.recv(65536) != b"" for connection in connections]
            assert asked == [False, True], "the one used last"
            again = pool.submit(client.get, "bucket", "key")
            listener.settimeout(10)
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(_PLAIN)
                assert again.result(30) == b"photo"
        for connection in connections:
            connection.close()


def test_a_request_to_a_silent_server_ends_after_the_time_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        client = _client(url, wait_s=0.1)
        with pytest.raises(ReadTimeoutError):  # of boto3's, whose client must not try it again
            client.get("bucket", "key")
        with pytest.raises(ReadTimeoutError):
            client.put("bucket", "key", b"photo", _JPEG)
    assert _client(url).get("bucket", "key") is None
    assert not _client(url).put("bucket", "key", b"photo", _JPEG)
