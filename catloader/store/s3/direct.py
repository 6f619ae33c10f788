"""A GET without boto3's client, at a fifth of its work: the checker makes two for each photo.

Only the plain answer is read here. For every other one, and for a connection that has ended, the caller uses
boto3's client, with its retries and errors.
"""

from __future__ import annotations

import socket
import weakref
from collections import deque
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

_MAX_HEAD_BYTES = 2**16
_HEAD_END = b"\r\n\r\n"


class DirectReader:
    """Signed GETs over HTTP/1.1 connections that are kept open. Thread-safe.

    Keeps at most ``max_connections``; more are opened if that many requests are under way.
    """

    def __init__(
        self,
        endpoint_url: str,
        *,
        access_key_id: str,
        secret_access_key: str,
        region: str,
        max_connections: int,
        connect_s: float,
        read_s: float,
    ) -> None:
        """
        Args:
            endpoint_url: ``http://``, without TLS.
            read_s: longest wait for the next part of an answer.
        """
        url = urlsplit(endpoint_url)
        host, port = url.hostname or "", url.port or 80
        self._address = host, port
        self._host = f"{f'[{host}]' if ':' in host else host}:{port}"
        self._path = url.path.rstrip("/")
        self._signature = S3SigV4Auth(Credentials(access_key_id, secret_access_key), "s3", region)
        self._max_connections, self._connect_s, self._read_s = max_connections, connect_s, read_s
        self._idle: deque[socket.socket] = deque()
        weakref.finalize(self, _close_all, self._idle)

    def get(self, bucket: str, key: str) -> bytes | None:
        """Return the object; None: the server gave another answer than 200, or none."""
        request = self._request(f"{self._path}/{bucket}/{quote(key)}")
        try:
            connection = self._connect()
            try:
                data = self._answer(connection, request)
            except BaseException:
                connection.close()
                raise
        except (OSError, ValueError):
            return None
        if data is None or len(self._idle) >= self._max_connections:
            connection.close()
        else:
            self._idle.append(connection)
        return data

    def _request(self, path: str) -> bytes:
        request = AWSRequest("GET", f"http://{self._host}{path}", headers={"Host": self._host})
        self._signature.add_auth(request)
        request.headers["Accept-Encoding"] = "identity"
        request.headers["User-Agent"] = "CatLoader"
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
        return "\r\n".join((*lines, "", "")).encode()

    def _connect(self) -> socket.socket:
        try:
            return self._idle.pop()  # the one used last: the server has hardly closed it
        except IndexError:
            connection = socket.create_connection(self._address, self._connect_s)
            connection.settimeout(self._read_s)
            return connection

    @staticmethod
    def _answer(connection: socket.socket, request: bytes) -> bytes | None:
        """Send the request and read the answer; None: not one that leaves the connection usable.

        Raises:
            OSError: no answer, or not in time.
            ValueError: not the answer of an HTTP server.
        """
        connection.sendall(request)
        received = b""
        while (head_bytes := received.find(_HEAD_END)) < 0:
            part = connection.recv(_MAX_HEAD_BYTES)
            if not part or len(received) > _MAX_HEAD_BYTES:
                return None
            received += part
        size_bytes = _size_bytes(received[:head_bytes].decode("latin-1"))
        if size_bytes is None:
            return None
        parts = [received[head_bytes + len(_HEAD_END) :]]
        missing = size_bytes - len(parts[0])
        while missing > 0:
            part = connection.recv(missing)
            if not part:
                return None
            parts.append(part)
            missing -= len(part)
        return b"".join(parts) if missing == 0 else None


def _size_bytes(head: str) -> int | None:
    """Return the size of the body that follows; None: not a plain answer on a connection that stays open."""
    status, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    plain = (
        status.startswith(f"HTTP/1.1 {HTTPStatus.OK:d} ")
        and headers.get("connection", "keep-alive").lower() == "keep-alive"
        and headers.keys().isdisjoint({"transfer-encoding", "content-encoding"})
    )
    return int(headers["content-length"]) if plain and "content-length" in headers else None


def _close_all(connections: deque[socket.socket]) -> None:
    while connections:
        connections.pop().close()
