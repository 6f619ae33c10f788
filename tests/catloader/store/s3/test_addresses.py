"""The addresses that an S3 server may have: with a path, a trailing slash, and over IPv6; and its region."""

from __future__ import annotations

import re
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from catloader.store.kinds import ObjectKind
from tests.support.object_stores import delete_object, store_at


class _Server(BaseHTTPRequestHandler):
    """Answers every request with 200 and records the paths, and the regions that requests are signed for."""

    paths: ClassVar[set[str]] = set()
    regions: ClassVar[list[str]] = []
    protocol_version = "HTTP/1.1"  # so that it sends 100 Continue, for which a PUT waits up to a second

    def do_GET(self) -> None:
        self.paths.add(self.path)
        self.regions.extend(re.findall(r"Credential=key/\d+/([^/]+)/s3/", self.headers["Authorization"]))
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", "0")
        self.send_header("ETag", '"of an empty object"')  # confirms a PUT
        self.end_headers()

    do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815 - the names are http.server's

    def log_message(self, *_: Any) -> None:
        return


class _OverIpv6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


@pytest.mark.parametrize(
    ("server_class", "host", "path", "prefix"),
    [
        (ThreadingHTTPServer, "127.0.0.1", "", ""),
        (ThreadingHTTPServer, "127.0.0.1", "/", ""),
        (ThreadingHTTPServer, "127.0.0.1", "/storage/v1/s3", "/storage/v1/s3"),
        (ThreadingHTTPServer, "127.0.0.1", "/s3/", "/s3"),
        (_OverIpv6, "::1", "", ""),
        (_OverIpv6, "::1", "/s3", "/s3"),
    ],
)
def test_requests_use_paths_below_the_address(
    server_class: type[ThreadingHTTPServer], host: str, path: str, prefix: str
) -> None:
    _Server.paths.clear()
    with server_class((host, 0), _Server) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        name = f"[{host}]" if ":" in host else host
        store = store_at(f"http://{name}:{server.server_port}{path}")
        store.put(ObjectKind.PHOTO, "a.jpg", b"")
        store.get(ObjectKind.PHOTO, "a.jpg")
        delete_object(store, ObjectKind.PHOTO, "a.jpg")
        assert f"http://{name}:{server.server_port}{prefix}/photos/a.jpg?" in store.url(
            ObjectKind.PHOTO, "a.jpg", 60
        )
        server.shutdown()
    assert _Server.paths == {f"{prefix}/photos/a.jpg"}


def test_requests_and_links_are_signed_for_the_region_of_the_settings() -> None:
    _Server.regions.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        store = store_at(f"http://127.0.0.1:{server.server_port}", region="eu-west-3")
        store.put(ObjectKind.PHOTO, "a.jpg", b"")
        store.get(ObjectKind.PHOTO, "a.jpg")
        store.exists(ObjectKind.PHOTO, "a.jpg")
        delete_object(store, ObjectKind.PHOTO, "a.jpg")
        server.shutdown()
    assert _Server.regions == ["eu-west-3"] * 4
    assert "%2Feu-west-3%2Fs3%2F" in store.url(ObjectKind.PHOTO, "a.jpg", 60)
