"""Connections: waitress receives a request completely before a thread works on it.

One event loop reads all connections of a process, so a slow client takes a descriptor but no thread. Code
that relies on waitress's internals is in this file, ``request_parser`` and ``worker``; each place says why.
"""

from __future__ import annotations

import contextlib
import logging
import select
import sys
import time
from typing import Any

import click
from waitress.adjustments import Adjustments
from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import Error

from catloader.errors import CatLoaderError
from catloader.logs import access_line, logged_path
from catloader.server.listener import BACKLOG
from catloader.server.request_parser import Parser, Rules, TimeLimits
from catloader.web.http.request_log import FACTS
from catloader.web.uploads.admission import REFUSED
from checker.log_limit import LogLimits
from checker.process.heap import give_memory_back

logger = logging.getLogger(__name__)

_IN_MEMORY_BYTES = 64 * 1024
"""Longer bodies are kept in the temporary folder, so 2 000 connections take at most 128 MB of memory."""
_LARGE_BYTES = 2**20
"""Size of a body above which the C library keeps the freed memory, in each thread that has used it."""
_HEAD_BYTES = 32 * 1024
_KEEP_ALIVE_S = 15.0
_CHECK_EVERY_S = 1.0
_HEADERS = [
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
]
"""Headers of waitress's error responses, which may repeat parts of the request."""


class _NotBuffered(CatLoaderError):
    """A response that its client reads slowly can't be written to the temporary folder."""

    cause = "temporary folder"


class _TooSlow(Error):  # type: ignore[misc]  # waitress ships no types
    code = 408
    reason = "Request Timeout"


class _ResponseTask(WSGITask):  # type: ignore[misc]
    """Sends a response of the application."""

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        if self.request.refused:
            environ[REFUSED] = int(self.request.refused)
        if int(environ.get("CONTENT_LENGTH") or 0) > _LARGE_BYTES:
            self.channel.server.had_large_body = True
        return environ

    def service(self) -> None:
        try:
            super().service()
        except CatLoaderError as error:
            # The response failed in the middle, for example of a photo: closing the connection shows that.
            self.close_on_finish = True
            if (
                suffix := self.channel.server.log_limits.suffix(getattr(error, "cause", str(error)))
            ) is not None:
                logger.warning("%s was cut off: %s%s", logged_path(self.request.path), error, suffix)
        _log_access(self)


class _RefusalTask(ErrorTask):  # type: ignore[misc]
    """Sends the response to a request that is not HTTP, or that took too long."""

    def service(self) -> None:
        self.response_headers += _HEADERS
        super().service()
        _log_access(self)


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection."""

    task_class = _ResponseTask
    error_task_class = _RefusalTask
    request: Any
    """The request that is being received; None between two requests."""
    will_close: bool
    outbufs: list[Any]
    _activity: float = 0.0
    """``last_activity`` at the last check. Only compared, because the time of day may be set meanwhile."""
    _active_s: float = 0.0
    """Time of the last check at which ``_activity`` had changed or the server was computing the response."""

    def parser_class(self, adj: Adjustments) -> Parser:
        """Make a parser with rules; a method in place of waitress's class attribute."""
        return Parser(adj, self.server.rules, self.server.log_limits)

    @property
    def is_busy(self) -> bool:
        return bool(self.requests or self.request is not None or self.total_outbufs_len)

    def write_soon(self, data: Any) -> int:
        """Send or buffer a piece of a response: in memory, and in a temporary file from 1 MB on.

        Raises:
            _NotBuffered: the file can't be written. waitress would continue with a wrong count of the bytes.
        """
        with self.outbuf_lock:
            try:
                return int(super().write_soon(data))
            except OSError as error:
                for buffer in self.outbufs:
                    buffer.close()
                self.outbufs = [OverflowableBuffer(self.adj.outbuf_overflow)]
                self.total_outbufs_len = self.current_outbuf_count = 0
                raise _NotBuffered(f"temporary folder: {error.strerror}") from error

    def close_if_slow(self, now_s: float, limits: TimeLimits) -> None:
        """Enforce the time limits; runs in the event loop, which also receives.

        Args:
            now_s: time of the monotonic clock.
        """
        # From `send_bytes` on, the thread waits for the client to read; smaller amounts are buffered.
        is_computed = bool(self.requests) and self.total_outbufs_len < self.adj.send_bytes
        if is_computed or self.last_activity != self._activity:
            self._activity, self._active_s = self.last_activity, now_s
        silent_s = now_s - self._active_s
        if self.requests:  # a thread works on the request
            if silent_s > limits.stalled_s:
                self._log_slow()
                self.handle_close()  # without waiting for a socket that accepts nothing
        elif self.request is None:
            idle_s = limits.stalled_s if self.total_outbufs_len else _KEEP_ALIVE_S
            # On a busy machine, a request may have arrived that the event loop has not seen: do not reset it.
            if silent_s > idle_s and (self.total_outbufs_len or not self._has_unread()):
                self.handle_close()
        elif silent_s > limits.stalled_s or self.request.too_slow(now_s, limits):
            self._refuse_slow()

    def _has_unread(self) -> bool:
        events = select.poll()
        events.register(self.socket, select.POLLIN)
        return bool(events.poll(0))

    def _refuse_slow(self) -> None:
        self._log_slow()
        request, self.request = self.request, None
        request.error = _TooSlow("This request took too long.")
        self.requests.append(request)
        self.service()  # quick, so it may run in the event loop: it writes one line to the buffer

    def _log_slow(self) -> None:
        if (suffix := self.server.log_limits.suffix("slow")) is not None:
            logger.warning("A connection was closed: it fell silent, or its request took too long%s", suffix)


