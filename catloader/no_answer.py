"""The reasons for failed HTTP requests, in words."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from urllib3 import exceptions as of_urllib3

if TYPE_CHECKING:
    import requests


def reason_of(error: requests.RequestException | of_urllib3.HTTPError) -> str:
    """Return the kind of failure in words, without the address, which may contain a token."""
    chain: list[BaseException] = [error]
    while inner := _inner(chain[-1]):
        chain.append(inner)
    for cause in reversed(chain):
        for kinds, words in _words():
            if isinstance(cause, kinds):
                return words
    return "the connection failed"


def _inner(error: BaseException) -> BaseException | None:
    """Return the error that this one wraps, if any."""
    texts = int(isinstance(error, of_urllib3.ProtocolError))  # its first argument is a text
    candidates = (getattr(error, "reason", None), *error.args[: 1 + texts])
    return next((value for value in candidates if isinstance(value, BaseException)), None)


@functools.cache
def _words() -> tuple[tuple[tuple[type[BaseException], ...], str], ...]:
    from requests import exceptions as of_requests  # late, because only a failure needs it

    from models.answer_head import MissingAuthorities

    return (
        ((MissingAuthorities,), "the file that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names is missing"),
        # From special to general: in urllib3 the first two are subclasses of the third.
        ((of_urllib3.NameResolutionError,), "the name is unknown"),
        ((of_urllib3.NewConnectionError,), "no connection"),
        ((of_urllib3.ConnectTimeoutError, of_requests.ConnectTimeout), "no connection in time"),
        ((of_urllib3.ReadTimeoutError, of_requests.ReadTimeout), "no answer in time"),
        ((TimeoutError,), "the connection is dead, or too slow"),  # while the request was sent
        ((of_urllib3.SSLError, of_requests.SSLError), "no trusted certificate, or no TLS"),
        ((of_urllib3.ProxyError, of_requests.ProxyError), "the proxy refuses, or can't be reached"),
        ((of_urllib3.ProtocolError, of_requests.ChunkedEncodingError), "the connection was cut"),
        ((of_requests.ContentDecodingError,), "its response is compressed, which was not requested"),
        ((of_requests.TooManyRedirects,), "it redirects endlessly"),
    )
