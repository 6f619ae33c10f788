"""Lingering close: read the rest of a refused request body before the response goes out.

A server that responds and closes the connection while the browser is still sending makes the browser
show "connection reset" instead of the response. So the rest of the body is read and discarded first:
at most ``max_bytes``, for at most ``max_s``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import IO, Any

CHUNK_BYTES = 256 * 1024


class _CountingInput:
    """The server's input stream; counts the bytes read from it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.read_bytes = 0

    def read(self, size: int = -1) -> bytes:
        return self._count(self._raw.read(size))

    def readline(self, size: int = -1) -> bytes:
        return self._count(self._raw.readline(size))

    def __iter__(self) -> _CountingInput:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def _count(self, data: bytes) -> bytes:
        self.read_bytes += len(data)
        return data


class LingeringClose:
    """WSGI middleware."""

    def __init__(self, app: Any, *, max_bytes: int, max_s: float = 30.0) -> None:
        self._app, self._max_bytes, self._max_s = app, max_bytes, max_s

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        declared = environ.get("CONTENT_LENGTH") or ""
        if not declared.isdecimal():
            # Chunked: the form parser reads it to its bounded end; the remaining length is unknown.
            response: Iterable[bytes] = self._app(environ, start_response)
            return response
        body = _CountingInput(environ["wsgi.input"])
        environ["wsgi.input"] = body
        response = self._app(environ, start_response)
        self._discard_rest(body, int(declared))
        return response

    def _discard_rest(self, body: _CountingInput, declared: int) -> None:
        deadline_s, stop_at = time.monotonic() + self._max_s, body.read_bytes + self._max_bytes
        while body.read_bytes < min(declared, stop_at) and time.monotonic() < deadline_s:
            try:
                if not body.read(min(CHUNK_BYTES, declared - body.read_bytes)):
                    return
            except OSError:  # the client hung up, so no response can reach it
                return