class Connections(TcpWSGIServer):  # type: ignore[misc]
    """The listening socket and all connections of one process."""

    channel_class = Channel

    def __init__(self, *args: Any, rules: Rules, limits: TimeLimits, access_log: bool, **kw: Any) -> None:
        self.rules, self.limits, self.access_log = rules, limits, access_log
        self.log_limits = LogLimits()
        self._next_check_s = 0.0
        self.had_large_body = False
        """True if there was a large body since memory was last given back."""
        super().__init__(*args, **kw)

    def readable(self) -> bool:
        self.next_channel_cleanup = 0.0  # waitress uses the time of day, which may be set back
        return bool(super().readable())

    def maintenance(self, _now: float) -> None:
        """Enforce the time limits once a second, and give the memory of large bodies back after their use."""
        now_s = time.monotonic()
        if now_s < self._next_check_s:
            return
        self._next_check_s = now_s + _CHECK_EVERY_S
        for channel in list(self.active_channels.values()):
            channel.close_if_slow(now_s, self.limits)
        if self.had_large_body and not self.is_busy():
            self.had_large_body = False
            give_memory_back()

    def is_busy(self) -> bool:
        """Return True if a request is in progress, from its first byte to the last byte of its response."""
        return any(channel.is_busy for channel in self.active_channels.values())

    def close_idle(self) -> None:
        for channel in self.active_channels.values():
            channel.will_close = channel.will_close or not channel.is_busy


def adjustments(*, connections: int) -> Adjustments:
    """Return waitress's options: bodies are limited by ``Rules``, time by ``TimeLimits``."""
    return Adjustments(
        # waitress must keep X-Forwarded-*, which ProxyFix reads as far as CATLOADER_TRUSTED_PROXIES allows.
        clear_untrusted_proxy_headers=False,
        ident="",  # no Server header
        connection_limit=connections,
        asyncore_use_poll=True,
        backlog=BACKLOG,
        recv_bytes=64 * 1024,
        inbuf_overflow=_IN_MEMORY_BYTES,
        max_request_header_size=_HEAD_BYTES,
        max_request_body_size=sys.maxsize,
        log_socket_errors=False,
    )


def _log_access(task: Any) -> None:
    if not task.channel.server.access_log:
        return
    request = task.request
    facts = {
        "address": task.channel.addr[0],
        "method": _shown(request.command),
        "path": _shown(logged_path(request.path)),  # never the query, which may have secrets
        "status": int(task.status.partition(" ")[0]),
        "bytes": task.content_bytes_written,
        "ms": round((time.time() - task.start_time) * 1000),
    }
    facts |= (getattr(task, "environ", None) or {}).get(FACTS, {})
    line = access_line(facts | {"address": _shown(facts["address"])})
    with contextlib.suppress(OSError):  # a closed terminal is not an error
        click.echo(line)


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() and c != '"' else f"\\x{ord(c):02x}" for c in text)
