"""Delete many objects in one request, and report those that are not gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from catloader.errors import NotFound, StoreUnavailable
from catloader.store.s3.errors import NO_OBJECT, NoAnswer

Requests = Callable[[str], AbstractContextManager[None]]
"""Translates the errors of requests about what it is given."""


def delete_many(client: Any, request: Requests, bucket: str, keys: Sequence[str]) -> dict[str, str]:
    """Delete up to 1 000 objects in one request; return key -> reason for those that are not gone.

    Objects that did not exist count as gone. If the server does not support this request ("not found" may
    mean that too) or refuses it as a whole, the objects are deleted one by one.

    Raises:
        NoAnswer: the server does not answer.
    """
    try:
        with request(f"{len(keys)} deletions in {bucket}"):
            answer = client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    except NoAnswer:
        raise
    except (NotFound, StoreUnavailable):
        return _delete_each(client, request, bucket, keys)
    errors = {entry.get("Key"): entry.get("Code") or "no reason" for entry in answer.get("Errors", [])}
    gone = {entry.get("Key") for entry in answer.get("Deleted", [])}
    gone |= {key for key, code in errors.items() if code in NO_OBJECT}
    return {key: errors.get(key, "the answer does not name it") for key in keys if key not in gone}


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
