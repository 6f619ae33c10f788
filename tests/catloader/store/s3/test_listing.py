from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

import boto3
import pytest

from catloader.errors import StoreUnavailable
from catloader.store.kinds import ObjectKind
from catloader.store.s3.embedded import EmbeddedS3
from catloader.store.s3.listing import pages
from catloader.store.s3.objects import ObjectStore

_KEYS = {
    "top.jpg",
    "a/1.jpg",
    "a/2.jpg",
    "a-b/1.jpg",  # before or after those of "a/": servers differ
    "a/deep/er/1.jpg",
    "a/deep/er/still/1.jpg",
    "many/00/1.jpg",
    *(f"many/{number:02}/1.jpg" for number in range(12)),  # more folders than a page has entries
    *(f"flat/{number}.jpg" for number in range(12)),
    "ä ö/%2F+&=.jpg",
    "猫/1.jpg",
}
_PAGE = 5


def _client(server: EmbeddedS3) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        aws_access_key_id=server.access_key_id,
        aws_secret_access_key=server.secret_access_key,
        region_name="us-east-1",
    )


@pytest.fixture(scope="module")
def bucket(s3_server: EmbeddedS3) -> tuple[Any, str]:
    """A client of the server, and a bucket with ``_KEYS``."""
    client = _client(s3_server)
    # Unique: a process may run parts of this file before and after another one, with a bucket for each.
    name = f"listing-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: client.put_object(Bucket=name, Key=key, Body=b"1"), _KEYS))
    return client, name


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/deep/er/", "many/", "flat/1", "none"])
@pytest.mark.parametrize("threads", [1, 2, 5, 16])
def test_each_object_is_listed_once(bucket: tuple[Any, str], prefix: str, threads: int) -> None:
    listed = pages(
        bucket[0], lambda _what: nullcontext(), bucket[1], prefix, threads=threads, page_objects=_PAGE
    )
    keys = [entry.key for page in listed for entry in page]
    assert sorted(keys) == sorted(key for key in _KEYS if key.startswith(prefix))


def test_folders_are_listed_concurrently(bucket: tuple[Any, str]) -> None:
    both = threading.Barrier(2, timeout=20)
    begun = threading.Event()

    @contextmanager
    def request(_what: str) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread() and not begun.is_set():
            both.wait()  # broken unless a second thread makes a request too
            begun.set()
        yield

    listed = pages(bucket[0], request, bucket[1], "a", threads=2)
    assert len([entry for page in listed for entry in page]) == 5


def test_an_error_of_one_thread_ends_the_listing(bucket: tuple[Any, str]) -> None:
    @contextmanager
    def request(_what: str) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            raise StoreUnavailable("gone")
        yield

    with pytest.raises(StoreUnavailable, match="gone"):
        list(pages(bucket[0], request, bucket[1], threads=4, page_objects=_PAGE))


def test_an_abandoned_listing_leaves_no_thread(objects: ObjectStore) -> None:
    for number in range(4):
        objects.put(ObjectKind.PHOTO, f"{number}/1.jpg", b"1")
    listed = objects.pages(objects.photos_bucket, threads=4)
    next(listed)
    while not next(listed):
        pass
    assert any(thread.name.startswith("listing") for thread in threading.enumerate())
    listed.close()  # type: ignore[attr-defined]  # a generator
    assert not any(thread.name.startswith("listing") for thread in threading.enumerate())


def test_a_server_that_always_gives_the_first_page_is_refused(
    s3_server: EmbeddedS3, objects: ObjectStore
) -> None:
    for number in range(_PAGE + 1):
        objects.put(ObjectKind.PHOTO, f"{number}.jpg", b"photo")
    client = _client(s3_server)
    client.meta.events.register(
        "before-parameter-build.s3.ListObjectsV2", lambda params, **_: params.pop("StartAfter")
    )
    listing = pages(client, lambda _: nullcontext(), objects.photos_bucket, page_objects=_PAGE)
    with pytest.raises(StoreUnavailable, match="lists the first page"):
        [next(listing) for _ in range(3)]
    client.close()


def test_a_server_that_lists_a_folder_in_itself_is_refused(
    bucket: tuple[Any, str], s3_server: EmbeddedS3
) -> None:
    client = _client(s3_server)
    client.meta.events.register(
        "after-call.s3.ListObjectsV2", lambda parsed, **_: parsed.update(CommonPrefixes=[{"Prefix": "a/"}])
    )
    with pytest.raises(StoreUnavailable, match=f"lists a/ of {bucket[1]} as its own folder"):
        list(pages(client, lambda _: nullcontext(), bucket[1], "a/", threads=2))
    client.close()
