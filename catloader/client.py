"""A client of the API: upload photos, read verdicts, check photos. Not thread-safe."""

from __future__ import annotations

import contextlib
import functools
import io
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import requests
from pydantic import BaseModel, ValidationError
from requests.auth import AuthBase
from urllib3.exceptions import LocationParseError

from catloader.answer_time import limit_session
from catloader.api_models import Appeal, Check, Photo, PhotoPage, Problem, Verdict
from catloader.errors import CatLoaderError
from catloader.no_answer import reason_of

Body = TypeVar("Body", bound=BaseModel)
Show = Literal["all", "cat", "unsure", "not_cat", "waiting", "failed", "appealed"]

_CONNECT_S, _SILENCE_S = 10.0, 120.0
"""Timeouts to connect and for each read of the response. A busy site may take long to process a photo."""
_ANSWER_S = 600.0
"""Limit for the whole response. A server that sends one byte at a time would otherwise never time out."""
_ANSWER_BYTES = 64 * 2**20
_RETRYABLE = (429, 502, 503, 504)
_RESPONSE_LOST = (502, 504)
"""Statuses with which a proxy answers in place of the site. With 429 and 503 the site has not acted."""
_LONGEST_WAIT_S = 60.0
_INVALID_ADDRESS = (ValueError, LocationParseError)
"""Requests' own errors for invalid URLs are ValueErrors; a redirect can also raise errors of urllib3."""
_PHOTO = {"Content-Type": "application/octet-stream"}


class RequestFailed(CatLoaderError):
    """The site refused a request, or could not be reached. The text is one sentence."""

    def __init__(self, sentence: str, status: int = 0, retry_after_s: int | None = None) -> None:
        """
        Args:
            status: the HTTP status; 0 if there was no response.
        """
        super().__init__(sentence)
        self.status, self.retry_after_s = status, retry_after_s
        self.may_have_acted = False
        """True: the site may have acted on an earlier attempt, whose response was lost."""


