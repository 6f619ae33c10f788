"""GETs and PUTs without boto3's client, at a quarter of its work: a photo and its check take two of each.

Only the plain answer is read here. For every other one, and for a connection that has ended, the caller uses
boto3's client, with its retries and errors; not for one that came too late, which would be awaited twice.
"""

from __future__ import annotations

import io
import weakref
from collections import deque
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ReadTimeoutError

from catloader.answer_time import LimitedResponse

_CHUNK_BYTES = 256 * 1024
"""A body is sent in such parts, each within the time limit: a slow connection may take longer for all."""


class DirectClient:
    """Signed requests over HTTP connections that are kept open. Thread-safe.

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
        wait_s: float,
        response: type[LimitedResponse],
    ) -> None:
        """
        Args:
            endpoint_url: ``http://``, without TLS.
            connect_s: longest wait for a connection.
            wait_s: longest wait for the next part of an answer, or until the next part of a body is sent.
            response: limits the time of a whole answer.
        """
        url = urlsplit(endpoint_url)
        self._address = url.hostname or "", url.port or 80
        self._host, self._path = url.netloc, url.path.rstrip("/")
        self._signature = S3SigV4Auth(Credentials(access_key_id, secret_access_key), "s3", region)
        self._max_connections, self._connect_s, self._wait_s = max_connections, connect_s, wait_s
        self._response = response
        self._idle: deque[HTTPConnection] = deque()
        weakref.finalize(self, _close_all, self._idle)

    def get(self, bucket: str, key: str) -> bytes | None:
        """Return the object; None: the server gave another answer than 200, or none.

        Raises:
            ReadTimeoutError: as ``put``.
        """
        answer = self._answer("GET", bucket, key)
        return None if answer is None else answer[0]

    def put(self, bucket: str, key: str, data: bytes, content_type: str) -> bool:
        """Store the object; False: the server did not confirm it, or gave no answer.

        Raises:
            ReadTimeoutError: not in time; another attempt would take as long.
        """
        answer = self._answer("PUT", bucket, key, data, {"Content-Type": content_type})
        return answer is not None and bool(answer[1].getheader("ETag"))

    def _answer(
        self, method: str, bucket: str, key: str, data: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[bytes, HTTPResponse] | None:
        """Return the body and the head of a plain answer.

        Raises:
            ReadTimeoutError: none in time.
        """
        path = f"{self._path}/{bucket}/{quote(key)}"
        signed = AWSRequest(
            method, f"http://{self._host}{path}", headers={"Host": self._host, **(headers or {})}, data=data
        )
        self._signature.add_auth(signed)
        sent = {"User-Agent": "CatLoader", **signed.headers}
        if method == "PUT":
            sent["Content-Length"] = str(len(data))
        connection, answer = None, None
        try:
            connection = self._connection()
            connection.request(method, path, io.BytesIO(data) if data else None, sent)
            answer = _plain(connection.getresponse())
        except TimeoutError as error:
            _close_all(self._idle)  # a firewall drops idle connections silently, and all of them
            raise ReadTimeoutError(endpoint_url=f"http://{self._host}") from error
        except (OSError, HTTPException):
            pass
        finally:
            if connection is not None:
                # Without a socket, the server has ended it: http.client would connect again, and wait for an
                # answer only as long as for a connection.
                is_open = answer is not None and connection.sock is not None
                if is_open and len(self._idle) < self._max_connections:
                    self._idle.append(connection)
                else:
                    connection.close()
        return answer

    def _connection(self) -> HTTPConnection:
        """Return a kept connection, or a new one.

        Raises:
            OSError
        """
        try:
            return self._idle.pop()  # the one used last: the server has hardly closed it
        except IndexError:
            pass
        connection = HTTPConnection(*self._address, timeout=self._connect_s, blocksize=_CHUNK_BYTES)
        connection.response_class = self._response
        connection.connect()
        connection.sock.settimeout(self._wait_s)
        return connection


def _plain(answer: HTTPResponse) -> tuple[bytes, HTTPResponse] | None:
    """Read a plain answer.

    Raises:
        OSError: no answer, or not in time.
        HTTPException: only a part of it.
    """
    plain = (
        answer.status == HTTPStatus.OK
        and answer.length is not None  # or its end could not be told from a lost connection
        and "content-encoding" not in answer.headers
    )
    return (answer.read(), answer) if plain else None


def _close_all(connections: deque[HTTPConnection]) -> None:
    with suppress(IndexError):  # other threads take connections meanwhile
        while True:
            connections.pop().close()
