"""GETs and PUTs without boto3's client, at a quarter of its cost; a photo and its check need two of each.

This client handles only plain responses: status 200, of a stated length, and not compressed. After any other
response and after a broken connection, the caller uses boto3's client, with its retries and errors. After a
timeout it does not, because it would wait a second time.
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
"""Size of the parts of a body. The time limit applies to each part, so slow connections may take longer."""


class DirectClient:
    """Signed requests over persistent HTTP connections. Thread-safe.

    At most ``max_connections`` idle connections are kept; concurrent requests may open more.
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
            connect_s: time limit for a connection.
            wait_s: time limit for the next part of a response, and for sending the next part of a body.
            response: response class of the connections, which limits the time of a whole response.
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
        """Return the object; None: the response was not plain, or there was none.

        Raises:
            ReadTimeoutError: as for ``put``.
        """
        response = self._exchange("GET", bucket, key)
        return None if response is None else response[0]

    def put(self, bucket: str, key: str, data: bytes, content_type: str) -> bool:
        """Store the object; False: the server did not confirm this, or there was no response.

        Raises:
            ReadTimeoutError: no response in time; a retry would take just as long.
        """
        response = self._exchange("PUT", bucket, key, data, {"Content-Type": content_type})
        return response is not None and bool(response[1].getheader("ETag"))

    def _exchange(
        self, method: str, bucket: str, key: str, data: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[bytes, HTTPResponse] | None:
        """Send a request; return the body and the response if it is plain, else None.

        Raises:
            ReadTimeoutError: no response in time.
        """
        path = f"{self._path}/{bucket}/{quote(key)}"
        signed = AWSRequest(
            method, f"http://{self._host}{path}", headers={"Host": self._host, **(headers or {})}, data=data
        )
        self._signature.add_auth(signed)
        signed_headers = {"User-Agent": "CatLoader", **signed.headers}
        if method == "PUT":
            signed_headers["Content-Length"] = str(len(data))
        connection, response = None, None
        try:
            connection = self._connection()
            connection.request(method, path, io.BytesIO(data) if data else None, signed_headers)
            response = _plain(connection.getresponse())
        except TimeoutError as error:
            _close_all(self._idle)  # a firewall silently drops all idle connections
            raise ReadTimeoutError(endpoint_url=f"http://{self._host}") from error
        except (OSError, HTTPException):
            pass
        finally:
            if connection is not None:
                # Without a socket, the server has closed the connection. http.client would connect again, and
                # apply the time limit for connections to the response.
                is_open = response is not None and connection.sock is not None
                if is_open and len(self._idle) < self._max_connections:
                    self._idle.append(connection)
                else:
                    connection.close()
        return response

    def _connection(self) -> HTTPConnection:
        """Return an idle connection, or a new one.

        Raises:
            OSError: there is no connection in time.
        """
        try:
            return self._idle.pop()  # most recently used, so the server has hardly closed it
        except IndexError:
            pass
        connection = HTTPConnection(*self._address, timeout=self._connect_s, blocksize=_CHUNK_BYTES)
        connection.response_class = self._response
        connection.connect()
        connection.sock.settimeout(self._wait_s)
        return connection


def _plain(response: HTTPResponse) -> tuple[bytes, HTTPResponse] | None:
    """Read the body if the response is plain; None: it is not plain.

    Raises:
        OSError: the body did not arrive, or not in time.
        HTTPException: only a part of it arrived.
    """
    plain = (
        response.status == HTTPStatus.OK
        and response.length is not None  # else a lost connection would look like its end
        and "content-encoding" not in response.headers
    )
    return (response.read(), response) if plain else None


def _close_all(connections: deque[HTTPConnection]) -> None:
    with suppress(IndexError):  # other threads take connections meanwhile
        while True:
            connections.pop().close()
