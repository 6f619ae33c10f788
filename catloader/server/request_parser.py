"""Parse incoming requests: keep a body up to the limit that its head allows, and discard the rest."""

from __future__ import annotations

import errno
import io
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest

from catloader.settings.bounds import FORM_BYTES
from checker.log_limit import LogLimits

logger = logging.getLogger(__name__)

_ROOM_EVERY_BYTES = 16 * 1024 * 1024
"""Bytes of a kept body after which the rules must allow more room again."""
_CHUNK_LINE_BYTES = 1024
"""Longest line between the chunks of a body. waitress has no limit, and copies the line at each read."""
_TLS_HELLO = b"\x16\x03"
"""First bytes of a browser that uses https here; it would wait for a response that never comes."""
_VERSIONS = ("1.0", "1.1")
_LATER_MINOR = re.compile(rb"\A([^\r\n]* HTTP/1\.)[2-9](?=\r\n|\Z)")
"""A request of a later HTTP/1 is handled as the latest that is known, HTTP/1.1 (RFC 9110, section 2.5)."""
_HOST = re.compile(r"([\w.-]+|\[[\w:.%-]+\])(:\d{1,5})?", re.ASCII)
"""One name or address with an optional port; several ``Host`` headers arrive joined by commas."""
_LINGER_S = 30.0
"""Lingering close: a refused body is read and discarded for this long. A browser that is still sending when
the connection closes shows "connection reset" instead of the response."""
_LINGERED_BYTES = 4 * 2**30
"""A longer body does not arrive in that time at a gigabit a second: its client gets the response at once."""


class Rules(Protocol):
    """The application's decisions on a request by its head, made in the event loop: they must not wait."""

    def body_bytes(self, method: str, path: str, headers: Mapping[str, str]) -> int:
        """Return the maximum size of a body to keep; a longer body is discarded.

        Args:
            headers: names in capitals, with ``_`` instead of ``-``.
        """

    def refusal(self, method: str, path: str) -> int | None:
        """Return the HTTP status with which to refuse the request without its body; None: accept it."""

    def has_room(self) -> bool:
        """Return True if more of a body may be written to the temporary folder."""

    def uses_object_store(self, method: str, path: str) -> bool:
        """Return True if the request's thread may have to wait for S3."""


class FormsOnly:
    """The default rules of an application: small bodies, no object store."""

    def body_bytes(self, _method: str, _path: str, _headers: Mapping[str, str]) -> int:
        return FORM_BYTES

    def refusal(self, _method: str, _path: str) -> int | None:
        return None

    def has_room(self) -> bool:
        return True

    def uses_object_store(self, _method: str, _path: str) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """The limits for slow clients."""

    stalled_s: float
    """Longest time without a byte."""
    head_s: float
    """Longest time for the head of a request."""
    body_bytes_per_s: float
    """Lowest average rate of a body, counted after ``stalled_s``."""


class _Discarded:
    """Replaces the buffer of a body: counts the bytes and does not keep them."""

    def __init__(self, size_bytes: int = 0) -> None:
        self._size_bytes = size_bytes

    def append(self, data: bytes) -> None:
        self._size_bytes += len(data)

    def __len__(self) -> int:
        return self._size_bytes

    def getfile(self) -> io.BytesIO:
        return io.BytesIO()

    def close(self) -> None:
        return


class Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress ships no types
    """A request that is being received."""

    command = path = "-"
    """Set before the head is read, because waitress logs the path if the client disconnects."""
    completed: bool
    expect_continue: bool
    """The client waits for "100 Continue" before it sends the body."""

    body_rcv: Any
    """waitress's receiver of the body; None: there is no body."""

    def __init__(self, adj: Adjustments, rules: Rules, log_limits: LogLimits) -> None:
        super().__init__(adj)
        self._rules, self._log_limits = rules, log_limits
        self.refused: int | None = None
        self.begun_s = time.monotonic()
        self.body_begun_s = self.begun_s
        self._kept_bytes = 0
        self._room_bytes = adj.inbuf_overflow  # shorter bodies stay in memory
        self._linger_until_s = float("inf")

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(_LATER_MINOR.sub(rb"\g<1>1", header_plus))
        except ValueError:  # brackets in the address, thousands of digits in a length
            raise ParsingError("The address or the Content-Length is invalid.") from None
        if self.version not in _VERSIONS:  # waitress would treat it as HTTP/1.0
            raise ParsingError("This server speaks HTTP/1.0 and HTTP/1.1.")
        self._refuse_ambiguous()
        self.body_begun_s = time.monotonic()
        if self.body_rcv is None:
            return
        self._kept_bytes = self._rules.body_bytes(self.command, self.path, self.headers)
        self.refused = self._rules.refusal(self.command, self.path)
        if self.refused is not None or self.content_length > self._kept_bytes:
            if self.expect_continue:  # the client has not begun to send
                self.expect_continue, self.body_rcv = False, None
                self.headers["CONNECTION"] = "close"
            else:
                self._discard()

    def _refuse_ambiguous(self) -> None:
        """Refuse a head that a proxy may read as a request of another length or for another site (RFC 9112).

        Raises:
            ParsingError: a header is ambiguous; the text names it.
        """
        if "TRANSFER_ENCODING" in self.headers:  # waitress removes the header if it has used it
            raise ParsingError("Transfer-Encoding needs HTTP/1.1.")
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length and Transfer-Encoding exclude each other.")
        hosts = self.headers.get("HOST", "" if self.version == "1.1" else "none")
        if not _HOST.fullmatch(hosts):
            raise ParsingError("The request needs one Host header, with a valid name.")

    def received(self, data: bytes) -> int:
        if data.startswith(_TLS_HELLO) and not self.header_plus and not self.headers_finished:
            self.error, self.completed = BadRequest("This port speaks http, not https."), True
            return len(data)
        try:
            consumed: int = super().received(data)
        except OSError as error:
            consumed = self._refuse_unkept(data, error)
        if self.body_rcv is not None and not self._is_discarding and len(self.body_rcv) > self._room_bytes:
            self._look_for_room()
        if self.chunked and not self.completed:
            line_bytes = len(self.body_rcv.control_line) + len(self.body_rcv.trailer)
            if line_bytes > _CHUNK_LINE_BYTES:
                self.error, self.completed = BadRequest("The line between two chunks is too long."), True
            elif len(self.body_rcv) > self._kept_bytes and not self._is_discarding:
                self._discard()
        if self._lingers_too_long():
            self._give_up_rest()
        return consumed

    def _look_for_room(self) -> None:
        self._room_bytes = len(self.body_rcv) + _ROOM_EVERY_BYTES
        if not self._rules.has_room():
            if (suffix := self._log_limits.suffix("room")) is not None:
                logger.error("The temporary folder is nearly full: a request's body is not kept%s", suffix)
            self.refused = HTTPStatus.INSUFFICIENT_STORAGE
            self._discard()

    @property
    def _is_discarding(self) -> bool:
        return self.body_rcv is not None and isinstance(self.body_rcv.buf, _Discarded)

    def _discard(self) -> None:
        buffer = self.body_rcv.buf
        self.body_rcv.buf = _Discarded(len(buffer))
        buffer.close()
        lingers = self.content_length <= _LINGERED_BYTES
        self._linger_until_s = time.monotonic() + _LINGER_S * lingers

    def _refuse_unkept(self, data: bytes, error: OSError) -> int:
        """Continue without a body for which the temporary folder has no room.

        Only the receiver of a body of known length can be called again, because it changes nothing if it
        fails.
        """
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)  # else, for example, too many open files
        if (
            suffix := self._log_limits.suffix(str(error.errno))
        ) is not None:  # the file's name always differs
            logger.error(
                "A request's body can't be kept in the temporary folder: %s%s", error.strerror, suffix
            )
        self.refused = HTTPStatus.INSUFFICIENT_STORAGE if full else HTTPStatus.SERVICE_UNAVAILABLE
        self._discard()
        if not self.chunked:
            return int(super().received(data))
        self._give_up_rest()
        return len(data)

    def _lingers_too_long(self) -> bool:
        return not self.completed and time.monotonic() >= self._linger_until_s

    def _give_up_rest(self) -> None:
        """Respond now, and close the connection, because the following bytes are not another request."""
        if self.chunked:
            self.headers["CONTENT_LENGTH"] = str(len(self.body_rcv))
        self.headers["CONNECTION"] = "close"
        self.completed = True

    def too_slow(self, now_s: float, limits: TimeLimits) -> bool:
        if not self.headers_finished:
            return now_s > self.begun_s + limits.head_s
        allowed_s = limits.stalled_s + self.body_bytes_received / limits.body_bytes_per_s
        return bool(now_s > self.body_begun_s + allowed_s)
