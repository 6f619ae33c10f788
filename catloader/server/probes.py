"""The port on which a worker responds to probes and Prometheus (``CATCHECK_PROBE_PORT``), without Flask."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any

from catloader.errors import CatLoaderError
from catloader.health import metrics_status, metrics_text, readiness
from catloader.metrics import CONTENT_TYPE
from catloader.server.listener import listening
from catloader.settings import Settings
from catloader.wiring import Services

logger = logging.getLogger(__name__)

_CONNECTIONS = 8
"""Maximum number of connections, each with a thread; further connections are closed at once."""
_CLIENT_S = 5.0
"""A client must send the next part of its request within this time."""


class Probes(ThreadingMixIn, HTTPServer):
    """Serves ``/livez``, ``/readyz`` and ``/metrics`` on a listening socket.

    The worker is alive but not ready until ``services`` is set, at the end of the start.
    """

    daemon_threads = True
    services: Services | None = None

    def __init__(self, listener: socket.socket, metrics_token: str) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.metrics_token = metrics_token
        self._places = threading.BoundedSemaphore(_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except (RuntimeError, MemoryError):  # no thread was started, so none releases the place
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, *_: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # OSError: the client has disconnected
            logger.exception("a probe failed")


class _Handler(BaseHTTPRequestHandler):
    server: Probes
    timeout = _CLIENT_S

    def do_GET(self) -> None:
        path, services = self.path.partition("?")[0], self.server.services
        try:
            if path == "/livez":
                self._respond(200, json.dumps({"ok": True}).encode())
            elif path == "/readyz":
                state = {"ready": False} if services is None else readiness(services)
                self._respond(200 if state["ready"] else 503, json.dumps(state).encode())
            elif path == "/metrics":
                self._metrics(services)
            else:
                self._respond(404)
        except CatLoaderError as error:
            self._respond(503, json.dumps({"error": str(error)}).encode())

    def _metrics(self, services: Services | None) -> None:
        status = metrics_status(self.server.metrics_token, self.headers.get("Authorization", ""))
        if status != 200:
            self._respond(status)
        elif services is None:
            self._respond(503)
        else:
            self._respond(200, metrics_text(services), CONTENT_TYPE)

    def _respond(self, status: int, body: bytes = b"{}", content_type: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a probe comes every few seconds."""


@contextlib.contextmanager
def answering_probes(settings: Settings) -> Iterator[Probes | None]:
    """Respond to probes within the block; yield None if ``CATCHECK_PROBE_PORT`` is 0.

    Raises:
        StartupError: the port cannot be opened.
    """
    if not settings.probe_port:
        yield None
        return
    with listening(settings.host, settings.probe_port, "CATLOADER_HOST", "CATCHECK_PROBE_PORT") as listener:
        probes = Probes(listener, settings.metrics_token.get_secret_value())
        threading.Thread(target=probes.serve_forever, name="probes", daemon=True).start()
        try:
            yield probes
        finally:
            probes.shutdown()
