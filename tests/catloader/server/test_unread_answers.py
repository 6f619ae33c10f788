"""Responses that a client does not read, and requests that arrive when an idle connection is closed."""

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

from catloader.server.connections import Channel, Connections, adjustments
from catloader.server.pools import Pools
from catloader.server.request_parser import FormsOnly, TimeLimits

_LIMITS = TimeLimits(stalled_s=1.0, head_s=30.0, body_bytes_per_s=1.0)


@contextmanager
def _connections(app: Any, dispatcher: Any) -> Iterator[tuple[Connections, tuple[str, int]]]:
    """Yield the connections of a web process and their address. The test runs the event loop."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        connections = Connections(
            app,
            {},
            _sock=listener,
            dispatcher=dispatcher,
            adj=adjustments(connections=9),
            bind_socket=False,
            sockinfo=(socket.AF_INET, None, None, None),
            rules=FormsOnly(),
            limits=_LIMITS,
            access_log=True,
        )
        try:
            yield connections, listener.getsockname()
        finally:
            connections.close()


@contextmanager
def _requested(ended: Event) -> Iterator[tuple[socket.socket, Connections]]:
    """Yield a client that does not read an endless response, after the server has given up the response."""

    def pieces() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
        finally:
            ended.set()

    def app(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "application/zip")])
        return pieces()

    with (
        _connections(app, Pools(FormsOnly(), threads=2)) as (connections, address),
        socket.create_connection(address) as client,
    ):
        client.sendall(b"GET /account/export HTTP/1.1\r\nHost: x\r\n\r\n")
        _run(connections, ended.is_set)
        yield client, connections


def _run(connections: Connections, is_over: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60
    while not is_over():
        assert time.monotonic() < end_s
        wasyncore.poll2(0.1, connections._map)
        connections.maintenance(time.time())


class _Later:
    """Collects the requests that a thread would serve."""

    def __init__(self) -> None:
        self.channels: list[Any] = []

    def add_task(self, channel: Any) -> None:
        self.channels.append(channel)


class _ToNobody(Channel.error_task_class):  # type: ignore[misc, valid-type]
    """Closes the connection between the beginning and the first byte of the response."""

    def service(self) -> None:
        self.channel.handle_close()
        super().service()


def test_a_client_that_does_not_speak_http_may_leave_before_it_gets_the_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Channel, "error_task_class", _ToNobody)
    later = _Later()
    with _connections(None, later) as (connections, address), socket.create_connection(address) as client:
        client.sendall(b"\x16\x03\x01\x02\x00")  # TLS
        _run(connections, lambda: bool(later.channels))
        (channel,) = later.channels
        channel.service()
        assert not channel.connected


def test_an_idle_connection_is_closed_unless_a_request_has_just_arrived() -> None:
    later = _Later()
    with _connections(None, later) as (connections, address):
        for has_request in (True, False):
            with socket.create_connection(address) as client:
                _run(connections, lambda: bool(connections.active_channels))
                (channel,) = connections.active_channels.values()
                channel.close_if_slow(0.0, _LIMITS)
                if has_request:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                channel.close_if_slow(3600.0, _LIMITS)
                assert channel.connected == has_request
                if has_request:
                    _run(connections, lambda: bool(later.channels))
                channel.handle_close()


def test_an_endless_response_that_is_not_read_is_given_up() -> None:
    with _requested(Event()):
        pass


def test_a_response_that_cannot_be_buffered_is_cut_off_and_leaves_no_connection(
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
    lines = [line for line in caplog.messages if "/account/export" in line]  # threads of other tests log, too
    assert lines == ["/account/export was cut off: temporary folder: No such file or directory"]
