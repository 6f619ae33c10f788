"""A checker that starts before its object store waits for the store."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from catloader.demo.client import until
from catloader.errors import StoreUnavailable
from catloader.server.object_store import wait_for_site_object_store
from catloader.settings import Settings

pytestmark = pytest.mark.timeout(120)


class _Buckets(BaseHTTPRequestHandler):
    """An S3 server that has every bucket."""

    status = 200

    def do_HEAD(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class _Refusing(_Buckets):
    status = 403


def _wait_for_store(url: str) -> str:
    keys: dict[str, Any] = {"s3_access_key_id": SecretStr("key"), "s3_secret_access_key": SecretStr("secret")}
    with wait_for_site_object_store(Settings(s3_endpoint_url=url, **keys)) as with_s3:
        return with_s3.s3_endpoint_url


def _until_it_waits(waiting: Future[Any], caplog: pytest.LogCaptureFixture) -> None:
    for _ in until(60, "Nothing is waited for"):
        if waiting.done() or "Waiting for it; photos wait meanwhile." in caplog.text:
            break
    assert not waiting.done()


def test_a_checker_waits_for_a_store_that_cannot_be_reached(caplog: pytest.LogCaptureFixture) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Buckets, bind_and_activate=False) as server:
        server.server_bind()  # the port is bound but does not accept connections
        url = f"http://127.0.0.1:{server.server_port}"
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(_wait_for_store, url)
            _until_it_waits(waiting, caplog)
            server.server_activate()
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            assert waiting.result(60) == url
        server.shutdown()


def test_a_store_that_refuses_the_keys_is_not_waited_for() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        with pytest.raises(StoreUnavailable, match="refused bucket"):
            _wait_for_store(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
