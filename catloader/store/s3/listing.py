"""List a bucket page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, NamedTuple


class Listed(NamedTuple):
    """One object of a bucket."""

    key: str
    modified_at: datetime
    """By the server's clock."""
    size_bytes: int


def pages(
    client: Any, request: Callable[[str], AbstractContextManager[None]], bucket: str, prefix: str = ""
) -> Iterator[list[Listed]]:
    """Yield the objects of a bucket whose keys begin with ``prefix``, up to 1 000 at a time, by rising key.

    Raises what ``request`` does.
    """
    after = ""
    while True:
        with request(f"bucket {bucket}"):
            answer = client.list_objects_v2(Bucket=bucket, Prefix=prefix, StartAfter=after)
        page = [
            Listed(entry["Key"], entry["LastModified"], entry["Size"]) for entry in answer.get("Contents", [])
        ]
        yield page
        if not answer.get("IsTruncated") or not page:
            return
        after = page[-1].key
