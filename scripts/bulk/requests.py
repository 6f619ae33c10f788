"""Count requests to an S3 server by forwarding a local port to it."""

from __future__ import annotations

import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_BLOCK_BYTES = 256 * 1024
_REQUEST = re.compile(rb"(?:^|\r\n\r\n)([A-Z]+) /([^ ?]*)[^ ]* HTTP/1\.1\r\n")


class CountedRequests:
    """Forwards bytes and counts requests without a body, which is sufficient because bulk work only reads.

    ``counts`` is keyed by the method; a GET of a bucket counts as ``LIST``.
    """

    def __init__(self, endpoint_url: str) -> None:
        target = urlsplit(endpoint_url)
        self._target = (target.hostname, target.port)
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.counts: Counter[str] = Counter()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @contextmanager
    def running(self) -> Iterator[CountedRequests]:
        """Accept connections until the block ends."""
        threading.Thread(target=self._accept, daemon=True).start()
        try:
            yield self
        finally:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # unblocks `accept`
            self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for source, sink, is_client in ((client, server, True), (server, client, False)):
                    threading.Thread(
                        target=self._pass_on, args=(source, sink, is_client), daemon=True
                    ).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, is_client: bool) -> None:
        with source, suppress(OSError):
            while block := source.recv(_BLOCK_BYTES):
                if is_client:
                    self._count(block)
                sink.sendall(block)
            sink.shutdown(socket.SHUT_WR)

    def _count(self, block: bytes) -> None:
        """Count the requests that begin in a block: a client sends one only after the previous response."""
        for method, path in _REQUEST.findall(block):
            _, _, key = path.partition(b"/")
            with self._lock:
                self.counts["LIST" if method == b"GET" and not key else method.decode()] += 1
