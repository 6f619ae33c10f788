"""Answers that a client does not read: they are ended, and their thread is free for others."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator
from threading import Event
from typing import Any

from waitress import wasyncore

from catloader.server.connections import Connections, adjustments
from catloader.server.pools import Pools
from catloader.server.request_parser import FormsOnly, TimeLimits

_LIMITS = TimeLimits(stalled_s=1.0, head_s=30.0, body_bytes_per_s=1.0)


def test_an_unread_answer_is_ended() -> None:
    ended = Event()

    def pieces() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
        finally:
            ended.set()

    def app(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "application/zip")])
        return pieces()

    rules = FormsOnly()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        connections = Connections(
            app,
            {},
            _sock=listener,
            dispatcher=Pools(rules, threads=2),
            adj=adjustments(connections=9),
            bind_socket=False,
            sockinfo=(socket.AF_INET, None, None, None),
            rules=rules,
            limits=_LIMITS,
            access_log=False,
        )
        try:
            with socket.create_connection(listener.getsockname()) as client:
                client.sendall(b"GET /account/export HTTP/1.1\r\nHost: x\r\n\r\n")
                end_s = time.monotonic() + 60
                while not ended.is_set() and time.monotonic() < end_s:
                    wasyncore.poll2(0.1, connections._map)
                    connections.maintenance(time.time())
            assert ended.is_set()
        finally:
            connections.close()
