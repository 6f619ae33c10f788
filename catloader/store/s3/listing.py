"""List a bucket page by page, in one thread or in several."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from typing import Any, NamedTuple

from catloader.errors import StoreUnavailable

_PAGE_OBJECTS = 1000
_PAGES_WAITING = 32
"""Pages that all threads together have listed and the caller has not taken yet; about 10 MB."""
_Request = Callable[[str], AbstractContextManager[None]]


class Listed(NamedTuple):
    """One object of a bucket."""

    key: str
    modified_at: datetime
    """By the server's clock."""
    size_bytes: int


def pages(
    client: Any,
    request: _Request,
    bucket: str,
    prefix: str = "",
    *,
    threads: int = 1,
    page_objects: int = _PAGE_OBJECTS,
) -> Iterator[list[Listed]]:
    """Yield the objects of a bucket whose keys begin with ``prefix``, page by page.

    A single thread yields them in the server's order. Several threads list folders concurrently, so the order
    is arbitrary. A folder is a prefix that ends with a slash; ranges of keys would not be reliable, because
    servers differ in how they sort the keys of a folder. A folder with more than a page of entries is not
    divided further, because one request per subfolder would be more requests than pages.

    Args:
        page_objects: at most 1 000, which is S3's limit.

    Raises:
        StoreUnavailable: the server does not support ``StartAfter`` or ``Prefix``; or raised by ``request``.
    """

    def pages_of(folder: str) -> Iterator[list[Listed]]:
        after = ""
        while True:
            with request(f"bucket {bucket}"):
                response = client.list_objects_v2(
                    Bucket=bucket, Prefix=folder, StartAfter=after, MaxKeys=page_objects
                )
                page = _objects_in(response)
            if after and page and page[-1].key == after:
                raise StoreUnavailable(f"The object store lists the first page of {bucket} again and again.")
            yield page
            if not response.get("IsTruncated") or not page:
                return
            after = page[-1].key

    if threads == 1:
        yield from pages_of(prefix)
        return
    folders, whole = [prefix], deque[str]()
    while folders and len(folders) + len(whole) < threads:
        below: list[str] = []
        for folder in folders:
            with request(f"bucket {bucket}"):
                response = client.list_objects_v2(
                    Bucket=bucket, Prefix=folder, Delimiter="/", MaxKeys=page_objects
                )
                page = _objects_in(response)
                inside = [entry["Prefix"] for entry in response.get("CommonPrefixes", [])]
                if folder in inside:  # the listing would not end
                    raise StoreUnavailable(f"The object store lists {folder} of {bucket} as its own folder.")
            if response.get("IsTruncated"):
                whole.append(folder)
            else:
                yield page
                below += inside
        folders = below
    whole.extend(folders)
    yield from _side_by_side(whole, pages_of, threads)


def _side_by_side(
    folders: deque[str], pages_of: Callable[[str], Iterator[list[Listed]]], threads: int
) -> Iterator[list[Listed]]:
    """Yield the pages of all folders as they arrive. The first error ends all threads and is raised."""
    pages: queue.Queue[list[Listed] | None] = queue.Queue(_PAGES_WAITING)
    stopped = threading.Event()

    def work() -> None:
        try:
            while not stopped.is_set():
                try:
                    folder = folders.popleft()
                except IndexError:
                    return
                for page in pages_of(folder):
                    pages.put(page)
                    if stopped.is_set():
                        return
        except BaseException:
            stopped.set()
            raise
        finally:
            pages.put(None)

    with ThreadPoolExecutor(threads, thread_name_prefix="listing") as pool:
        workers = [pool.submit(work) for _ in range(threads)]
        try:
            for _ in workers:
                while (page := pages.get()) is not None:
                    yield page
        finally:
            stopped.set()
            while not all(worker.done() for worker in workers):
                with suppress(queue.Empty):
                    pages.get(timeout=0.05)
    for worker in workers:
        worker.result()


def _objects_in(response: dict[str, Any]) -> list[Listed]:
    return [
        Listed(entry["Key"], entry["LastModified"], entry["Size"]) for entry in response.get("Contents", [])
    ]
