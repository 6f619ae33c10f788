"""Limits for whole responses of servers. A socket's timeout starts again with each byte that arrives."""

from __future__ import annotations

import errno
import io
import math
import ssl
import time
from http.client import HTTPResponse
from typing import IO, TYPE_CHECKING, Any

from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.ssl_ import create_urllib3_context

if TYPE_CHECKING:
    import requests

MAX_BYTES = 16 * 2**20
"""Limit for a response without photos. An endless response would fill the memory."""
_HEAD_BYTES = 256 * 1024
"""Limit for the head of a response, including any "100 Continue" before it."""


def limited(file: IO[bytes], total_s: float) -> io.BufferedReader:
    """Return a socket's file with limits on the total time and bytes; ``file`` is detached."""
    assert isinstance(file, io.BufferedReader)
    return io.BufferedReader(_Limited(file.detach(), total_s, math.inf, MAX_BYTES))


class _Limited(io.RawIOBase):
    """Enforces the limits between two reads, so they may be exceeded by the socket's timeout."""

    def __init__(self, raw: io.RawIOBase, total_s: float, bytes_per_s: float, max_bytes: int) -> None:
        """
        Args:
            total_s: limit on the time from now on.
            bytes_per_s: lowest rate of large responses: each received byte extends the time limit by
                ``1 / bytes_per_s``.
            max_bytes: limit on the sum of received bytes.
        """
        self._raw, self._end_s, self._bytes_per_s = raw, time.monotonic() + total_s, bytes_per_s
        self.left_bytes = max_bytes

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._end_s:
            raise TimeoutError("the whole response took too long")
        if self.left_bytes < 0:
            raise _too_large()
        received: int | None = self._raw.readinto(buffer)
        self._end_s += (received or 0) / self._bytes_per_s
        self.left_bytes -= received or 0
        return received

    def close(self) -> None:
        self._raw.close()
        super().close()


def _too_large() -> OSError:
    return OSError(errno.EMSGSIZE, "the answer is too large")


class LimitedResponse(HTTPResponse):
    """A response whose head and body must arrive in time; for ``HTTPConnection.response_class``."""

    total_s: float
    bytes_per_s: float = math.inf
    max_bytes: int = MAX_BYTES

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._raw = _Limited(self.fp.detach(), self.total_s, self.bytes_per_s, _HEAD_BYTES)
        self.fp = io.BufferedReader(self._raw)

    def begin(self) -> None:
        super().begin()
        self._raw.left_bytes = self.max_bytes
        if (self.length or 0) > self.max_bytes:  # memory for the whole body would be allocated at once
            raise _too_large()


def response_class(
    total_s: float, bytes_per_s: float = math.inf, max_bytes: int = MAX_BYTES
) -> type[LimitedResponse]:
    limits = {"total_s": total_s, "bytes_per_s": bytes_per_s, "max_bytes": max_bytes}
    return type("Response", (LimitedResponse,), limits)


class _SystemsAuthorities:
    """Trusts the system's certificates (``SSL_CERT_FILE``) in addition to the list that requests ships.

    Administrators add their own authority to the system's certificates. Explicit choices are not changed: an
    SSL context, as for connections to S3, and another list of certificates, as in ``REQUESTS_CA_BUNDLE``.
    Without a list, urllib3 reads the system's certificates anyway.
    """

    ssl_context: ssl.SSLContext | None
    ca_certs: str | None

    def connect(self) -> None:
        if self.ssl_context is None and self.ca_certs:
            from requests.utils import DEFAULT_CA_BUNDLE_PATH

            if self.ca_certs == DEFAULT_CA_BUNDLE_PATH:
                self.ssl_context = create_urllib3_context()
                self.ssl_context.load_default_certs()
        super().connect()  # type: ignore[misc]  # of HTTPSConnection


def pool_classes(
    response: type[LimitedResponse],
    http: type[HTTPConnectionPool] = HTTPConnectionPool,
    https: type[HTTPConnectionPool] = HTTPSConnectionPool,
) -> dict[str, type[HTTPConnectionPool]]:
    """Return subclasses of these pools with limited responses, for ``PoolManager.pool_classes_by_scheme``."""

    limits = {"response_class": response}
    return {"http": _kind_of(http, **limits), "https": _kind_of(https, _SystemsAuthorities, **limits)}


def _kind_of(pool: type[HTTPConnectionPool], *more: type, **attributes: Any) -> type[HTTPConnectionPool]:
    connection = type("Connection", (*more, pool.ConnectionCls), attributes)
    return type("Pool", (pool,), {"ConnectionCls": connection})


def limit_session(session: requests.Session, total_s: float, max_bytes: int = MAX_BYTES) -> None:
    """Limit the responses of a new session, except through a proxy; refuse compressed responses.

    The session trusts the system's certificates, also through a proxy, which may replace the certificates of
    servers.
    """
    from requests.exceptions import ContentDecodingError

    from models.answer_head import AdapterWithAuthorities

    pools = pool_classes(response_class(total_s, max_bytes=max_bytes))

    class Adapter(AdapterWithAuthorities):
        def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> Any:
            request.headers["Accept-Encoding"] = "identity"
            response = super().send(request, *arguments, **options)
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                response.close()  # unread: a few megabytes may unpack to gigabytes
                raise ContentDecodingError("the response is compressed, which was not requested")
            return response

        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            super().init_poolmanager(*arguments, **options)
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
            manager = super().proxy_manager_for(proxy, **options)
            kinds = manager.pool_classes_by_scheme
            if not issubclass(kinds["https"].ConnectionCls, _SystemsAuthorities):
                https = _kind_of(kinds["https"], _SystemsAuthorities)
                manager.pool_classes_by_scheme = {**kinds, "https": https}
            return manager

    for scheme in ("https://", "http://"):
        session.mount(scheme, Adapter())
