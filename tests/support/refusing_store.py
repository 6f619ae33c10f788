"""An object store whose server refuses some objects, has some very large ones, and returns the others."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import urllib3

from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.object_stores import store_at

LARGE = "movie.jpg"
_LARGE_BYTES = 300 * 10**6
_REFUSAL = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"


@contextmanager
def refusing_store(server: EmbeddedS3) -> Iterator[tuple[ObjectStore, set[str]]]:
    """Yield a store with two new buckets on ``server``, and an empty set for the keys that it must refuse.

    Objects whose keys end with ``LARGE`` seem to have 300 MB.
    """
    refused: set[str] = set()
    upstream = urllib3.connection_from_url(server.endpoint_url, maxsize=8, retries=False)

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path.partition("?")[0].endswith(LARGE):
                self._answer(HTTPStatus.OK, b"the beginning", {"ETag": '"1"'}, _LARGE_BYTES)
                return
            if self.path.partition("?")[0].rpartition("/")[2] in refused:
                self._answer(HTTPStatus.FORBIDDEN, _REFUSAL, {})
                return
            self._pass_on()

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = upstream.urlopen(self.command, self.path, body=body, headers=dict(self.headers))
            self._answer(answer.status, answer.data, dict(answer.headers))

        do_HEAD = do_PUT = do_DELETE = do_POST = _pass_on  # noqa: N815 - the server's names

        def _answer(self, status: int, body: bytes, headers: dict[str, str], size_bytes: int = 0) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in (
                    "content-length",
                    "transfer-encoding",
                    "connection",
                    "date",
                    "server",
                ):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(size_bytes or len(body)))
            if size_bytes:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        suffix = secrets.token_hex(6)
        store = store_at(
            f"http://127.0.0.1:{proxy.server_port}",
            (f"photos-{suffix}", f"thumbnails-{suffix}"),
            (server.access_key_id, server.secret_access_key),
        )
        store.ensure_buckets()
        try:
            yield store, refused
        finally:
            proxy.shutdown()
