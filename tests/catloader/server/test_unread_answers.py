"""Answers that a client does not read: they are ended, and their thread is free for others."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from waitress import wasyncore

from catloader.server.connections import Connections, adjustments
from catloader.server.pools import Pools
from catloader.server.request_parser import FormsOnly, TimeLimits

_LIMITS = TimeLimits(stalled_s=1.0, head_s=30.0, body_bytes_per_s=1.0)


@contextmanager
def _requested(ended: Event) -> Iterator[tuple[socket.socket, Connections]]:
    """Yield a client of an endless answer that it has not read, once the answer was given up."""

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
                _run(connections, ended.is_set)
                yield client, connections
        finally:
            connections.close()


def _run(connections: Connections, is_over: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60
    while not is_over():
        assert time.monotonic() < end_s
        wasyncore.poll2(0.1, connections._map)
        connections.maintenance(time.time())


def test_an_unread_answer_is_ended() -> None:
    with _requested(Event()):
        pass


def test_an_answer_that_cannot_be_buffered_is_cut_off_and_leaves_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with _requested(Event()) as (client, connections):
        client.setblocking(False)

        def is_cut_off() -> bool:
            with suppress(BlockingIOError, ConnectionResetError):
                while client.recv(2**20):
                    pass
            return not connections.active_channels

        _run(connections, is_cut_off)
    (line,) = caplog.messages
    assert line == "/account/export was cut off: temporary folder: No such file or directory"
