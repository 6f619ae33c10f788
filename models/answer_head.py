"""Limit the time until the head of a response is complete.

A read timeout is not enough: a server may send "100 Continue" again and again before the response.
"""

from __future__ import annotations

import time
from http.client import HTTPResponse
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool


class MissingAuthorities(requests.RequestException):
    """The file of trusted authorities that ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE`` names is missing."""


class AdapterWithAuthorities(HTTPAdapter):
    """Raises ``MissingAuthorities`` instead of an OSError, which callers take for a fault of their files."""

    def cert_verify(self, *arguments: Any) -> None:
        try:
            super().cert_verify(*arguments)  # type: ignore[no-untyped-call]
        except OSError as error:
            raise MissingAuthorities(str(error)) from error


def session_with_limited_heads(limit_s: float) -> requests.Session:
    """Return a session that raises ``requests.ReadTimeout`` if the head of a response takes longer."""

    class Head:
        def __init__(self, file: Any) -> None:
            self.file, self.close, self._deadline_s = file, file.close, time.monotonic() + limit_s

        def readline(self, limit: int = -1) -> bytes:
            if time.monotonic() > self._deadline_s:
                raise TimeoutError("the head of the response took too long")
            line: bytes = self.file.readline(limit)
            return line

    class Response(HTTPResponse):
        def begin(self) -> None:
            file, head = self.fp, Head(self.fp)
            self.fp: Any = head
            try:
                super().begin()
            finally:
                if self.fp is head:  # not closed by ``begin``
                    self.fp = file

    class Adapter(AdapterWithAuthorities):
        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            super().init_poolmanager(*arguments, **options)
            _set_response_class(self.poolmanager, Response)

        def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
            manager = super().proxy_manager_for(proxy, **options)
            _set_response_class(manager, Response)
            return manager

    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, Adapter())
    return session


def _set_response_class(manager: Any, kind: type[HTTPResponse]) -> None:
    def with_kind(pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
        connection = type("Connection", (pool.ConnectionCls,), {"response_class": kind})
        return type("Pool", (pool,), {"ConnectionCls": connection})

    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: with_kind(pool) for scheme, pool in pools.items()}
