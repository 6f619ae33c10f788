"""A proxy for an S3 server that can be unreachable, silent or faulty, or return wrong bytes."""

from __future__ import annotations

import http.client
import http.server
import random
import threading
from collections import Counter
from typing import Literal
from urllib.parse import urlsplit

Mode = Literal["pass", "refused", "silent", "errors", "cut", "altered"]

_ERROR_SHARE = 0.2
_TIMEOUT_S = 30.0
_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}


class FaultyStore:
    """Listens on a loopback port. ``mode`` may change at any time.

    ``refused`` closes the port; ``silent`` accepts requests and does not respond until the mode changes;
    ``errors`` responds to a fifth of the requests with 500 or 503; ``cut`` sends only half of the body of
    each object, and ``altered`` changes one byte of it.
    """

    def __init__(self, endpoint_url: str) -> None:
        self.target = urlsplit(endpoint_url).netloc
        self.chance = random.Random(0)
        self.changed = threading.Condition()
        self.spoiled: Counter[Mode] = Counter()
        """Number of requests that got no response or a wrong one. A closed port receives no requests."""
        self._mode: Mode = "pass"
        self._server = self._listen(0)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        before, self._mode = self._mode, mode
        with self.changed:
            self.changed.notify_all()
        if mode == "refused" and before != "refused":
            self._close()
        elif before == "refused" and mode != "refused":
            self._server = self._listen(self.port)

    def close(self) -> None:
        self.mode = "refused"

    def _listen(self, port: int) -> http.server.ThreadingHTTPServer:
        handler = type("Handler", (_Handler,), {"faults": self})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def _close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    faults: FaultyStore
    protocol_version = "HTTP/1.1"
    timeout = _TIMEOUT_S
    daemon_threads = True

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        mode = self.faults.mode
        if mode == "silent":
            self.faults.spoiled[mode] += 1
            with self.faults.changed:
                self.faults.changed.wait_for(lambda: self.faults.mode != "silent", 10 * _TIMEOUT_S)
        if mode in ("silent", "refused"):  # a connection may be older than the closing of the port
            self.close_connection = True
            return
        if mode == "errors" and self.faults.chance.random() < _ERROR_SHARE:
            self.faults.spoiled[mode] += 1
            self._send(self.faults.chance.choice((500, 503)), [], b"")
            return
        status, headers, content = self._forwarded(body)
        is_object = self.command == "GET" and status == 200 and content[:2] == b"\xff\xd8"
        if is_object and mode in ("cut", "altered"):
            self.faults.spoiled[mode] += 1
        if is_object and mode == "altered":
            place = len(content) // 2
            content = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        self._send(status, headers, content, cut=is_object and mode == "cut")

    def _forwarded(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.faults.target, timeout=_TIMEOUT_S)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():  # keep the Host header, because it is signed
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _send(
        self, status: int, headers: list[tuple[str, str]], content: bytes, *, cut: bool = False
    ) -> None:
        self.send_response_only(status)
        names = {name.lower() for name, _ in headers}
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        if "content-length" not in names:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.close_connection = True

    # http.server calls these names.
    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _answer  # noqa: N815

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass
