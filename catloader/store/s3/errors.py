"""The only translation of boto3's errors into the site's errors."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError, ProtocolError

from catloader.errors import NotFound, StoreUnavailable


class NoAnswer(StoreUnavailable):
    """The object store did not respond, as opposed to a refusal."""


class AnswerTooLarge(StoreUnavailable):
    """The object store sends more than the limit for one object, as for a video among photos."""


class _Redirected(BotoCoreError):
    fmt = "{location}"


_SKEW_S = 600.0
"""Less than the 15 minutes by which a signature's time may differ from the clock of S3."""

NO_OBJECT = ("NoSuchKey", "NotFound", "404")
_REDIRECTIONS = (301, 302, 307, 308)
_REGION_HEADER = "x-amz-bucket-region"


@contextmanager
def translated(address: str, what: str) -> Iterator[None]:
    """Translate the errors of the block, which makes requests to the server at ``address``.

    Args:
        what: the object's key or the bucket, for messages.

    Raises:
        NotFound: the server has no such object.
        NoAnswer: no response; the message has the address and the reason.
        AnswerTooLarge: the response exceeds its limit.
        StoreUnavailable: a refusal, a redirection, or a response that can't be read; the message has the
            address, S3's error code, and a hint if a clock is far off.
    """
    try:
        yield
    except ClientError as error:
        if error_code(error) in NO_OBJECT and error.operation_name != "PutObject":  # a PUT needs no object
            raise NotFound(f"{what} is not in the store.") from error
        raise StoreUnavailable(
            f"The object store at {address} refused {what} ({_shown_code(error)}{_clock_hint(error)}).",
            cause=f"{address} {error_code(error)}",
        ) from error
    except _Redirected as error:
        raise StoreUnavailable(
            f"The server at {address} redirects to {error}; set AWS_ENDPOINT_URL_S3 to the S3 server itself."
        ) from error
    except (BotoCoreError, HTTPError) as error:  # urllib3's errors: while the body of a refusal is read
        if _is_too_large(error):
            raise AnswerTooLarge(
                f"The object store at {address} sends too many bytes for {what}.",
                cause=f"{address} too large",
            ) from error
        raise NoAnswer(f"The object store at {address} did not answer: {_reason(error)}.") from error
    except (ResponseParserError, LookupError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise StoreUnavailable(
            f"The server at {address} did not respond like S3 to a request for {what}.",
            cause=f"{address} unreadable",
        ) from error


def error_code(error: ClientError) -> str:
    """Return S3's error code, or the HTTP status if the response has no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _shown_code(error: ClientError) -> str:
    """Return the error code, or the HTTP status if a server other than S3 has responded with a page."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    return error_code(error) or f"HTTP {status}"


def add_handlers(events: Any) -> None:
    """Change how a boto3 client sends and retries requests."""
    events.register_last("before-call.s3", _send_at_once)
    events.register_first("needs-retry.s3", _refuse_retry)


def _send_at_once(params: dict[str, Any], **_: Any) -> None:
    """Remove "Expect: 100-continue".

    botocore reads the interim response without the usual limits: a server that sends single bytes would
    occupy the thread, and a truncated response would keep it in a loop.
    """
    params["headers"].pop("Expect", None)


def _refuse_retry(
    response: tuple[Any, Any] | None = None, caught_exception: Exception | None = None, **_: Any
) -> None:
    """Prevent botocore from retrying requests that timed out, and from following redirections endlessly.

    botocore retries after other failures. Only Amazon redirects between regions, and states the region.
    """
    if caught_exception is not None and is_timeout(caught_exception):
        raise caught_exception
    if response is None:
        return
    http_response, _parsed = response
    if http_response.status_code in _REDIRECTIONS and _REGION_HEADER not in http_response.headers:
        url = urlsplit(http_response.headers.get("location", ""))
        origin = f"{url.scheme}://{url.netloc.rpartition('@')[2]}" if url.netloc else "another address"
        raise _Redirected(location=origin)


def refuse_unconfirmed(response: Mapping[str, object], address: str) -> None:
    """Check the response to a PUT. A web console or a proxy may respond with 200 although it stores nothing.

    Raises:
        StoreUnavailable: the response has no ETag, unlike those of S3.
    """
    if not response.get("ETag"):
        raise StoreUnavailable(
            f"The server at {address} does not confirm that it has stored the object (no ETag); "
            "set AWS_ENDPOINT_URL_S3 to the S3 server itself."
        )


def server_time(response: Mapping[str, Any]) -> datetime | None:
    """Return the time in the head of a response; None: it is missing or can't be parsed."""
    date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return parsedate_to_datetime(date).astimezone(UTC)
    except (OverflowError, TypeError, ValueError):
        return None


def _clock_hint(error: ClientError) -> str:
    """Return a hint about this machine's clock if it differs much from the date of the response."""
    time = server_time(error.response)
    if time is None:
        return ""
    ahead_s = (datetime.now(UTC) - time).total_seconds()
    if abs(ahead_s) < _SKEW_S:
        return ""
    side = "ahead of" if ahead_s > 0 else "behind"
    return f"; this machine's clock is {abs(ahead_s) / 60:.0f} minutes {side} its clock"


def is_timeout(error: BaseException | None) -> bool:
    """Return True if reading from or writing to the server timed out."""
    return error is not None and (
        isinstance(error, ConnectTimeoutError | ReadTimeoutError | TimeoutError)
        or is_timeout(error.__cause__ or error.__context__)
    )


def _is_too_large(error: BaseException | None) -> bool:
    if error is None:
        return False
    if isinstance(error, OSError) and error.errno == errno.EMSGSIZE:
        return True
    # botocore raises its errors again, which replaces their context while another error is handled.
    inner = error.kwargs.get("error") if isinstance(error, BotoCoreError) else None
    return _is_too_large(inner or error.__cause__ or error.__context__)


def _reason(error: Exception) -> str:
    if is_timeout(error):
        return "timed out"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError) and cause.reason:  # its text contains a line number of OpenSSL
            return f"TLS failed ({cause.reason.replace('_', ' ').lower()})"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror[:1].lower() + cause.strerror[1:]
        cause = cause.__cause__ or cause.__context__
    # The texts of these errors contain names from Python.
    if isinstance(error, ResponseStreamingError | IncompleteReadError | ProtocolError):
        return "the response was cut off"
    if isinstance(error, ConnectionClosedError):
        return "it closed the connection without a response"
    return " ".join(str(error).split()).rstrip(".")
