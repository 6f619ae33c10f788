"""Reading what a refused request still sends.

A server that answers and hangs up while the browser is still sending makes it show "connection
reset" instead of the answer. So the rest of the body is read and thrown away before the answer
goes out: at most ``most_bytes`` of it, for at most ``most_s``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import IO, Any

CHUNK_BYTES = 256 * 1024


class _Counted:
    """The server's input, counting what was read of it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self.read_bytes = 0

    def read(self, size: int = -1) -> bytes:
        return self._count(self._raw.read(size))

    def readline(self, size: int = -1) -> bytes:
        return self._count(self._raw.readline(size))

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def _count(self, data: bytes) -> bytes:
        self.read_bytes += len(data)
        return data


class Drained:
    """WSGI middleware."""

    def __init__(self, app: Any, *, most_bytes: int, most_s: float = 30.0) -> None:
        self._app, self._most_bytes, self._most_s = app, most_bytes, most_s

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        declared = environ.get("CONTENT_LENGTH") or ""
        if not declared.isdecimal():
            # Chunked: the form parser reads it to its bounded end; nothing tells how much is left.
            answer: Iterable[bytes] = self._app(environ, start_response)
            return answer
        body = _Counted(environ["wsgi.input"])
        environ["wsgi.input"] = body
        answer = self._app(environ, start_response)
        self._drain(body, int(declared))
        return answer

    def _drain(self, body: _Counted, declared: int) -> None:
        end, stop_at = time.monotonic() + self._most_s, body.read_bytes + self._most_bytes
        while body.read_bytes < min(declared, stop_at) and time.monotonic() < end:
            try:
                if not body.read(min(CHUNK_BYTES, declared - body.read_bytes)):
                    return
            except OSError:  # the browser hung up: nobody waits for the answer
                return
