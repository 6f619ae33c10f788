"""A GET without boto3's client, at a quarter of its work: the checker makes two for each photo.

Only the plain answer is read here. For every other one, and for a connection that has ended, the caller uses
boto3's client, with its retries and errors.
"""

from __future__ import annotations

import weakref
from collections import deque
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


class DirectReader:
    """Signed GETs over HTTP connections that are kept open. Thread-safe.

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
        wait_s: float,
    ) -> None:
        """
        Args:
            endpoint_url: ``http://``, without TLS.
            wait_s: longest wait for a connection, and for the next part of an answer.
        """
        url = urlsplit(endpoint_url)
        self._address = url.hostname or "", url.port or 80
        self._host, self._path = url.netloc, url.path.rstrip("/")
        self._signature = S3SigV4Auth(Credentials(access_key_id, secret_access_key), "s3", region)
        self._max_connections, self._wait_s = max_connections, wait_s
        self._idle: deque[HTTPConnection] = deque()
        weakref.finalize(self, _close_all, self._idle)

    def get(self, bucket: str, key: str) -> bytes | None:
        """Return the object; None: the server gave another answer than 200, or none."""
        path = f"{self._path}/{bucket}/{quote(key)}"
        request = AWSRequest("GET", f"http://{self._host}{path}", headers={"Host": self._host})
        self._signature.add_auth(request)
        try:
            connection = self._idle.pop()  # the one used last: the server has hardly closed it
        except IndexError:
            connection = HTTPConnection(*self._address, timeout=self._wait_s)
        try:
            data = _answer(connection, path, {"User-Agent": "CatLoader", **request.headers})
        except (OSError, HTTPException):
            data = None
        if data is None or len(self._idle) >= self._max_connections:
            connection.close()
        else:
            self._idle.append(connection)
        return data


def _answer(connection: HTTPConnection, path: str, headers: dict[str, str]) -> bytes | None:
    """Return the body of a plain answer.

    Raises:
        OSError: no answer, or not in time.
        HTTPException: not the answer of an HTTP server, or only a part of it.
    """
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    plain = (
        answer.status == HTTPStatus.OK
        and answer.length is not None  # or its end could not be told from a lost connection
        and "content-encoding" not in answer.headers
    )
    return answer.read() if plain else None


def _close_all(connections: deque[HTTPConnection]) -> None:
    while connections:
        connections.pop().close()
