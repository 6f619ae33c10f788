"""``catloader upload``: files that are refused, and responses after which no further file is sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import pytest

from catloader.cli.upload import _token_in, _upload, upload
from catloader.client import Client, RequestFailed
from catloader.demo.client import free_port


class _Refusing(BaseHTTPRequestHandler):
    """Responds with the status at the beginning of the path."""

    def do_OPTIONS(self) -> None:
        states_limit = self.path == "/413/upload/resumable"
        self.send_response(204 if states_limit else 501)
        self.send_header("Tus-Max-Size", "2048")
        self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(int(self.path.split("/")[1]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _sent(url: str, path: Path) -> str:
    client = Client(url, "token", tries=1)
    try:
        return _upload(client, path, "")
    finally:
        client.close()


@pytest.mark.parametrize("status", [401, 403, 429, 502, 503, 504, 507])
def test_a_response_that_every_file_would_get_ends_the_command(
    site: str, tmp_path: Path, status: int
) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(RequestFailed) as refused:
        _sent(f"{site}/{status}", tmp_path / "a.jpg")
    assert refused.value.status == status


def test_a_site_without_a_response_ends_the_command(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(RequestFailed, match="does not answer"):
        _sent(f"http://127.0.0.1:{free_port()}", tmp_path / "a.jpg")


def test_a_file_that_is_refused_is_reported_in_a_sentence(site: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    for status in (400, 413, 415, 422, 500):
        assert f"HTTP {status}" in _sent(f"{site}/{status}", tmp_path / "a.jpg")
    assert _sent(site, tmp_path) == "it is a folder; name its files."
    assert _sent(site, tmp_path / "b.jpg") == "it can't be read (No such file or directory)."


def test_a_file_above_the_limit_of_the_site_is_neither_read_nor_sent(site: str, tmp_path: Path) -> None:
    """On a slow connection the site would cut a long video off, which would end the command."""
    with (tmp_path / "video.mp4").open("wb") as file:
        file.truncate(2**43)
    assert _sent(f"{site}/413", tmp_path / "video.mp4") == "it is larger than 2 kB, the limit of the site."


def test_a_file_of_a_token_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "token.txt").write_text("cl_0123\r\n", encoding="utf-8-sig")
    context = click.Context(upload)
    assert _token_in(context, upload.params[2], tmp_path / "token.txt") == "cl_0123"