class _Bearer(AuthBase):
    """Authentication by token. Requests would replace a plain header by an entry in ``.netrc``."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Client:
    """A client that acts for one account of one site.

    If the site is busy or the connection is lost, a request is retried: after ``Retry-After``, else after
    1, 2, 4 ... seconds.

    Args:
        url: address of the site, such as ``https://cats.example.org``; it may have a path.
        tries: maximum number of attempts for one request, including the first.
        connect_s: timeout to connect, and for each block of a photo to be sent.
        sleep: called with the seconds to wait before a retry.
    Raises:
        RequestFailed: ``url`` is not a valid address.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        tries: int = 6,
        sleep: Callable[[float], None] = time.sleep,
        connect_s: float = _CONNECT_S,
    ) -> None:
        self._url, self._tries, self._sleep = _address(url), tries, sleep
        self._timeout_s = (connect_s, _SILENCE_S)
        self._session = requests.Session()
        self._session.auth = _Bearer(token)
        limit_session(self._session, _ANSWER_S, _ANSWER_BYTES)

    def close(self) -> None:
        self._session.close()

    @functools.cached_property
    def max_file_bytes(self) -> int | None:
        """Size of the largest file that the site accepts; None if the site does not state it.

        A larger file would be sent for nothing, and on a slow connection the site closes it before the
        response is read.
        """
        try:
            response = self._send("OPTIONS", "/upload/resumable", base="")
        except RequestFailed as error:
            if error.status in (0, *_RETRYABLE):
                raise
            return None
        size = response.headers.get("Tus-Max-Size", "")
        return int(size) if size.isdecimal() and len(size) < 20 else None

    def upload(self, data: bytes, *, caption: str = "", key: str = "") -> Photo:
        """Upload a photo; its status is ``pending``.

        Args:
            key: idempotency key. Uploads of one file with the same key make one photo. Empty: a new key.
        """
        headers = {**_PHOTO, "Idempotency-Key": key or str(uuid.uuid4())}
        params = {"caption": caption} if caption else {}
        return self._read(Photo, "POST", "/photos", headers=headers, params=params, data=data)

    def photos(self, show: Show = "all") -> Iterator[Photo]:
        """Yield photos, newest first. Each page of the list is requested when it is needed."""
        cursor: str | None = ""
        while cursor is not None:
            params = {"limit": 100, "show": show, "cursor": cursor}
            page = self._read(PhotoPage, "GET", "/photos", params=params)
            yield from page.photos
            cursor = page.next

    def photo(self, id: int) -> Photo:
        return self._read(Photo, "GET", f"/photos/{id}")

    def verdict(self, id: int) -> Verdict:
        return self._read(Verdict, "GET", f"/photos/{id}/verdict")

    def jpeg(self, id: int, *, thumbnail: bool = False) -> bytes:
        """Return the stored photo, or its thumbnail."""
        return self._send("GET", f"/photos/{id}/{'thumbnail' if thumbnail else 'photo'}.jpg").content

    def appeal(self, id: int, wish: Literal["cat", "not_cat"], reason: str = "") -> Appeal:
        """Ask a reviewer to change the verdict to ``wish``."""
        try:
            return self._read(Appeal, "POST", f"/photos/{id}/appeal", json={"wish": wish, "reason": reason})
        except RequestFailed as error:
            if error.status == 409 and error.may_have_acted:
                with contextlib.suppress(RequestFailed):  # such as a token that may not read
                    appeal = self.verdict(id).appeal
                    if appeal and appeal.closed_at is None and appeal.wish == wish:
                        return appeal
            raise

    def delete(self, id: int) -> None:
        try:
            self._send("DELETE", f"/photos/{id}")
        except RequestFailed as error:
            if error.status != 404 or not error.may_have_acted:
                raise

    def check(self, data: bytes) -> Check:
        """Check a photo without storing it."""
        return self._read(Check, "POST", "/check", headers=_PHOTO, data=data)

    def _read(self, model: type[Body], method: str, path: str, **options: Any) -> Body:
        response = self._send(method, path, **options)
        try:
            return model.model_validate_json(response.content)
        except ValidationError:
            raise RequestFailed(f"{self._url} is not a CatLoader site, or runs another version.") from None

    def _send(
        self, method: str, path: str, *, base: str = "/api/v1", data: bytes = b"", **options: Any
    ) -> requests.Response:
        may_have_acted = False
        for attempt in range(self._tries):
            # A file object is sent in blocks, each with its own timeout. A bytes object would be sent in one
            # call, which must end within the connect timeout: too short on a slow connection.
            body = io.BytesIO(data) if data else None
            try:
                response = self._session.request(
                    method, f"{self._url}{base}{path}", data=body, timeout=self._timeout_s, **options
                )
                response.content  # noqa: B018 - reads the body here, where a lost connection is caught
            except _INVALID_ADDRESS as error:
                reason = str(error).rstrip(".")
                raise RequestFailed(
                    f"The address of a proxy, or an address the site redirects to, is not valid: {reason}."
                ) from None
            except requests.RequestException as error:
                failure = RequestFailed(f"{self._url} does not answer: {reason_of(error)}.")
                may_have_acted = True
            else:
                if response.request.method != method:
                    raise RequestFailed(_moved(self._url, response.url))
                if response.ok:
                    return response
                failure = _failure(response.status_code, response.headers, response.content)
                if response.status_code not in _RETRYABLE:
                    break
                may_have_acted |= response.status_code in _RESPONSE_LOST
            if attempt + 1 < self._tries:
                self._sleep(min(float(failure.retry_after_s or 2**attempt), _LONGEST_WAIT_S))
        failure.may_have_acted = may_have_acted
        raise failure


def _address(url: str) -> str:
    """Return the address without slashes at its end; raise ``RequestFailed`` if it can't be a site's."""
    with contextlib.suppress(ValueError):  # invalid brackets or port
        parts = urlsplit(url)
        if "@" in parts.netloc:  # not printed, because it may contain a password
            raise RequestFailed("The address of the site must not contain a user name or a password.")
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return url.rstrip("/")
    raise RequestFailed(f"{url!r} is not the address of a site, such as https://photos.example.org.")


def _moved(url: str, target: str) -> str:
    """Return the sentence for a redirect that turned a request into a GET, as 301 and 302 do with a POST."""
    target = target.partition("?")[0].partition("/api/v1")[0]
    return f"{url} redirects to {target}. If that is the site, use that address."


def _failure(status: int, headers: Mapping[str, str], body: bytes) -> RequestFailed:
    try:
        detail = Problem.model_validate_json(body).detail
    except ValidationError:  # perhaps from a proxy
        detail = f"The site answered with HTTP {status}."
    retry_after = headers.get("Retry-After", "")
    is_seconds = retry_after.isdecimal() and len(retry_after) < 10  # it may also be a date
    return RequestFailed(detail, status, int(retry_after) if is_seconds else None)
