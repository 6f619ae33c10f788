"""A checker that starts before its object store waits for it, and ends if the store moves."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from catloader.demo.client import free_port, until
from catloader.errors import StoreUnavailable
from catloader.server.data_dir import exclusive_data_dir, prepare_data_dir
from catloader.server.database import migrate_database
from catloader.server.object_store import own_object_store, wait_for_site_object_store
from catloader.settings import Settings
from tests.support import forked
from tests.support.environ import environ_without_settings
from tests.support.processes import end

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


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("command", ["worker", "checker serve"])
def test_a_checker_ends_in_one_sentence_if_the_sites_store_has_another_address(
    tmp_path: Path, command: str
) -> None:
    """A supervisor starts it again. The embedded store chooses other ports if another program has one."""
    settings = Settings(data_dir=tmp_path / "site")
    prepare_data_dir(settings)
    variables = {"CATLOADER_DATA_DIR": settings.data_dir, "CATCHECKER_PORT": free_port()}
    environ = environ_without_settings(
        **variables, CATCHECK_MODEL="efficientnet_lite0", CATCHECK_WORKERS=1, CATCHECK_WEBHOOK_SECRET="s" * 32
    )
    log = tmp_path / "log"
    checker = forked.start("catloader", command.split(), environ, log)
    try:
        with exclusive_data_dir(settings), own_object_store(settings) as before:
            migrate_database(settings)
            for _ in until(120, "The checker does not check"):
                if "Checking with" in log.read_text():
                    break
        port = json.loads((settings.data_dir / "s3" / "ports.json").read_text())["s3"]
        with exclusive_data_dir(settings), own_object_store(settings) as again:
            assert again.s3_endpoint_url == before.s3_endpoint_url
        assert checker.poll() is None, "the store has the same address as before"
        with (
            socket.create_server(("127.0.0.1", port)),
            exclusive_data_dir(settings),
            own_object_store(settings) as moved,
        ):
            assert moved.s3_endpoint_url != before.s3_endpoint_url
            for _ in until(60, "The checker does not end"):
                if (code := checker.poll()) is not None:
                    break
    finally:
        end(checker)
    text = log.read_text()
    assert code == 1, text
    sentence = f"Error: The site's object store is at {moved.s3_endpoint_url} now; start this command again."
    assert text.count(sentence) == 1 and "Traceback" not in text, text
