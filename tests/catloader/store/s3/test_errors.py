"""Refusals by the object store are reported with their cause."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from catloader.errors import StoreUnavailable
from catloader.store.kinds import ObjectKind
from tests.support.object_stores import store_at


class _Refusing(BaseHTTPRequestHandler):
    """Refuses every request, with its own clock."""

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


@pytest.mark.parametrize(
    ("ahead_s", "words"),
    [
        (3600, "refused a.jpg (403; this machine's clock is 60 minutes behind its clock)."),
        (-3600, "refused a.jpg (403; this machine's clock is 60 minutes ahead of its clock)."),
        (0, "refused a.jpg (403)."),
    ],
)
def test_a_wrong_clock_is_named(ahead_s: float, words: str) -> None:
    handler = type("Handler", (_Refusing,), {"ahead_s": ahead_s})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        with pytest.raises(StoreUnavailable) as raised:
            store_at(f"http://127.0.0.1:{server.server_port}").put(ObjectKind.PHOTO, "a.jpg", b"x")
        server.shutdown()
    assert str(raised.value).endswith(words)
