"""A client of the API: upload photos, read verdicts, check photos. Not thread-safe."""

from __future__ import annotations

import contextlib
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

Answer = TypeVar("Answer", bound=BaseModel)
Show = Literal["all", "cat", "unsure", "not_cat", "waiting", "failed", "appealed"]

_CONNECT_S, _SILENCE_S = 10.0, 120.0
"""Timeout to connect, and between two bytes of the answer: a busy site may take long for a photo."""
_ANSWER_S = 600.0
"""Longest time for a whole answer: one that only drips would never end."""
_ANSWER_BYTES = 64 * 2**20
_LATER = (429, 502, 503, 504)
_LONGEST_WAIT_S = 60.0
_NO_ADDRESS = (ValueError, LocationParseError)
"""Those of requests are kinds of the first one; not all that come from a redirection are of requests."""
_PHOTO = {"Content-Type": "application/octet-stream"}


class RequestFailed(CatLoaderError):
    """The site refused a request, or could not be reached. The text is one sentence."""

    def __init__(self, sentence: str, status: int = 0, retry_after_s: int | None = None) -> None:
        """
        Args:
            status: of HTTP; 0: there was no answer.
        """
        super().__init__(sentence)
        self.status, self.retry_after_s = status, retry_after_s


class _Bearer(AuthBase):
    """Authentication by token: a plain header would be replaced by an entry in ``.netrc``."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Client:
    """One account of one site.

    Requests that may be repeated are retried if the site is busy or the connection is lost: after
    ``Retry-After``, else after 1, 2, 4 ... seconds.

    Args:
        url: of the site, as in ``https://cats.example.org``; a path may follow.
        tries: for one request, the first one included.
        connect_s: timeout to connect, and for each block of a photo to be sent.
        sleep: waits for so many seconds.
    Raises:
        RequestFailed: the address is none.
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

    def upload(self, data: bytes, *, caption: str = "", key: str = "") -> Photo:
        """Upload a photo; its status is ``pending``.

        Args:
            key: the same one for the same file makes one photo, however often it is sent; none: a new one.
        """
        headers = {**_PHOTO, "Idempotency-Key": key or str(uuid.uuid4())}
        params = {"caption": caption} if caption else {}
        return self._read(Photo, "POST", "/photos", headers=headers, params=params, data=data)

    def photos(self, show: Show = "all") -> Iterator[Photo]:
        """Yield photos, newest first; a page is requested when it is needed."""
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
        """Ask a reviewer for this verdict."""
        return self._read(Appeal, "POST", f"/photos/{id}/appeal", json={"wish": wish, "reason": reason})

    def delete(self, id: int) -> None:
        self._send("DELETE", f"/photos/{id}")

    def check(self, data: bytes) -> Check:
        """Check a photo without storing it."""
        return self._read(Check, "POST", "/check", headers=_PHOTO, data=data)

    def _read(self, model: type[Answer], method: str, path: str, **options: Any) -> Answer:
        response = self._send(method, path, **options)
        try:
            return model.model_validate_json(response.content)
        except ValidationError:
            raise RequestFailed(f"{self._url} is not a CatLoader site, or one of another version.") from None

    def _send(self, method: str, path: str, *, data: bytes = b"", **options: Any) -> requests.Response:
        for attempt in range(self._tries):
            # A file is sent in blocks. Bytes are sent at once, and all would have to arrive in the time to
            # connect: never on a slow line.
            body = io.BytesIO(data) if data else None
            try:
                response = self._session.request(
                    method, f"{self._url}/api/v1{path}", data=body, timeout=self._timeout_s, **options
                )
                response.content  # noqa: B018 - reads it, here where a cut line is caught
            except _NO_ADDRESS as error:
                reason = str(error).rstrip(".")
                raise RequestFailed(
                    f"The address of a proxy, or one that the site redirects to, is not valid: {reason}."
                ) from None
            except requests.RequestException as error:
                failure = RequestFailed(f"{self._url} does not answer: {reason_of(error)}.")
            else:
                if response.ok:
                    return response
                failure = _failure(response.status_code, response.headers, response.content)
                if response.status_code not in _LATER:
                    break
            if attempt + 1 < self._tries:
                self._sleep(min(float(failure.retry_after_s or 2**attempt), _LONGEST_WAIT_S))
        raise failure


def _address(url: str) -> str:
    """Return the address without slashes at its end; raise ``RequestFailed`` if it can't be a site's."""
    with contextlib.suppress(ValueError):  # of the brackets, or of the port
        parts = urlsplit(url)
        if "@" in parts.netloc:  # not printed: this may be a password
            raise RequestFailed("The address of the site must not contain a user name or a password.")
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return url.rstrip("/")
    raise RequestFailed(f"{url!r} is not the address of a site, such as https://photos.example.org.")


def _failure(status: int, headers: Mapping[str, str], body: bytes) -> RequestFailed:
    try:
        detail = Problem.model_validate_json(body).detail
    except ValidationError:  # of a proxy, perhaps
        detail = f"The site answered with HTTP {status}."
    wait = headers.get("Retry-After", "")
    return RequestFailed(detail, status, int(wait) if wait.isdecimal() and len(wait) < 10 else None)
