"""A repeatedly interrupted connection to a site: a TCP proxy on a local port."""

from __future__ import annotations

import random
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_BLOCK_BYTES = 16 * 1024


class CuttingProxy:
    """Forwards bytes. Once ``armed`` is true, it cuts a connection after a number of bytes from clients.

    Every second cut happens after the site has received the whole request: the response is lost.

    Args:
        cuts: number of cuts; after them, connections are stable.
        span: minimum and maximum number of bytes between two cuts.
        listener: socket that accepts the clients; by default a free port of loopback.
    """

    def __init__(
        self,
        port: int,
        *,
        cuts: int,
        span: tuple[int, int],
        seed: int,
        listener: socket.socket | None = None,
    ) -> None:
        self._port, self._left, self._span = port, cuts, span
        self._random, self._lock = random.Random(seed), threading.Lock()
        self._until_cut = self._random.randint(*span)
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self.armed, self.cuts = False, 0
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        host, number = self._listener.getsockname()
        self.url = f"http://{host}:{number}"

    @contextmanager
    def running(self) -> Iterator[CuttingProxy]:
        accepting = threading.Thread(target=self._accept)
        accepting.start()
        try:
            yield self
        finally:
            self._stopping.set()
            self._listener.shutdown(socket.SHUT_RDWR)  # unblocks `accept`
            for thread in (accepting, *self._threads):
                thread.join()
            self._listener.close()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(client,)))
            self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as site, suppress(OSError):
            loses_answer = False
            while not self._stopping.is_set():
                for source in select.select([client, site], [], [], 0.2)[0]:
                    block = source.recv(_BLOCK_BYTES)
                    is_cut = source is client and not loses_answer and self._is_cut(len(block))
                    loses_answer = loses_answer or (is_cut and self.cuts % 2 == 1)
                    if not block or (is_cut and not loses_answer) or (loses_answer and source is site):
                        return
                    (site if source is client else client).sendall(block)

    def _is_cut(self, sent_bytes: int) -> bool:
        with self._lock:
            self._until_cut -= sent_bytes * self.armed
            if self._until_cut > 0 or not self._left:
                return False
            self._until_cut = self._random.randint(*self._span)
            self._left -= 1
            self.cuts += 1
            return True
