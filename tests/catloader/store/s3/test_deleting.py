"""Many objects are deleted in one request; only those that the server reports as deleted count as deleted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from catloader.errors import StoreUnavailable
from catloader.store.kinds import ObjectKind
from catloader.store.s3.objects import ObjectStore
from tests.support.object_stores import store_at


def test_many_objects_of_a_real_server_are_deleted(objects: ObjectStore) -> None:
    keys = [f"{number}.jpg" for number in range(1000)]
    stored = [*keys[:3], "other.jpg"]
    for key in stored:
        objects.put(ObjectKind.PHOTO, key, b"x")
    assert objects.delete_many(objects.photos_bucket, keys) == {}
    assert [objects.exists(ObjectKind.PHOTO, key) for key in stored] == [False] * 3 + [True]


class _Server(BaseHTTPRequestHandler):
    """Sends ``status`` and ``body`` for many deletions; other requests succeed or get no response."""

    status: ClassVar[int] = 200
    body: ClassVar[str] = ""
    is_gone: ClassVar[bool] = False
    requests: ClassVar[list[str]] = []

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        many = self.command == "POST"
        self.requests.append(self.command if many else f"{self.command} {self.path}")
        if self.is_gone and not many:
            self.close_connection = True
            return
        content = self.body.encode() if many else b""
        self.send_response(self.status if many else 204)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def _answering(status: int, body: str, *, is_gone: bool = False) -> Iterator[tuple[ObjectStore, list[str]]]:
    requests: list[str] = []
    members = {"status": status, "body": body, "is_gone": is_gone, "requests": requests}
    handler = type("Handler", (_Server,), members)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield store_at(f"http://127.0.0.1:{server.server_port}"), requests
        server.shutdown()


def test_an_error_without_a_key_deletes_no_object() -> None:
    body = "<DeleteResult><Error><Code>InternalError</Code></Error><Deleted/></DeleteResult>"
    with _answering(200, body) as (store, _):
        assert store.delete_many("photos", ["a"]) == {"a": "it is missing from the response"}


def test_only_objects_that_the_server_reports_as_deleted_count_as_deleted() -> None:
    errors = "".join(
        f"<Error><Key>{key}</Key><Code>{code}</Code></Error>"
        for key, code in (("refused", "AccessDenied"), ("missing", "NoSuchKey"), ("silent", ""))
    )
    body = f"<DeleteResult><Deleted><Key>gone</Key></Deleted>{errors}</DeleteResult>"
    with _answering(200, body) as (store, requests):
        assert store.delete_many("photos", ["gone", "refused", "missing", "silent", "unnamed"]) == {
            "refused": "AccessDenied",
            "silent": "no reason",
            "unnamed": "it is missing from the response",
        }
        assert requests == ["POST"]


@pytest.mark.parametrize(
    ("status", "code"), [(400, "MissingContentMD5"), (404, "NotFound"), (501, "NotImplemented")]
)
def test_server_that_cannot_delete_many_gets_one_request_per_object(status: int, code: str) -> None:
    with _answering(status, f"<Error><Code>{code}</Code></Error>") as (store, requests):
        assert store.delete_many("photos", ["a", "b"]) == {}
        assert requests == ["POST", "DELETE /photos/a", "DELETE /photos/b"]


def test_no_more_requests_are_made_after_a_server_falls_silent_between_two_deletions() -> None:
    with _answering(501, "<Error><Code>NotImplemented</Code></Error>", is_gone=True) as (store, requests):
        with pytest.raises(StoreUnavailable, match="did not answer"):
            store.delete_many("photos", ["a", "b"])
        assert set(requests) == {"POST", "DELETE /photos/a"}


def test_an_unavailable_server_gets_one_request() -> None:
    with _answering(200, "") as (store, _):
        pass
    with pytest.raises(StoreUnavailable, match="did not answer"):
        store.delete_many("photos", ["a", "b"])
