"""Translation of boto3's errors, in this one place for every use of the object store."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError

from catloader.errors import NotFound, StoreUnavailable


class NoAnswer(StoreUnavailable):
    """The object store gave no answer, as opposed to a refusal."""


_SKEW_S = 600.0
"""S3 accepts no signature that is 15 minutes older or newer than its clock."""

NO_OBJECT = ("NoSuchKey", "NotFound", "404")


@contextmanager
def translated(address: str, what: str) -> Iterator[None]:
    """Run requests about ``what``, an object's key or a bucket, to the server at ``address``.

    Raises:
        NotFound: the server has no such object.
        NoAnswer: no answer; names the address and the reason.
        StoreUnavailable: a refusal; names the address, S3's name of the error, and a clock that is far off.
    """
    try:
        yield
    except ClientError as error:
        if error_code(error) in NO_OBJECT:
            raise NotFound(f"{what} is not in the store.") from error
        raise StoreUnavailable(
            f"The object store at {address} refused {what} ({error_code(error)}{_clock_hint(error)}).",
            cause=f"{address} {error_code(error)}",
        ) from error
    except BotoCoreError as error:
        raise NoAnswer(f"The object store at {address} did not answer: {_reason(error)}.") from error


def is_missing(error: ClientError) -> bool:
    """Return True if the server has no such object or bucket."""
    return error_code(error) in (*NO_OBJECT, "NoSuchBucket")


def error_code(error: ClientError) -> str:
    """Return S3's own name of the error, or the HTTP status for an answer without a body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _clock_hint(error: ClientError) -> str:
    """Return a hint about this machine's clock if the answer's date shows that it is far off."""
    date = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        ahead_s = (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
    except (TypeError, ValueError):
        return ""
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


def _reason(error: BotoCoreError) -> str:
    if is_timeout(error):
        return "timed out"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror[:1].lower() + cause.strerror[1:]
        cause = cause.__cause__ or cause.__context__
    return " ".join(str(error).split()).rstrip(".")
