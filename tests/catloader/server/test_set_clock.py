"""Time limits of connections while the time of day is set, as on a machine without a hardware clock."""

from __future__ import annotations

import socket
from pathlib import Path

from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.objects import ObjectStore
from tests.support.object_stores import settings_of
from tests.support.serving import Serving, serving
from tests.support.skewed_clock import set_offset, skewed_environ

_HALF_HEAD = b"GET /login HTTP/1.1\r\n"
_HALF_BODY = b"POST /login HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 6\r\n\r\nabc"


def _connect(site: Serving, data: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", site.port), timeout=60)
    connection.sendall(data)
    return connection


def _status(connection: socket.socket) -> bytes:
    return connection.recv(65536).split(b" ", 2)[1]


def test_setting_the_clock_neither_ends_requests_nor_prolongs_slow_ones(
    tmp_path: Path, s3_server: EmbeddedS3, objects: ObjectStore
) -> None:
    settings = skewed_environ(tmp_path, 0) | settings_of(s3_server, objects) | {"CATLOADER_HEAD_S": 3}
    with (
        serving(tmp_path, **settings) as site,
        _connect(site, _HALF_BODY) as in_progress,
        _connect(site, _HALF_HEAD) as slow,
    ):
        set_offset(tmp_path, 3600)
        assert _status(slow) == b"408"
        in_progress.sendall(b"def")
        assert _status(in_progress) == b"400"  # the whole form was read, and has no CSRF token
        set_offset(tmp_path, -3600)
        with _connect(site, _HALF_HEAD) as slow_again:
            assert _status(slow_again) == b"408"
