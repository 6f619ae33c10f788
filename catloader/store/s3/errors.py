"""Translation of boto3's errors, in this one place for every use of the object store."""

from __future__ import annotations

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
    """The object store gave no answer, as opposed to a refusal."""


class _Redirected(BotoCoreError):
    fmt = "{location}"


_SKEW_S = 600.0
"""S3 accepts no signature that is 15 minutes older or newer than its clock."""

NO_OBJECT = ("NoSuchKey", "NotFound", "404")
_REDIRECTIONS = (301, 302, 307, 308)
_REGION_HEADER = "x-amz-bucket-region"


@contextmanager
def translated(address: str, what: str) -> Iterator[None]:
    """Run requests about ``what``, an object's key or a bucket, to the server at ``address``.

    Raises:
        NotFound: the server has no such object.
        NoAnswer: no answer; names the address and the reason.
        StoreUnavailable: a refusal, a redirection, or an answer that can't be read; names the address, S3's
            name of the error, and a clock that is far off.
    """
    try:
        yield
    except ClientError as error:
        if error_code(error) in NO_OBJECT and error.operation_name != "PutObject":  # a PUT needs none
            raise NotFound(f"{what} is not in the store.") from error
        raise StoreUnavailable(
            f"The object store at {address} refused {what} ({_shown_code(error)}{_clock_hint(error)}).",
            cause=f"{address} {error_code(error)}",
        ) from error
    except _Redirected as error:
        raise StoreUnavailable(
            f"The server at {address} redirects to {error}; set AWS_ENDPOINT_URL_S3 to the S3 server itself."
        ) from error
    except (BotoCoreError, HTTPError) as error:  # urllib3's come out of the body of a refusal
        raise NoAnswer(f"The object store at {address} did not answer: {_reason(error)}.") from error
    except (ResponseParserError, LookupError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise StoreUnavailable(
            f"The server at {address} answers a request for {what} in another way than S3.",
            cause=f"{address} unreadable",
        ) from error


def error_code(error: ClientError) -> str:
    """Return S3's own name of the error, or the HTTP status for an answer without a body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _shown_code(error: ClientError) -> str:
    """Return the code; the HTTP status where a server other than S3 has answered with a page."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    return error_code(error) or f"HTTP {status}"


def add_handlers(events: Any) -> None:
    """Change how a client of boto3 makes its requests and repeats them."""
    events.register_last("before-call.s3", _send_at_once)
    events.register_first("needs-retry.s3", _refuse_retry)


def _send_at_once(params: dict[str, Any], **_: Any) -> None:
    """Remove "Expect: 100-continue".

    botocore awaits that answer without the limits of others: bytes that drip hold the thread, and an answer
    that is cut off keeps it in a loop.
    """
    params["headers"].pop("Expect", None)


def _refuse_retry(
    response: tuple[Any, Any] | None = None, caught_exception: Exception | None = None, **_: Any
) -> None:
    """Keep botocore from repeating requests that timed out, and from following redirections without end.

    It repeats other failures. Only Amazon redirects between regions, and names the region.
    """
    if caught_exception is not None and is_timeout(caught_exception):
        raise caught_exception
    if response is None:
        return
    answer, _parsed = response
    if answer.status_code in _REDIRECTIONS and _REGION_HEADER not in answer.headers:
        url = urlsplit(answer.headers.get("location", ""))
        origin = f"{url.scheme}://{url.netloc.rpartition('@')[2]}" if url.netloc else "another address"
        raise _Redirected(location=origin)


def refuse_unconfirmed(answer: Mapping[str, object], address: str) -> None:
    """Check the answer to a PUT: a console or a proxy says 200 to anything, and keeps nothing.

    Raises:
        StoreUnavailable: it has no ETag, as S3's answers do.
    """
    if not answer.get("ETag"):
        raise StoreUnavailable(
            f"The server at {address} confirms no stored object (ETag); AWS_ENDPOINT_URL_S3 must be S3's."
        )


def server_time(answer: Mapping[str, Any]) -> datetime | None:
    """Return the time of day in the head of an answer; None: there is none, or it can't be read."""
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return parsedate_to_datetime(date).astimezone(UTC)
    except (OverflowError, TypeError, ValueError):
        return None


def _clock_hint(error: ClientError) -> str:
    """Return a hint about this machine's clock if the answer's date shows that it is far off."""
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


def _reason(error: Exception) -> str:
    if is_timeout(error):
        return "timed out"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError) and cause.reason:  # its text names a line of OpenSSL
            return f"TLS failed ({cause.reason.replace('_', ' ').lower()})"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror[:1].lower() + cause.strerror[1:]
        cause = cause.__cause__ or cause.__context__
    # The texts of these have Python's names.
    if isinstance(error, ResponseStreamingError | IncompleteReadError | ProtocolError):
        return "the answer was cut off"
    if isinstance(error, ConnectionClosedError):
        return "it closed the connection without an answer"
    return " ".join(str(error).split()).rstrip(".")
