"""Delete many objects in one request, and report those that still exist."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from catloader.errors import NotFound, StoreUnavailable
from catloader.store.s3.errors import NO_OBJECT, NoAnswer

Requests = Callable[[str], AbstractContextManager[None]]
"""Returns the context manager that translates the errors of requests; the text is for messages."""


def delete_many(client: Any, request: Requests, bucket: str, keys: Sequence[str]) -> dict[str, str]:
    """Delete up to 1 000 objects in one request; return key -> reason for those that still exist.

    Objects that did not exist before count as deleted. If the server does not support this request (for which
    "not found" may be the response) or refuses it as a whole, the objects are deleted one by one.

    Raises:
        NoAnswer: the server does not answer.
    """
    objects = [{"Key": key} for key in keys]
    try:
        with request(f"{len(keys)} deletions in {bucket}"):
            response = client.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    except NoAnswer:
        raise
    except (NotFound, StoreUnavailable):
        return _delete_each(client, request, bucket, keys)
    errors = {entry.get("Key"): entry.get("Code") or "no reason" for entry in response.get("Errors", [])}
    gone = {entry.get("Key") for entry in response.get("Deleted", [])}
    gone |= {key for key, code in errors.items() if code in NO_OBJECT}
    return {key: errors.get(key, "it is missing from the response") for key in keys if key not in gone}


def _delete_each(client: Any, request: Requests, bucket: str, keys: Sequence[str]) -> dict[str, str]:
    refused: dict[str, str] = {}
    for key in keys:
        try:
            with request(key):
                client.delete_object(Bucket=bucket, Key=key)
        except NotFound:
            continue
        except NoAnswer:
            raise
        except StoreUnavailable as error:
            refused[key] = str(error)
    return refused
